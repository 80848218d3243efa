"""Answers OPTIONS: which methods a path takes."""

from collections import defaultdict
from collections.abc import Iterable

from millstream_contracts import Scope
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import Route
from millstream_ingest.http.response import Response


def options_routes(routes: Iterable[Route]) -> list[Route]:
    """Return for each path of some routes one that answers OPTIONS. To be registered before them."""
    methods: defaultdict[str, set[str]] = defaultdict(lambda: {"OPTIONS"})
    for route in routes:
        methods[route.path].update(route.methods)
    return [_options_route(path, ", ".join(sorted(allowed))) for path, allowed in methods.items()]


def _options_route(path: str, allowed: str) -> Route:
    async def list_methods(_: ApiRequest, **__: str) -> Response:
        return Response(status=204, headers={"Allow": allowed})

    return Route(path=path, methods=("OPTIONS",), handler=list_methods, scope=Scope.PUBLIC)
