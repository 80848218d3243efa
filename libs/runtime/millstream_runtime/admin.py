"""The small HTTP server of workers, dispatchers and reapers: `/metrics`, `/livez`, `/readyz`, `/health`.

It runs in a thread of its own, so that it answers while a handler blocks the event loop.
"""

import socket
import socketserver
import threading
from contextlib import AbstractContextManager, nullcontext
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import msgspec
import structlog
from prometheus_client.exposition import choose_encoder

from millstream_contracts import Problem
from millstream_runtime.announcing import announce
from millstream_runtime.errors import AdminBindError
from millstream_runtime.health import HealthReport
from millstream_telemetry.metrics.registry import MetricRegistry

REQUEST_TIMEOUT_S = 10.0
"""How long a connection may be silent before it is closed: each has a thread."""

_POLL_S = 0.2


class AdminServer:
    """Answers probes and scrapes until it is closed; a context manager.

    Port 0 takes a free one; :attr:`port` says which. Raises: AdminBindError.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        registry: MetricRegistry,
        report: HealthReport,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        try:
            self._server = _Server(host, port, registry, report, request_timeout_s)
        except OSError as error:
            raise AdminBindError(host, port, error.strerror or str(error)) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), name="admin", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening. Idempotent."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve_admin(
    host: str, port: int | None, *, registry: MetricRegistry, report: HealthReport
) -> AbstractContextManager[object]:
    """Return a server that answers while the context lasts, and announces its port; without a port there is none.

    Raises: AdminBindError.
    """
    if port is None:
        return nullcontext()
    server = AdminServer(host, port, registry=registry, report=report)
    announce("admin", host, server.port, was_chosen=port == 0)
    return server


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, host: str, port: int, registry: MetricRegistry, report: HealthReport, request_timeout_s: float
    ) -> None:
        self.request_timeout_s = request_timeout_s
        self.registry = registry
        self.report = report
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind without the DNS look-up of this host's name that the parent class adds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """Log the failure of one request; the parent class would print it."""
        structlog.get_logger().warning("admin request failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def setup(self) -> None:
        """Give the connection its timeout."""
        super().setup()
        self.connection.settimeout(self.server.request_timeout_s)

    def do_GET(self) -> None:
        """Answer one of the four paths."""
        match self.path.partition("?")[0]:
            case "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._send(HTTPStatus.OK, content_type, encode(self.server.registry))
            case "/livez":
                live = self.server.report.live()
                self._send_health(live, ok=live.ok)
            case "/readyz":
                ready = self.server.report.ready()
                self._send_health(ready, ok=ready.ok)
            case "/health":
                overview = self.server.report.overview()
                self._send_health(overview, ok=overview.ok)
            case _:
                self._send_not_found()

    do_HEAD = do_GET  # noqa: N815 - the parent's name

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: probes come every few seconds."""

    def _send_health(self, health: msgspec.Struct, *, ok: bool) -> None:
        status = HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE
        body = msgspec.json.format(msgspec.json.encode(health)) + b"\n"
        self._send(status, "application/json", body)

    def _send_not_found(self) -> None:
        problem = Problem(
            type="about:blank",
            title="Not Found",
            status=HTTPStatus.NOT_FOUND,
            detail="here are /metrics, /livez, /readyz and /health",
        )
        self._send(HTTPStatus.NOT_FOUND, "application/problem+json", msgspec.json.encode(problem))

    def _send(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
