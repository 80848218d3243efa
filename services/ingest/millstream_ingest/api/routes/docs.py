"""The API document, its page, and the pages of problems."""

from collections.abc import Mapping
from typing import Any

from millstream_contracts import Scope
from millstream_ingest.api.docs_page import api_page, front_page, problem_page
from millstream_ingest.api.operation import Content, Operation
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import Route, read
from millstream_ingest.http.response import Response

DOCUMENT = Operation(
    id="getApiDocument",
    tag="Documentation",
    summary="Read this document",
    description="Generators of clients take it as it is: docs/clients.md.",
    asks_redis=False,
    answers={200: Content(model=dict[str, Any], description="OpenAPI 3.1")},
)


def routes_of(document: Mapping[str, Any]) -> tuple[Route, ...]:
    """Return the routes of a document, which describes them too and so is filled later."""

    @read("/openapi.json", DOCUMENT, Scope.PUBLIC)
    async def get_document(_: ApiRequest) -> Response:
        return Response(document)

    return get_document, front_page, api_page, problem_page
