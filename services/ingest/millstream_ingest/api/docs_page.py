"""Pages for people: the API's at `/docs` and one per problem. They load nothing from any other origin."""

from pathlib import Path

from litestar import MediaType, Router, get
from litestar.datastructures import CacheControlHeader
from litestar.params import FromPath
from litestar.static_files import create_static_files_router

from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import CATALOGUE, NOT_FOUND, PROBLEMS_PATH, page_of

_ASSETS = Path(__file__).with_name("assets")

# Swagger UI sets styles on elements and has its icons as data URLs; scripts come from files only.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
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


@get("/docs", media_type=MediaType.HTML, response_headers=_HEADERS, include_in_schema=False, sync_to_thread=False)
def api_page() -> bytes:
    """Return the page that shows `/openapi.json`. Litestar's own has an inline script and an icon from elsewhere."""
    return _PAGE


@get(f"{PROBLEMS_PATH}/{{slug:str}}", media_type=MediaType.TEXT, include_in_schema=False, sync_to_thread=False)
def problem_page(slug: FromPath[str]) -> str:
    """Return the page that a problem's `type` leads to, as Markdown."""
    kind = CATALOGUE.get(slug)
    if kind is None:
        raise IngestError(NOT_FOUND)
    return page_of(kind)


def asset_router() -> Router:
    """Return the routes of the vendored files."""
    return create_static_files_router(
        path="/docs/assets",
        directories=[_ASSETS],
        name="docs-assets",
        cache_control=CacheControlHeader(public=True, max_age=86_400),
    )
