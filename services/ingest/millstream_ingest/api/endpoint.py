"""Serves one request, whichever door it came by: span, principal, errors as problems, encoding, HEAD.

The router and the fast path both end here, so what holds for every request is written once.
"""

from functools import partial
from typing import Any

from millstream_ingest.api.principal import principal_of
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import Route
from millstream_ingest.assembly import Services
from millstream_ingest.http.client_watch import Receive
from millstream_ingest.http.headers import Headers, header_text, read_headers
from millstream_ingest.http.refusals import refusal_of
from millstream_ingest.http.request_attributes import request_attributes
from millstream_ingest.http.response import (
    NO_HEADERS,
    EncodedResponse,
    Send,
    StreamedResponse,
    encode_problem,
    encode_response,
)
from millstream_telemetry import JobTracer

API_PREFIX = "/v1/"
"""Of the routes that are traced. Health, metrics and pages are not: probes would drown everything else."""

MAX_INSTANCE_CHARS = 256

_UNTRACED = JobTracer(None)
_NO_PARAMETERS: dict[str, str] = {}


def endpoint(services: Services, route: Route) -> "partial[Any]":
    """Return the ASGI application of one route."""
    return partial(serve, services, route, services.tracer if route.path.startswith(API_PREFIX) else _UNTRACED)


async def serve(services: Services, route: Route, tracer: JobTracer, scope: Any, receive: Receive, send: Send) -> None:
    """Answer a request to a route."""
    headers, method = read_headers(scope["headers"]), scope["method"]
    about = partial(request_attributes, scope, headers)
    with tracer.server(method, route.path, *trace_headers(headers), about) as span:
        try:
            # Enforcement of `route.scope` belongs here, before anything of the body is read.
            request = ApiRequest(services, scope, receive, headers, principal_of(headers), span)
            response = await route.handler(request, **scope.get("path_params", _NO_PARAMETERS))
            encoded: EncodedResponse | StreamedResponse = encode_response(response, headers)
        except Exception as error:  # noqa: BLE001 - whatever it is has a response
            encoded = refuse(services, error, scope, route.path, span.trace_id)
        span.answered(encoded.status)
        if isinstance(encoded, EncodedResponse):
            await encoded.send(send, is_head=method == "HEAD")
            return
    # A stream may last for days, and its span ends where it begins.
    await encoded.send(send, is_head=method == "HEAD")


def refuse(
    services: Services, error: Exception, scope: Any, route: str, trace_id: str, headers: Any = NO_HEADERS
) -> EncodedResponse:
    """Return the problem document for an exception, and note why the request was refused."""
    refusal = refusal_of(error)
    services.refusals.note(error, refusal, method=scope["method"], route=route)
    return encode_problem(refusal.problem(instance=scope["path"][:MAX_INSTANCE_CHARS], trace_id=trace_id), headers)


def trace_headers(headers: Headers) -> tuple[str, str]:
    """Return `traceparent` and `tracestate` of a request; both are empty without the first."""
    if b"traceparent" not in headers:
        return "", ""
    return header_text(headers, b"traceparent"), header_text(headers, b"tracestate")
