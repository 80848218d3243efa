"""Puts the routes together into one ASGI application. It opens nothing and starts nothing."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from litestar import Litestar, Request
from litestar import Response as LitestarResponse
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from millstream_ingest.api.docs_page import asset_router
from millstream_ingest.api.document import api_document
from millstream_ingest.api.endpoint import endpoint, refuse, trace_headers
from millstream_ingest.api.fast_path import Asgi, fast_path
from millstream_ingest.api.options import options_routes
from millstream_ingest.api.route import Route, require_scopes, with_readers
from millstream_ingest.api.routes import (
    audit,
    batches,
    bulk_submission,
    dead,
    demand,
    docs,
    events,
    health,
    incidents,
    job_lists,
    jobs,
    keys,
    operations,
    queue_settings,
    queues,
    schedules,
    sessions,
    statistics,
    steps,
    submission,
    system,
    templates,
    tenants,
    types,
    webhooks,
    workers,
    workflows,
)
from millstream_ingest.assembly import Services
from millstream_ingest.http.headers import read_headers
from millstream_ingest.http.response import EncodedResponse
from millstream_telemetry import read_trace_context

_METHOD_NOT_ALLOWED = 405

API_ROUTES: Sequence[Route] = (
    *submission.ROUTES,
    *job_lists.ROUTES,
    *jobs.ROUTES,
    *steps.ROUTES,
    *bulk_submission.ROUTES,
    *dead.ROUTES,
    *queues.ROUTES,
    *demand.ROUTES,
    *events.ROUTES,
    *operations.ROUTES,
    *statistics.ROUTES,
    *system.ROUTES,
    *types.ROUTES,
    *workers.ROUTES,
    *incidents.ROUTES,
    *webhooks.ROUTES,
    *schedules.ROUTES,
    *workflows.ROUTES,
    *queue_settings.ROUTES,
    *batches.ROUTES,
    *templates.ROUTES,
    *keys.ROUTES,
    *tenants.ROUTES,
    *audit.ROUTES,
    *sessions.ROUTES,
)


def create_asgi(services: Services) -> Asgi:
    """Return what is served: the application, with submissions passed by its router. Raises: UndeclaredScopeError."""
    return fast_path(endpoint(services, submission.submit_job), create_app(services))


def create_app(services: Services) -> Litestar:
    """Return the application over working services. Raises: UndeclaredScopeError.

    With an admin port the metrics are served there, and not here. Probes are answered by both: a load balancer asks
    the port that it sends requests to.
    """
    document: dict[str, Any] = {}
    routes = [*with_readers(API_ROUTES), *docs.routes_of(document), *health.PROBES]
    if services.settings.admin_port is None:
        routes.append(health.get_metrics)
    document |= api_document(routes)

    def refuse_unrouted(request: Request[Any, Any, Any], error: Exception) -> _Refusal:
        return _Refusal(_refused(services, request, error))

    app = Litestar(
        route_handlers=[*routed(services, routes), asset_router()],
        exception_handlers={Exception: refuse_unrouted},
        # The document is ours: Litestar's knows one encoding per body, and answers to `Response` without a schema.
        openapi_config=None,
        # Bodies are read under the bounds of their own routes.
        request_max_body_size=None,
        logging_config=None,
        debug=False,
        pdb_on_exception=False,
    )
    require_scopes(app.routes)
    return app


def routed(services: Services, routes: Iterable[Route]) -> list[HTTPRouteHandler]:
    """Return the routes as Litestar takes them, each leading to its endpoint."""
    routes = list(routes)
    # Litestar makes OPTIONS by itself where it is missing, and then names only one of a path's methods.
    return [_routed(endpoint(services, route), route) for route in (*options_routes(routes), *routes)]


def _routed(served: ASGIApp, route: Route) -> HTTPRouteHandler:
    async def find_endpoint() -> ASGIApp:
        return served

    path = re.sub(r"\{(\w+)\}", r"{\1:str}", route.path)
    # The status is the endpoint's business; without one Litestar has an opinion by method.
    declare = HTTPRouteHandler(path, http_method=list(route.methods), status_code=200, opt=route.options)  # type: ignore[arg-type]
    return declare(find_endpoint)


class _Refusal(LitestarResponse[None]):
    """A refusal by the router, as Litestar wants to be given it."""

    def __init__(self, encoded: EncodedResponse) -> None:
        super().__init__(None, status_code=encoded.status)
        self._encoded = encoded

    def to_asgi_response(
        self,
        app: Any,  # noqa: ARG002 - deprecated by Litestar, and still passed
        request: Request[Any, Any, Any],
        **_: Any,
    ) -> ASGIResponse:
        """Return the problem document for this request."""
        is_head = request.scope["method"] == "HEAD"
        fields = {name.decode(): value.decode("latin-1") for name, value in self._encoded.fields}
        body = b"" if is_head else self._encoded.body
        return ASGIResponse(status_code=self._encoded.status, body=body, headers=fields, is_head_response=is_head)


def _refused(services: Services, request: Request[Any, Any, Any], error: Exception) -> EncodedResponse:
    headers: dict[str, str] = {}
    if isinstance(error, HTTPException) and error.status_code == _METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("allow", "")
        headers["Allow"] = ", ".join(sorted(allowed.split(", ")))
    scope = request.scope
    trace_id = read_trace_context(*trace_headers(read_headers(list(scope["headers"])))).trace_id
    # What has no route has no template.
    return refuse(services, error, scope, scope.get("path_template", ""), trace_id, headers)
