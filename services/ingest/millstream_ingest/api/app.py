"""Puts the routes together into one ASGI application. It opens nothing and starts nothing."""

from collections.abc import Sequence
from typing import Any

from litestar import Litestar, Request, Router
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import DefineMiddleware

from millstream_ingest.api.document import api_document
from millstream_ingest.api.endpoint import RequestRecorder, trace_headers
from millstream_ingest.api.options import options_routes
from millstream_ingest.api.request import SPAN_KEY, ApiRequest
from millstream_ingest.api.routes import batches, dead, docs, health, jobs, queues, types, workers
from millstream_ingest.assembly import Parts
from millstream_ingest.http.refusals import refusal_of
from millstream_ingest.http.response import Refusal
from millstream_telemetry import read_trace_context

_METHOD_NOT_ALLOWED = 405

API_ROUTES: Sequence[HTTPRouteHandler | Router] = (
    *jobs.ROUTES,
    *batches.ROUTES,
    *dead.ROUTES,
    *queues.ROUTES,
    *types.ROUTES,
    *workers.ROUTES,
    *docs.ROUTES,
)


def create_app(parts: Parts) -> Litestar:
    """Return the application over working parts.

    With an admin port the health and metrics routes are served there, and not here.
    """
    routes = [*API_ROUTES, *(health.ROUTES if parts.config.admin_port is None else ())]
    app = Litestar(
        # Litestar makes these by itself where they are missing, and then names only one of a path's methods.
        route_handlers=[*options_routes(routes), *routes],
        request_class=ApiRequest,
        middleware=[DefineMiddleware(RequestRecorder, tracer=parts.tracer)],
        exception_handlers={Exception: refuse},
        state=State({"parts": parts}),
        # The document is ours: Litestar's knows one encoding per body, and answers to `Response` without a schema.
        openapi_config=None,
        # Bodies are read under the bounds of their own routes.
        request_max_body_size=None,
        logging_config=None,
        debug=False,
        pdb_on_exception=False,
    )
    app.state["document"] = api_document(app.routes)
    return app


def refuse(request: Request[Any, Any, Any], error: Exception) -> Refusal:
    """Answer an exception with a problem document."""
    refusal = refusal_of(error)
    headers: dict[str, str] = {}
    if isinstance(error, HTTPException) and error.status_code == _METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("allow", "")
        headers["Allow"] = ", ".join(sorted(allowed.split(", ")))
    scope = request.scope
    # What has no route has no template.
    route = scope.get("path_template", "")
    parts: Parts = scope["litestar_app"].state["parts"]
    parts.refusals.note(error, refusal, method=str(request.method), route=route)
    return Refusal(refusal, _trace_id(request), headers)


def _trace_id(request: Request[Any, Any, Any]) -> str:
    span = request.scope["state"].get(SPAN_KEY)
    # What has no route has no span.
    trace_id: str = span.trace_id if span else read_trace_context(*trace_headers(request.scope)).trace_id
    return trace_id
