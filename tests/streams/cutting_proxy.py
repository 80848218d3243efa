"""A proxy for Redis that can lose a response: the command is executed, and the client never learns of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketAttribute, SocketStream


class CuttingProxy:
    """Passes bytes on, until it is told to lose the response to the next command of a kind."""

    def __init__(self, redis: tuple[str, int]) -> None:
        self.port = 0
        self.cuts = 0
        """How many answers it has lost."""
        self._redis = redis
        self._marks: list[bytes] = []

    @property
    def url(self) -> str:
        """Return the address for a client."""
        return f"redis://127.0.0.1:{self.port}/0"

    def lose_answer_to(self, command: str, times: int = 1) -> None:
        """Break the connection in place of the next responses to this command."""
        self._marks += [command.encode()] * times

    async def handle(self, client: SocketStream) -> None:
        """Serve one connection."""
        async with client, await anyio.connect_tcp(*self._redis) as server:
            doomed = anyio.Event()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._send, client, server, doomed, tasks.cancel_scope)
                tasks.start_soon(self._answer, client, server, doomed, tasks.cancel_scope)

    async def _send(
        self, client: SocketStream, server: SocketStream, doomed: anyio.Event, scope: anyio.CancelScope
    ) -> None:
        try:
            async for sent in client:
                if self._marks and self._marks[0] in sent:
                    self._marks.pop(0)
                    doomed.set()
                await server.send(sent)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        scope.cancel()

    async def _answer(
        self, client: SocketStream, server: SocketStream, doomed: anyio.Event, scope: anyio.CancelScope
    ) -> None:
        try:
            async for answer in server:
                if doomed.is_set():
                    self.cuts += 1
                    break
                await client.send(answer)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        scope.cancel()


@asynccontextmanager
async def cutting_proxy(redis: tuple[str, int]) -> AsyncIterator[CuttingProxy]:
    """Yield a proxy for the Redis at this host and port."""
    proxy = CuttingProxy(redis)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    proxy.port = listener.extra(SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, proxy.handle)
        yield proxy
        tasks.cancel_scope.cancel()
