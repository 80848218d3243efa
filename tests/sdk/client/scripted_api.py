"""An HTTP server on loopback that responds as the API does, or as a script says."""

import inspect
import ssl
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio.to_thread
import msgspec
from msgspec import Struct

MSGPACK = "application/vnd.msgpack"


def job_body(
    job_id: str = "email.send_0001890000000000000000000000", state: str = "queued", **more: Any
) -> dict[str, Any]:
    """Return a job as the API sends it."""
    return {"id": job_id, "type": "email.send", "state": state, "created_at": "2026-01-02T03:04:05Z", **more}


class Received(Struct, frozen=True):
    """A request as the server received it."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        """The decoded body."""
        return msgspec.msgpack.decode(self.content)


class Reply(Struct, frozen=True):
    """A response that the server sends."""

    status: int = 200
    body: Any = None
    content_type: str = MSGPACK
    headers: dict[str, str] = {}

    def encoded(self) -> bytes:
        """Return the body in the encoding of its content type."""
        if isinstance(self.body, bytes):
            return self.body
        return (
            msgspec.json.encode(self.body) if "json" in self.content_type.lower() else msgspec.msgpack.encode(self.body)
        )


class Lost(Struct, frozen=True):
    """A step in which the request is executed and the connection breaks before the response."""


Step = Reply | Lost | Callable[[Received], Reply]


def problem(status: int, title: str, **more: Any) -> Reply:
    """Return a refusal as the API words it."""
    headers = more.pop("headers", {})
    body = {"type": "https://example.org/p", "title": title, "status": status, **more}
    return Reply(status, body, "application/problem+json", headers)


class ScriptedApi:
    """Handles submissions as the real API does, unless its script has a step for the request."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.script: deque[Step] = deque()
        self.stored: dict[str, dict[str, Any]] = {}
        """Jobs by Idempotency-Key."""
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # An answer is written in two parts, and the second would wait 40 ms for the acknowledgement of the first.
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                api.handle(self)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any  # noqa: N815 - the names that http.server looks for

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        """Stop serving."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def handle(self, http: BaseHTTPRequestHandler) -> None:
        """Carry out the step of the script for the next request."""
        parts = urlsplit(http.path)
        headers = {name.lower(): value for name, value in http.headers.items()}
        content = http.rfile.read(int(headers.get("content-length", 0)))
        request = Received(http.command, parts.path, parse_qs(parts.query), headers, content)
        self.received.append(request)
        step: Step = self.script.popleft() if self.script else self.take
        if isinstance(step, Lost):
            self.take(request)
            http.close_connection = True
            return
        self.send(http, step if isinstance(step, Reply) else step(request))

    def take(self, request: Received) -> Reply:
        """Handle a submission; the same key makes the same job."""
        key = request.headers.get("idempotency-key", str(len(self.stored)))
        job = self.stored.setdefault(key, job_body(f"email.send_00018900000000000000{len(self.stored):06d}"))
        return Reply(202, job)

    @staticmethod
    def send(http: BaseHTTPRequestHandler, reply: Reply) -> None:
        """Write a response to the connection."""
        content = reply.encoded()
        http.send_response(reply.status)
        if reply.content_type:
            http.send_header("Content-Type", reply.content_type)
        http.send_header("Content-Length", str(len(content)))
        for name, value in reply.headers.items():
            http.send_header(name, value)
        http.end_headers()
        http.wfile.write(content)


class Either:
    """Makes the methods of both clients and of their handles awaitable, so that one test covers both."""

    def __init__(self, inner: Any, is_sync: bool) -> None:
        self.inner = inner
        self.is_sync = is_sync

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.inner, name)
        if not callable(attribute):
            return attribute

        async def call(*args: Any, **kwargs: Any) -> Any:
            if self.is_sync:
                result = await anyio.to_thread.run_sync(lambda: attribute(*args, **kwargs))
            else:
                result = attribute(*args, **kwargs)
                result = await result if inspect.isawaitable(result) else result
            return Either(result, self.is_sync) if type(result).__name__.endswith(_WRAPPED) else result

        return call

    async def __aenter__(self) -> Any:
        enter = self.inner.__enter__ if self.is_sync else self.inner.__aenter__
        entered = await anyio.to_thread.run_sync(enter) if self.is_sync else await enter()
        return Either(entered, self.is_sync)

    async def __aexit__(self, *error: object) -> None:
        if self.is_sync:
            await anyio.to_thread.run_sync(self.inner.__exit__, *error)
        else:
            await self.inner.__aexit__(*error)


_WRAPPED = ("JobHandle", "WorkflowRun", "BatchHandle", "BatchBlock")


Connect = Callable[..., Either]
"""Makes a client of the server."""
