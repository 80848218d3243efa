"""The API document, its page, and the pages of problems."""

from typing import Any

from millstream_ingest.api.docs_page import api_page, asset_router, problem_page
from millstream_ingest.api.operation import Content, Operation, read
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.http.response import Answer

DOCUMENT = Operation(
    id="getApiDocument",
    tag="Documentation",
    summary="Read this document",
    answers={200: Content(model=dict[str, Any], description="OpenAPI 3.1")},
)


@read("/openapi.json", DOCUMENT)
async def get_document(request: ApiRequest) -> Answer:
    """Return the API document."""
    return Answer(request.app.state["document"])


ROUTES = (get_document, api_page, problem_page, asset_router())
