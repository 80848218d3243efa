"""Routes as they are declared: a path, its methods, the scope that it needs, and the function that answers."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import Enum
from typing import Any

from litestar.routes import BaseRoute
from msgspec import Struct
from msgspec.structs import replace

from millstream_contracts import Scope
from millstream_ingest.api.handling import Handler
from millstream_ingest.api.operation import Operation
from millstream_ingest.api.owned import owned
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.http.response import Response

TargetReader = Callable[[ApiRequest, Mapping[str, str]], Awaitable[Response]]
"""Takes the request and the parameters of its path, of which it needs some."""

OPERATION_KEY = "operation"
SCOPE_KEY = "scope"
"""Where the router keeps what a route declares."""


class UndeclaredScopeError(Exception):
    """A route says of no scope that it needs it, nor that it is public: no request must get to it."""

    def __init__(self, path: str, methods: Iterable[str]) -> None:
        super().__init__(f"the route {', '.join(sorted(methods))} {path} declares no scope; `Scope.PUBLIC` is one too")


class Audited(Enum):
    """What the audit trail says of the requests to a route."""

    WHOLE = "whole"
    """The action, and what was asked for without payloads and secrets."""
    BARE = "bare"
    """The action, and nothing of the body: it is a payload."""
    NOT = "not"
    """Nothing: it changes nothing, or submits jobs, of which the history tells."""


_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Route(Struct, frozen=True, kw_only=True):
    """One path and some of its methods."""

    path: str
    """With parameters in braces: `/v1/jobs/{job_id}`."""
    methods: tuple[str, ...]
    handler: Handler
    scope: Scope | None = None
    """What the principal has to be allowed to do. A route without one keeps ingest from starting."""
    narrows: bool = False
    """Whether its handler asks by itself for the job types that a key is narrowed to (`api/narrowed.py`)."""
    own: bool = False
    """Whether a principal may use it without the scope for a job that it has submitted itself (`api/owned.py`)."""
    operation: Operation | None = None
    """What stands in the API document; None for pages and OPTIONS."""
    audited: Audited = Audited.NOT
    before: TargetReader | None = None
    """What reads the target of a change, so that its record says what was there before."""

    @property
    def options(self) -> dict[str, Any]:
        """Return what the router keeps beside the route."""
        declared = {SCOPE_KEY: self.scope, OPERATION_KEY: self.operation}
        return {key: value for key, value in declared.items() if value is not None}


def read(
    path: str,
    operation: Operation,
    scope: Scope | None = None,
    *,
    audited: Audited | None = None,
    narrows: bool = False,
    own: bool = False,
) -> Callable[[Handler], Route]:
    """Route GET, and HEAD, to a function."""
    return _declare(path, ("GET", "HEAD"), operation, scope, audited, narrows=narrows, own=own)


def act(
    path: str,
    operation: Operation,
    scope: Scope | None = None,
    *,
    audited: Audited | None = None,
    narrows: bool = False,
    own: bool = False,
) -> Callable[[Handler], Route]:
    """Route POST to a function."""
    return _declare(path, ("POST",), operation, scope, audited, narrows=narrows, own=own)


def put(
    path: str, operation: Operation, scope: Scope | None = None, *, audited: Audited | None = None
) -> Callable[[Handler], Route]:
    """Route PUT to a function."""
    return _declare(path, ("PUT",), operation, scope, audited)


def change(
    path: str, operation: Operation, scope: Scope | None = None, *, audited: Audited | None = None
) -> Callable[[Handler], Route]:
    """Route PATCH to a function."""
    return _declare(path, ("PATCH",), operation, scope, audited)


def remove(
    path: str, operation: Operation, scope: Scope | None = None, *, audited: Audited | None = None
) -> Callable[[Handler], Route]:
    """Route DELETE to a function."""
    return _declare(path, ("DELETE",), operation, scope, audited)


def page(path: str) -> Callable[[Handler], Route]:
    """Route GET, and HEAD, to a function that answers with a public page for people."""
    return _declare(path, ("GET", "HEAD"), None, Scope.PUBLIC)


def _declare(
    path: str,
    methods: tuple[str, ...],
    operation: Operation | None,
    scope: Scope | None,
    audited: Audited | None = None,
    *,
    narrows: bool = False,
    own: bool = False,
) -> Callable[[Handler], Route]:
    # What may change something is audited, unless its route says that it need not be: so none can be forgotten.
    kind = audited or (Audited.NOT if _SAFE.issuperset(methods) else Audited.WHOLE)

    def declared(handler: Handler) -> Route:
        return Route(
            path=path,
            methods=methods,
            handler=owned(handler, scope) if own else handler,
            scope=scope,
            narrows=narrows,
            own=own,
            operation=operation,
            audited=kind,
        )

    return declared


def with_readers(routes: Iterable[Route]) -> list[Route]:
    """Return the routes, those that are audited as a whole with what reads their target."""
    routes = list(routes)
    readers = {route.path: _reading(route) for route in routes if "GET" in route.methods}
    return [
        replace(route, before=_reader_of(route.path, readers)) if route.audited is Audited.WHOLE else route
        for route in routes
    ]


def _reading(route: Route) -> TargetReader:
    names = re.findall(r"\{(\w+)\}", route.path)
    return lambda request, parameters: route.handler(request, **{name: parameters[name] for name in names})


def _reader_of(path: str, readers: Mapping[str, TargetReader]) -> TargetReader | None:
    """Return what reads a path, or else the part of it that ends in a parameter; None where neither can be read."""
    if path in readers and path.endswith("}"):
        return readers[path]
    parent = path.rpartition("/")[0]
    if not parent:
        return None
    if parent.endswith("}"):
        # Of a queue its state is another matter than what is set of it.
        return readers.get(f"{parent}/settings") or readers.get(parent)
    return _reader_of(parent, readers)


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
