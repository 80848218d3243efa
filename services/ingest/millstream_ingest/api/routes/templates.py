"""Templates: what many submissions say alike, stored under a name."""

from datetime import UTC, datetime

from millstream_contracts import (
    Priority,
    Scope,
    Template,
    TemplateDefinition,
    TemplatePage,
    limits,
)
from millstream_ingest.api.listing import listing_response
from millstream_ingest.api.names import check_name
from millstream_ingest.api.operation import Content, Example, Operation, Parameter, listing
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import put, read, remove
from millstream_ingest.http.negotiation import request_encoding
from millstream_ingest.http.problems import INVALID_REQUEST, STORE_FULL, TEMPLATE_NOT_FOUND
from millstream_ingest.http.response import Response

_TAG = "Templates"
_PATH = "/v1/templates/{template}"

_EXAMPLE = Template(
    name="nightly-report",
    type="report.generate",
    payload={"format": "pdf"},
    priority=Priority.LOW,
    description="What the office reads in the morning",
    updated_at=datetime(2026, 11, 27, 2, 0, tzinfo=UTC),
)
_TEMPLATE = Content(model=Template, description="The template", examples={"nightly": Example("A template", _EXAMPLE)})

LIST = Operation(
    id="listTemplates",
    tag=_TAG,
    summary="List templates",
    description="By name.",
    query=listing(Parameter("name", "Only those whose name begins so", example="night")),
    answers={
        200: Content(
            model=TemplatePage,
            description="A page",
            examples={"templates": Example("Templates", TemplatePage(items=[_EXAMPLE]))},
        )
    },
)
PUT = Operation(
    id="putTemplate",
    tag=_TAG,
    summary="Make or replace a template",
    description="Checked like a submission, but for the schema of the payload, which may be a part of one. Jobs that "
    "were submitted, and schedules that were put, keep what the template said then.",
    body=Content(
        model=TemplateDefinition,
        examples={
            "nightly": Example(
                "Defaults of a report", {"type": "report.generate", "priority": "low", "payload": {"format": "pdf"}}
            )
        },
    ),
    answers={
        200: _TEMPLATE,
        201: Content(
            model=Template,
            description="It is new",
            examples={"nightly": Example("A template", _EXAMPLE)},
            headers={"Location": "Path of the template"},
        ),
    },
    problems=(INVALID_REQUEST, STORE_FULL),
)
GET = Operation(
    id="getTemplate", tag=_TAG, summary="Read a template", answers={200: _TEMPLATE}, problems=(TEMPLATE_NOT_FOUND,)
)
REMOVE = Operation(
    id="removeTemplate",
    tag=_TAG,
    summary="Remove a template",
    answers={
        200: Content(
            model=Template,
            description="The template as it was",
            examples={"nightly": Example("A template", _EXAMPLE)},
        )
    },
    problems=(TEMPLATE_NOT_FOUND,),
)


@read("/v1/templates", LIST, Scope.JOBS_READ, narrows=True)
async def list_templates(request: ApiRequest) -> Response:
    """List templates."""
    query = request.read_query(("name", "cursor", "limit"))
    page = await request.services.template_desk.page(
        request.tenant,
        prefix=query.values.get("name", ""),
        cursor=query.cursor,
        limit=query.limit,
        types=request.principal.types,
    )
    return listing_response(request, query, page, page.next_cursor)


@put(_PATH, PUT, Scope.TEMPLATES_MANAGE)
async def put_template(request: ApiRequest, template: str) -> Response:
    """Make or replace a template."""
    request.read_query()
    encoding = request_encoding(request.body_type)
    body = await request.read_body(limits.MAX_BODY_BYTES)
    check_name(template, "template")
    desk, types = request.services.template_desk, request.principal.types
    found, is_new = await desk.put(request.tenant, template, body, encoding, types=types)
    return Response(found, 201, {"Location": f"/v1/templates/{template}"}) if is_new else Response(found)


@read(_PATH, GET, Scope.JOBS_READ)
async def get_template(request: ApiRequest, template: str) -> Response:
    """Read a template."""
    request.read_query()
    return Response(await request.services.template_desk.find(request.tenant, template))


@remove(_PATH, REMOVE, Scope.TEMPLATES_MANAGE)
async def remove_template(request: ApiRequest, template: str) -> Response:
    """Remove a template."""
    request.read_query()
    return Response(await request.services.template_desk.remove(request.tenant, template))


ROUTES = (list_templates, put_template, get_template, remove_template)
