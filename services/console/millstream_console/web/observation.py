"""Times and traces requests: a span for each page and form, the parent of those that ingest makes of its calls."""

import time

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from millstream_telemetry import ConsoleMetrics, JobTracer

UNOBSERVED = "unobserved"
"""The option of routes that are neither timed nor traced: files and probes."""


class Observation(ASGIMiddleware):
    """Observes what people ask for. A stream that keeps a page fresh is none: it lasts as long as the page is open."""

    scopes = (ScopeType.HTTP,)
    exclude_opt_key = UNOBSERVED

    def __init__(self, tracer: JobTracer, metrics: ConsoleMetrics) -> None:
        self._tracer = tracer
        self._metrics = metrics

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass the request on."""
        headers = dict(scope["headers"])
        if b"text/event-stream" in headers.get(b"accept", b""):
            await next_app(scope, receive, send)
            return
        route, begun = scope["path_template"], time.perf_counter()
        caller = (headers.get(b"traceparent", b"").decode("latin-1"), headers.get(b"tracestate", b"").decode("latin-1"))
        with self._tracer.server(str(scope.get("method", "")), route, *caller) as span:

            async def send_observed(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.answered(message["status"])
                    self._metrics.observe_page(route, message["status"], time.perf_counter() - begun)
                await send(message)

            await next_app(scope, receive, send_observed)
