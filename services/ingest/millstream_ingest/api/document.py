"""The OpenAPI 3.1 document, made of what each route declares beside itself.

Source: https://spec.openapis.org/oas/v3.1.1.html.
"""

import re
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any

import msgspec

from millstream_contracts import Problem
from millstream_ingest.api.operation import Content, Operation, Parameter
from millstream_ingest.api.route import Route
from millstream_ingest.api.schemas import Schema, schemas_of
from millstream_ingest.http.problems import PROBLEM_MEDIA_TYPE, ProblemKind

Document = dict[str, Any]

_PARAMETER = re.compile(r"\{(\w+)\}")
_PATH_PARAMETERS = {"job_id": "Id of the job", "job_type": "Job type", "slug": "Name of the problem"}


def api_document(routes: Iterable[Route]) -> Document:
    """Return the document of some routes; those that declare no operation do not stand in it."""
    declared = list(_declared(routes))
    contents = [content for _, _, operation in declared for content in _contents(operation)]
    schemas, components = schemas_of([Problem, *(content.model for content in contents if content.model)])
    paths: dict[str, Document] = {}
    for path, method, operation in declared:
        paths.setdefault(path, {})[method] = _operation(path, operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Millstream",
            "version": version("millstream"),
            "description": "Submit jobs, follow them, and decide about those that failed. Every body is JSON or "
            "MessagePack, by `Content-Type` and `Accept`; every refusal is a problem document (RFC 9457).",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for _, _, operation in declared)],
        "paths": paths,
        "components": {"schemas": components},
    }


def _declared(routes: Iterable[Route]) -> Iterator[tuple[str, str, Operation]]:
    for route in routes:
        if route.operation is not None:
            # HEAD is GET without the body, and is not worth an entry of its own.
            yield route.path, "get" if "GET" in route.methods else "post", route.operation


def _contents(operation: Operation) -> list[Content]:
    return [*operation.answers.values(), *([operation.body] if operation.body else [])]


def _operation(path: str, operation: Operation, schemas: dict[Any, Schema]) -> Document:
    parameters = [_parameter("path", Parameter(name, _PATH_PARAMETERS[name])) for name in _PARAMETER.findall(path)]
    parameters += [_parameter("query", one) for one in operation.query]
    parameters += [_parameter("header", one) for one in operation.headers]
    answers = {str(status): _answer(content, schemas) for status, content in operation.answers.items()}
    document: Document = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": answers | _refusals(operation.all_problems, schemas[Problem]),
    }
    if operation.description:
        document["description"] = operation.description
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
    media: Document = {"schema": schemas[content.model] if content.model else {"type": "string"}}
    if content.example is not None:
        media["example"] = msgspec.to_builtins(content.example)
    return dict.fromkeys(content.media_types, media)


def _refusals(kinds: Iterable[ProblemKind], schema: Schema) -> Document:
    """Return the refusals by status; several problems may share one."""
    by_status: dict[str, list[ProblemKind]] = {}
    for kind in sorted(kinds, key=lambda kind: kind.status):
        by_status.setdefault(str(kind.status), []).append(kind)
    return {status: _refusal(shared, schema) for status, shared in by_status.items()}


def _refusal(kinds: list[ProblemKind], schema: Schema) -> Document:
    examples = {kind.slug: {"value": msgspec.to_builtins(kind.problem())} for kind in kinds}
    document: Document = {
        "description": "; ".join(kind.title for kind in kinds),
        "content": {PROBLEM_MEDIA_TYPE: {"schema": schema, "examples": examples}},
    }
    if kinds[0].status == 503:
        document["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return document
