"""Receivers of webhooks on loopback, which behave as the test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

LOOPBACK = "127.0.0.1/32"
"""The network that calls of tests may go to."""


@dataclass
class Received:
    """A request as it arrived."""

    target: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Receiver:
    """Keeps what it received; `answer` is sent behind each whole request."""

    answer: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    behaviour: Behaviour | None = None
    """Runs in place of the answer."""
    received: list[Received] = field(default_factory=list)
    port: int = 0
    connections: int = 0

    @property
    def url(self) -> str:
        """The URL of this receiver."""
        return f"http://127.0.0.1:{self.port}/hook?a=1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        try:
            while head := await _head(reader):
                line, headers = head
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.received.append(Received(line.split(" ")[1], headers, body))
                if self.behaviour is not None:
                    await self.behaviour(reader, writer)
                    return
                writer.write(self.answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def answering(status: int, *headers: str, body: str = "") -> bytes:
    """Return an answer."""
    lines = [f"HTTP/1.1 {status} x", f"content-length: {len(body)}", *headers, "", body]
    return "\r\n".join(lines).encode()


@asynccontextmanager
async def receiving(answer: bytes | None = None, behaviour: Behaviour | None = None) -> AsyncIterator[Receiver]:
    """Run a receiver on a free port."""
    receiver = Receiver(behaviour=behaviour) if answer is None else Receiver(answer, behaviour)
    open_ones: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_ones.add(task)
        try:
            await receiver.serve(reader, writer)
        except asyncio.CancelledError:
            writer.close()
        finally:
            open_ones.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)
        await server.wait_closed()


async def _head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]] | None:
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    line, *lines = text.strip().split("\r\n")
    return line, {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
