"""Job types, as the workers that handle them describe them."""

from millstream_contracts import JobType, Scope, TypeRegistration, did_you_mean, is_among
from millstream_ingest.api.listing import Listing, listing_response
from millstream_ingest.api.operation import Content, Operation, listing
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import read
from millstream_ingest.api.routes import examples
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import NOT_FOUND
from millstream_ingest.http.response import Response
from millstream_ingest.inspection.name_pages import page_of
from millstream_submission import MAX_QUOTED_CHARS

_TAG = "Types"

LIST = Operation(
    id="listTypes",
    tag=_TAG,
    summary="List the job types that workers handle",
    description="By name, as the newest release describes them.",
    query=listing(),
    answers={
        200: Content(model=Listing[TypeRegistration], description="A page", examples=examples.TYPES),
    },
)
GET = Operation(
    id="getType",
    tag=_TAG,
    summary="Read what a job type takes and how it is tried again",
    description="As the newest release of its workers describes it.",
    answers={200: Content(model=TypeRegistration, description="The type", examples=examples.TYPE)},
    problems=(NOT_FOUND,),
)


@read("/v1/types", LIST, Scope.JOBS_READ, narrows=True)
async def list_types(request: ApiRequest) -> Response:
    """List the registered types."""
    query = request.read_query(("cursor", "limit"))
    types = await _types(request)
    items, next_cursor = page_of(list(types.values()), lambda one: one.type, query.cursor, query.limit)
    return listing_response(request, query, Listing(items, next_cursor), next_cursor)


@read("/v1/types/{job_type}", GET, Scope.JOBS_READ)
async def get_type(request: ApiRequest, job_type: str) -> Response:
    """Read one registered type."""
    request.read_query()
    types = await _types(request)
    found = types.get(JobType(job_type))
    if found is None:
        near = did_you_mean(job_type[:MAX_QUOTED_CHARS], types)
        raise IngestError(NOT_FOUND, f"no worker has registered this job type{near}")
    return Response(found)


async def _types(request: ApiRequest) -> dict[JobType, TypeRegistration]:
    """Return the registered types that the principal is for, by name."""
    types, patterns = await request.services.broker.registry.types(request.tenant), request.principal.types
    return {name: one for name, one in types.items() if not patterns or is_among(name, patterns)}


ROUTES = (list_types, get_type)
