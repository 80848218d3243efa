"""Answers OPTIONS: which methods a path takes."""

from collections import defaultdict
from collections.abc import Iterable

from litestar import Response, Router
from litestar.handlers import HTTPRouteHandler


def options_routes(routes: Iterable[HTTPRouteHandler | Router]) -> list[HTTPRouteHandler]:
    """Return for each path of some routes one that answers OPTIONS. To be registered before them."""
    methods: defaultdict[str, set[str]] = defaultdict(lambda: {"OPTIONS"})
    for route in routes:
        if isinstance(route, HTTPRouteHandler):
            for path in route.paths:
                methods[path] |= route.http_methods
    return [_options_route(path, ", ".join(sorted(allowed))) for path, allowed in methods.items()]


def _options_route(path: str, allowed: str) -> HTTPRouteHandler:
    async def tell_methods() -> Response[None]:
        return Response(None, status_code=204, headers={"Allow": allowed})

    return HTTPRouteHandler(path, http_method=["OPTIONS"], status_code=204)(tell_methods)
