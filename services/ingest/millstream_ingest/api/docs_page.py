"""Pages for people: the API's at `/docs` and one per problem. They load nothing from any other origin."""

from pathlib import Path

from litestar import Router
from litestar.datastructures import CacheControlHeader
from litestar.static_files import create_static_files_router

from millstream_contracts import Scope
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import SCOPE_KEY, page
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import CATALOGUE, NOT_FOUND, PROBLEMS_PATH, page_of
from millstream_ingest.http.response import Response

_ASSETS = Path(__file__).with_name("assets")

# Swagger UI sets styles on elements and has its icons as data URLs; scripts come from files only.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}

_PAGE = b"""<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Millstream API</title>
    <link rel="icon" type="image/svg+xml" href="/docs/assets/favicon.svg">
    <link rel="stylesheet" href="/docs/assets/swagger-ui.css">
  </head>
  <body>
    <div id="docs"></div>
    <script src="/docs/assets/swagger-ui-bundle.js"></script>
    <script src="/docs/assets/start.js"></script>
  </body>
</html>
"""


@page("/")
async def front_page(_: ApiRequest) -> Response:
    """Lead to the page of the API: what a person opens first is the address without a path."""
    return Response(b"", 307, {"Location": "/docs"}, "text/plain; charset=utf-8")


@page("/docs")
async def api_page(_: ApiRequest) -> Response:
    """Return the page that shows `/openapi.json`. Litestar's own has an inline script and an icon from elsewhere."""
    return Response(_PAGE, headers=_HEADERS, media_type="text/html; charset=utf-8")


@page(f"{PROBLEMS_PATH}/{{slug}}")
async def problem_page(_: ApiRequest, slug: str) -> Response:
    """Return the page that a problem's `type` leads to, as Markdown."""
    kind = CATALOGUE.get(slug)
    if kind is None:
        raise IngestError(NOT_FOUND)
    return Response(page_of(kind).encode(), media_type="text/plain; charset=utf-8")


def asset_router() -> Router:
    """Return the routes of the vendored files."""
    return create_static_files_router(
        path="/docs/assets",
        directories=[_ASSETS],
        name="docs-assets",
        opt={SCOPE_KEY: Scope.PUBLIC},
        cache_control=CacheControlHeader(public=True, max_age=86_400),
    )
