"""Wraps every API request in its span."""

from typing import Any

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from millstream_ingest.api.request import SPAN_KEY
from millstream_telemetry import JobTracer

API_PREFIX = "/v1/"


class RequestRecorder:
    """A middleware. Health, metrics and pages are left alone: probes would drown everything else."""

    def __init__(self, app: ASGIApp, tracer: JobTracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note how it was answered."""
        route: str = scope["path_template"]
        if not route.startswith(API_PREFIX):
            await self._app(scope, receive, send)
            return
        method: str = scope["method"]  # type: ignore[typeddict-item]
        with self._tracer.server(method, route, *trace_headers(scope)) as span:
            scope["state"][SPAN_KEY] = span

            async def record(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.answered(message["status"])
                await send(message)

            await self._app(scope, receive, record)


def trace_headers(scope: Any) -> tuple[str, str]:
    """Return `traceparent` and `tracestate` of a request, each empty when it is missing."""
    traceparent, tracestate = "", []
    for name, value in scope["headers"]:
        if name == b"traceparent":
            traceparent = value.decode("latin-1")
        elif name == b"tracestate":
            # The list may be spread over several headers.
            tracestate.append(value.decode("latin-1"))
    return traceparent, ",".join(tracestate)
