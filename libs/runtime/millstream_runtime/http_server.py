"""The HTTP server under the application: granian, on the event loop of the service.

No other module knows which server it is. It is imported from here, and not from the package: only services that serve
HTTP have granian installed.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from millstream_runtime.announcing import announce, reachable
from millstream_runtime.errors import BindError
from millstream_runtime.unwrapping import unwrapped

Asgi = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application."""

Listening = Callable[[str, int], None]
"""Called with host and port once requests are answered."""

BACKLOG = 1024
MAX_HEADER_BYTES = 64 << 10
"""The size of all headers of a request together; each is parsed, and 400 KB of one could delay all requests by a
second.
"""
_LOOK_EVERY_S = 0.005


class HttpServer:
    """Serves an application on one address. Its port is bound from the beginning. Raises: BindError."""

    def __init__(self, app: Asgi, host: str, port: int) -> None:
        self.host = host
        self.was_chosen = port == 0
        """Whether the port is one that was free, and no setting says which."""
        self._reserved = _reserve(host, port)
        self._ended = anyio.Event()
        self.port: int = self._reserved.getsockname()[1]
        # The application is opened and closed by the service, so the server leaves the lifespan protocol alone.
        self._server = Server(
            app,
            address=host,
            port=self.port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(max_buffer_size=MAX_HEADER_BYTES),
            websockets=False,
            backlog=BACKLOG,
            log_enabled=False,
        )

    async def run(self) -> None:
        """Serve until :meth:`stop` was called and the requests in hand have been answered."""
        serving = asyncio.ensure_future(self._server.serve())
        try:
            # Shielded: granian reports its end to a future that a cancellation would have ended.
            await asyncio.shield(serving)
        finally:
            self._reserved.close()
            self._ended.set()

    async def wait_listening(self) -> None:
        """Return once connections are accepted, or the server has ended."""
        # The reserved socket does not listen, so what answers is the server.
        while not self._ended.is_set():
            try:
                stream = await anyio.connect_tcp(reachable(self.host), self.port)
            except OSError:
                await anyio.sleep(_LOOK_EVERY_S)
            else:
                await stream.aclose()
                return

    async def wait_ended(self, within_s: float) -> None:
        """Return once the requests in hand have been answered, or the time is over."""
        with anyio.move_on_after(within_s):
            await self._ended.wait()

    def stop(self) -> None:
        """Accept no more requests."""
        # Connections that came to the reserved socket would wait there for ever.
        self._reserved.close()
        self._server.stop()  # type: ignore[no-untyped-call]


@asynccontextmanager
async def serving(
    server: HttpServer, stop: anyio.Event, *, grace_s: float, on_listening: Listening | None = None
) -> AsyncIterator[None]:
    """Serve while the block lasts, which begins once connections are accepted and the address is announced.

    After the block requests in hand may take `grace_s`. A server that ends by itself sets `stop`.
    """
    with unwrapped():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_run_until_stopped, server, stop)
            await server.wait_listening()
            announce("listening", server.host, server.port, was_chosen=server.was_chosen)
            if on_listening:
                on_listening(server.host, server.port)
            yield
            server.stop()
            await server.wait_ended(grace_s)
            tasks.cancel_scope.cancel()


async def _run_until_stopped(server: HttpServer, stop: anyio.Event) -> None:
    await server.run()
    # A server that ends by itself leaves nothing to wait for.
    stop.set()


def _reserve(host: str, port: int) -> socket.socket:
    """Return a bound socket that does not listen: it holds the port, and with SO_REUSEPORT the server shares it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # With SO_REUSEPORT two servers can have one port, each a share of its requests: a mistake to be refused.
        with socket.create_server((host, port), family=family) as probe:
            free_port = probe.getsockname()[1]
        holder = socket.socket(family, socket.SOCK_STREAM)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((host, free_port))
    except OSError as error:
        raise BindError(host, port, error.strerror or str(error)) from error
    return holder
