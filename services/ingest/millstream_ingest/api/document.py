"""The OpenAPI 3.1 document, made of what each route declares beside itself.

Source: https://spec.openapis.org/oas/v3.1.1.html.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

import msgspec

from millstream_contracts import MASK, MASKED, SECRETS_HEADER, Problem, Scope
from millstream_ingest.access.masking import FIELDS
from millstream_ingest.api.operation import JOB_TYPE, SCHEDULE_NAME, Content, Example, Operation, Parameter
from millstream_ingest.api.portable_schemas import Schema
from millstream_ingest.api.route import Route
from millstream_ingest.api.routes.examples import REPORT_TYPE
from millstream_ingest.api.schemas import schemas_of
from millstream_ingest.http.problems import (
    FORBIDDEN,
    PROBLEM_MEDIA_TYPE,
    QUOTA_EXCEEDED,
    TOO_MANY_ATTEMPTS,
    UNAUTHENTICATED,
    ProblemKind,
)

Document = dict[str, Any]

_MASKING = Parameter(
    SECRETS_HEADER,
    f"Puts `{MASK}` in the place of each value that a handler declares as secret",
    {"type": "string", "enum": [MASKED]},
)
_PARAMETER = re.compile(r"\{(\w+)\}")
_PATH_PARAMETERS = {
    "job_id": Parameter("job_id", "Id of the job"),
    "webhook_id": Parameter("webhook_id", "Id of the endpoint"),
    "operation_id": Parameter("operation_id", "Id of the operation"),
    "signal": Parameter("signal", "Name of the signal", JOB_TYPE, "approved"),
    "schedule": Parameter("schedule", "Name of the schedule", SCHEDULE_NAME, "nightly"),
    "key_id": Parameter("key_id", "Id of the key", {"type": "string"}, "7Kq2vXbA"),
    "tenant": Parameter("tenant", "Name of the tenant", {"type": "string"}, "acme"),
    "session_id": Parameter("session_id", "Id of the session", {"type": "string"}, "3nW8xQbT"),
    "template": Parameter("template", "Name of the template", SCHEDULE_NAME, "nightly-report"),
    "backfill_id": Parameter("backfill_id", "Id of the backfill"),
    "workflow_id": Parameter("workflow_id", "Id of the workflow"),
    "batch_id": Parameter("batch_id", "Id of the batch"),
    "job_type": Parameter("job_type", "Job type", JOB_TYPE, REPORT_TYPE),
    "worker": Parameter("worker", "Name of the worker", example="host:17:9f3c"),
}
_TAGS = {
    "Jobs": "Submit jobs and follow them.",
    "Events": "What happens to jobs, as it happens.",
    "Dead letters": "Decide about jobs that failed for good.",
    "Operations": "Decide about many dead jobs at once.",
    "Queues": "How much of each job type waits and runs.",
    "System": "How the installation fares",
    "Statistics": "How many jobs came and ended, and how long they took.",
    "Schedules": "Have jobs submitted by the clock.",
    "Workflows": "Run graphs of jobs.",
    "Batches": "Follow many jobs together.",
    "Templates": "What many submissions say alike, under a name.",
    "Types": "What the workers handle.",
    "Workers": "Who runs the jobs.",
    "Webhooks": "Where events of jobs go.",
    "Keys": "Who may use the API, and for what.",
    "Tenants": "Who shares this Millstream without seeing the others.",
    "Audit": "Who has changed what.",
    "Sessions": "Who is signed in: short-lived credentials in place of keys.",
    "Incidents": "What is wrong for so long that people are told.",
    "Documentation": "The API as a document.",
    "Health": "For probes, scrapers and people.",
}
_BEARER = "bearer"
_SECURITY_SCHEMES = {
    _BEARER: {
        "type": "http",
        "scheme": "bearer",
        "description": "A key, `ms_…`. Each operation names the scope that the key has to have. Where ingest runs with "
        "`MILLSTREAM_AUTH=off`, a request without a key may do everything, on behalf of the tenant `default`.",
    }
}


_OF_OWN = (
    "The scope `jobs:submit` is enough for what the same key, an earlier one in its line of successors, or the same "
    "subject of a token has submitted."
)


def api_document(routes: Iterable[Route]) -> Document:
    """Return the document of some routes; those that declare no operation do not stand in it."""
    declared = list(_declared(routes))
    contents = [content for _, operation in declared for content in _contents(operation)]
    schemas, components = schemas_of([Problem, *(content.model for content in contents if content.model)])
    tags = dict.fromkeys(operation.tag for _, operation in declared)
    paths: dict[str, Document] = {}
    for route, operation in declared:
        # HEAD is GET without the body, and is not worth an entry of its own.
        method = route.methods[0].lower()
        described = _operation(route, operation, schemas)
        models = [content.model for content in operation.answers.values() if content.model]
        if route.scope is not Scope.PUBLIC and any(_has_fields(schemas[one], components, FIELDS) for one in models):
            described.setdefault("parameters", []).append(_parameter("header", _MASKING))
        paths.setdefault(route.path, {})[method] = described | {"security": _security(route)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Millstream",
            "version": version("millstream"),
            "description": "Submit jobs, follow them, and decide about those that failed. Every body is JSON or "
            "MessagePack, by `Content-Type` and `Accept`; every refusal is a problem document (RFC 9457). A request "
            f"with the header `{SECRETS_HEADER}: {MASKED}` gets `{MASK}` in the place of each value that a handler "
            "declares as secret.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag, "description": _TAGS[tag]} for tag in tags],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SECURITY_SCHEMES},
    }


def _has_fields(schema: Schema, components: dict[str, Schema], names: frozenset[str]) -> bool:
    """Return whether a schema has one of some properties, itself or by what it refers to."""
    seen: set[str] = set()
    waiting: list[Any] = [schema]
    while waiting:
        match waiting.pop():
            case {"$ref": str(reference)}:
                name = reference.rpartition("/")[2]
                if name not in seen:
                    seen.add(name)
                    waiting.append(components[name])
            case dict() as one:
                if not names.isdisjoint(one.get("properties", ())):
                    return True
                waiting += one.values()
            case list() as some:
                waiting += some
    return False


def _declared(routes: Iterable[Route]) -> Iterator[tuple[Route, Operation]]:
    for route in routes:
        if route.operation is not None:
            yield route, route.operation


def _security(route: Route) -> list[Document]:
    """Return which credentials a route takes: none, or one with its scope. One without a scope is public."""
    if route.scope in {None, Scope.PUBLIC}:
        return []
    return [{}, *({_BEARER: [scope]} for scope in (route.scope, *((Scope.JOBS_SUBMIT,) if route.own else ())))]


def _problems(route: Route, operation: Operation) -> tuple[ProblemKind, ...]:
    """Return the refusals of a route: those of its operation, and those for the lack of a credential."""
    unauthorized = (
        () if route.scope in {None, Scope.PUBLIC} else (UNAUTHENTICATED, FORBIDDEN, TOO_MANY_ATTEMPTS, QUOTA_EXCEEDED)
    )
    return tuple(dict.fromkeys((*operation.all_problems, *unauthorized)))


def _contents(operation: Operation) -> list[Content]:
    return [*operation.answers.values(), *([operation.body] if operation.body else [])]


def _operation(route: Route, operation: Operation, schemas: dict[Any, Schema]) -> Document:
    parameters = [_parameter("path", _PATH_PARAMETERS[name]) for name in _PARAMETER.findall(route.path)]
    parameters += [_parameter("query", one) for one in operation.query]
    parameters += [_parameter("header", one) for one in operation.headers]
    answers = {str(status): _answer(content, schemas) for status, content in operation.answers.items()}
    document: Document = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": _merged(answers, _refusals(_problems(route, operation), schemas[Problem])),
    }
    if description := " ".join(filter(None, (operation.description, _OF_OWN if route.own else ""))):
        document["description"] = description
    if parameters:
        document["parameters"] = parameters
    if operation.body:
        document["requestBody"] = {"required": True, "content": _content(operation.body, schemas)}
    return document


def _parameter(place: str, parameter: Parameter) -> Document:
    document: Document = {
        "name": parameter.name,
        "in": place,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
    if place == "path":
        document["required"] = True
    if parameter.example is not None:
        document["example"] = parameter.example
    return document


def _answer(content: Content, schemas: dict[Any, Schema]) -> Document:
    document: Document = {"description": content.description}
    if content.media_types:
        document["content"] = _content(content, schemas)
    if content.headers:
        document["headers"] = {
            name: {"description": description, "schema": {"type": "string"}}
            for name, description in content.headers.items()
        }
    return document


def _content(content: Content, schemas: dict[Any, Schema]) -> Document:
    schema = schemas[content.model] if content.model else {"type": "string"}
    described: Document = {name: {"schema": schema, **_examples(content.examples)} for name in content.media_types}
    # Without a schema: a second one beside that of JSON makes clients of a union that no `fetch` can send.
    described |= {name: _examples(examples) for name, examples in content.sequences.items()}
    return described


def _examples(examples: Mapping[str, Example]) -> Document:
    shown = {name: msgspec.to_builtins(example) for name, example in examples.items()}
    return {"examples": shown} if shown else {}


def _merged(answers: Document, refusals: Document) -> Document:
    """Return all responses by status; one status may be an answer and a refusal."""
    return answers | {status: refusal for status, refusal in refusals.items() if status not in answers}


def _refusals(kinds: Iterable[ProblemKind], schema: Schema) -> Document:
    """Return the refusals by status; several problems may share one."""
    by_status: dict[str, list[ProblemKind]] = {}
    for kind in sorted(kinds, key=lambda kind: kind.status):
        by_status.setdefault(str(kind.status), []).append(kind)
    return {status: _refusal(shared, schema) for status, shared in by_status.items()}


def _refusal(kinds: list[ProblemKind], schema: Schema) -> Document:
    examples = {
        kind.slug: {"summary": kind.title, "value": msgspec.to_builtins(kind.problem(kind.advice))} for kind in kinds
    }
    document: Document = {
        "description": "; ".join(kind.title for kind in kinds),
        "content": {PROBLEM_MEDIA_TYPE: {"schema": schema, "examples": examples}},
    }
    if kinds[0].status in {429, 503}:
        seconds = {"type": "integer", "format": "int64"}
        document["headers"] = {"Retry-After": {"description": "When to try again, in seconds", "schema": seconds}}
    return document
