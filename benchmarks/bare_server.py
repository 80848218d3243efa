"""The floor of HTTP submission: an ASGI callable that writes each body into a stream, over one connection.

Run as `python bare_server.py PORT`, with Redis by MILLSTREAM_REDIS_URL. It shares only its HTTP server with ingest: it
has no validation, ids, state, metrics or traces.
"""

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import hiredis
import uvloop

from millstream_runtime.http_server import HttpServer

STREAM = b"bare"
_ANSWER = b'{"state":"queued"}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(_ANSWER)).encode())]


class PipelinedRedis(asyncio.Protocol):
    """A connection that sends the commands of one turn of the event loop together."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._transport: Any = None
        self._unsent: list[bytes] = []
        self._waiting: deque[asyncio.Future[Any]] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Resolve the waiting calls, in their order."""
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            self._waiting.popleft().set_result(reply)

    def call(self, *command: bytes) -> "asyncio.Future[Any]":
        """Send a command. Returns: a future of its reply."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(hiredis.pack_command(command))
        answer = self._loop.create_future()
        self._waiting.append(answer)
        return answer

    def _flush(self) -> None:
        self._transport.write(b"".join(self._unsent))
        self._unsent.clear()


def bare_app(redis: PipelinedRedis) -> Callable[..., Awaitable[None]]:
    """Return the ASGI callable."""

    async def app(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        status = 200
        if scope["method"] == "POST":
            body, more = b"", True
            while more:
                message = await receive()
                body, more = body + message["body"], message.get("more_body", False)
            await redis.call(b"XADD", STREAM, b"*", b"body", body)
            status = 202
        await send({"type": "http.response.start", "status": status, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _ANSWER})

    return app


async def main() -> None:
    """Serve until SIGTERM."""
    url = urlsplit(os.environ["MILLSTREAM_REDIS_URL"])
    loop = asyncio.get_running_loop()
    _, redis = await loop.create_connection(PipelinedRedis, url.hostname, url.port)
    server = HttpServer(bare_app(redis), "127.0.0.1", int(sys.argv[1]))
    loop.add_signal_handler(signal.SIGTERM, server.stop)
    await server.run()


uvloop.run(main())
