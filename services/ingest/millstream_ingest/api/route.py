"""Routes as they are declared: a path, its methods, the scope that it needs, and the function that answers."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from litestar.routes import BaseRoute
from msgspec import Struct

from millstream_ingest.api.operation import Operation
from millstream_ingest.api.principal import Scope
from millstream_ingest.http.response import Response

Handler = Callable[..., Awaitable[Response]]
"""Takes the request, and each parameter of the path by its name."""

OPERATION_KEY = "operation"
SCOPE_KEY = "scope"
"""Where the router keeps what a route declares."""


class UndeclaredScopeError(Exception):
    """A route says of no scope that it needs it, nor that it is public: no request must get to it."""

    def __init__(self, path: str, methods: Iterable[str]) -> None:
        super().__init__(f"the route {', '.join(sorted(methods))} {path} declares no scope; `Scope.PUBLIC` is one too")


class Route(Struct, frozen=True, kw_only=True):
    """One path and some of its methods."""

    path: str
    """With parameters in braces: `/v1/jobs/{job_id}`."""
    methods: tuple[str, ...]
    handler: Handler
    scope: Scope | None = None
    """What the principal has to be allowed to do. A route without one keeps ingest from starting."""
    operation: Operation | None = None
    """What stands in the API document; None for pages and OPTIONS."""

    @property
    def options(self) -> dict[str, Any]:
        """Return what the router keeps beside the route."""
        declared = {SCOPE_KEY: self.scope, OPERATION_KEY: self.operation}
        return {key: value for key, value in declared.items() if value is not None}


def read(path: str, operation: Operation, scope: Scope | None = None) -> Callable[[Handler], Route]:
    """Route GET, and HEAD, to a function."""
    return _declare(path, ("GET", "HEAD"), operation, scope)


def act(path: str, operation: Operation, scope: Scope | None = None) -> Callable[[Handler], Route]:
    """Route POST to a function."""
    return _declare(path, ("POST",), operation, scope)


def put(path: str, operation: Operation, scope: Scope | None = None) -> Callable[[Handler], Route]:
    """Route PUT to a function."""
    return _declare(path, ("PUT",), operation, scope)


def change(path: str, operation: Operation, scope: Scope | None = None) -> Callable[[Handler], Route]:
    """Route PATCH to a function."""
    return _declare(path, ("PATCH",), operation, scope)


def remove(path: str, operation: Operation, scope: Scope | None = None) -> Callable[[Handler], Route]:
    """Route DELETE to a function."""
    return _declare(path, ("DELETE",), operation, scope)


def page(path: str) -> Callable[[Handler], Route]:
    """Route GET, and HEAD, to a function that answers with a public page for people."""
    return _declare(path, ("GET", "HEAD"), None, Scope.PUBLIC)


def _declare(
    path: str, methods: tuple[str, ...], operation: Operation | None, scope: Scope | None
) -> Callable[[Handler], Route]:
    def declared(handler: Handler) -> Route:
        return Route(path=path, methods=methods, handler=handler, scope=scope, operation=operation)

    return declared


def require_scopes(routes: Iterable[BaseRoute]) -> dict[tuple[str, str], Scope]:
    """Return the scope of each path and method that the router knows. Raises: UndeclaredScopeError."""
    scopes: dict[tuple[str, str], Scope] = {}
    for route in routes:
        for handler in getattr(route, "route_handlers", ()):
            scope = handler.opt.get(SCOPE_KEY)
            if scope is None:
                raise UndeclaredScopeError(route.path_format, handler.http_methods)
            scopes |= {(route.path_format, method): scope for method in handler.http_methods}
    return scopes
