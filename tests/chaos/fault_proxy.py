"""A proxy between one service and Redis that can cut, refuse, hold, delay and throttle connections.

It counts connections and commands of the service, so that "no busy loop" is a figure.
"""

import asyncio
import re
import socket
import struct
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Self

from msgspec import Struct

HOST = "127.0.0.1"

# The head of a command in RESP: how many words, then the length of the first. One that two reads share is not
# counted, which is rare and makes the figure smaller.
_COMMAND = re.compile(rb"\*\d+\r\n\$")
TURNS_TO_CLOSE = 4
# The name of a stream of ready jobs, as the answer to a blocking read has it before the entry. No other answer has it.
_READ = re.compile(rb":ready:(?:high|normal|low)\r\n")
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Mode(StrEnum):
    """What the proxy does to a connection."""

    PASS = "pass"
    REFUSE = "refuse"
    """Each connection is reset as soon as it is made."""
    SWALLOW = "swallow"
    """Each connection is accepted, and nothing passes. The data arrives when the link heals, as with TCP."""


class Traffic(Struct, frozen=True):
    """The connections and commands of a service so far."""

    connections: int = 0
    commands: int = 0

    def since(self, before: "Traffic") -> "Traffic":
        """Return the difference to an earlier reading."""
        return Traffic(self.connections - before.connections, self.commands - before.commands)


class FaultProxy:
    """One port that leads to Redis; an async context manager, which runs on the loop that opens it."""

    def __init__(self, redis: tuple[str, int]) -> None:
        self.redis = redis
        self.port = 0
        self.mode = Mode.PASS
        self.delay_s = 0.0
        """The delay of all data, in each direction."""
        self.bytes_per_s = 0.0
        """The most bytes that pass in each direction; 0 is no limit."""
        self.on_read: Callable[[], None] | None = None
        """Called once, with the next answer to a blocking read that brings a job, before that is passed on."""
        self.lanes: set[Lane] = set()
        self.open_connections = 0
        """The number of connections that the service has to Redis now."""
        self._traffic = [0, 0]
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Return the address for a client."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def traffic(self) -> Traffic:
        """Return the traffic so far."""
        return Traffic(*self._traffic)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: ClientEnd(self), HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        # A connection that was just accepted is one in the next turns of the loop, and one that was cut is closed then.
        for _ in range(TURNS_TO_CLOSE):
            self.cut()
            await asyncio.sleep(0)

    def cut(self) -> None:
        """Reset every connection now, with the data under way."""
        for lane in list(self.lanes):
            lane.abort()

    def refuse(self) -> None:
        """Reset every connection, and each new one at once."""
        self.mode = Mode.REFUSE
        self.cut()

    def swallow(self) -> None:
        """Hold all data: the other side seems to be there and does not respond."""
        self.mode = Mode.SWALLOW

    def slow(self, *, delay_s: float = 0.0, bytes_per_s: float = 0.0) -> None:
        """Pass all data late, or little at a time."""
        self.delay_s, self.bytes_per_s = delay_s, bytes_per_s

    def heal(self) -> None:
        """Pass all data as it arrives, and first what was held."""
        self.mode = Mode.PASS
        self.slow()
        for lane in list(self.lanes):
            lane.pump()

    def notice_answer(self, data: bytes) -> None:
        """Look whether an answer is the one that is waited for."""
        if self.on_read is not None and _READ.search(data):
            on_read, self.on_read = self.on_read, None
            on_read()

    def count_connection(self) -> None:
        """Count a connection of the service."""
        self._traffic[0] += 1
        self.open_connections += 1

    def count_commands(self, sent: bytes) -> None:
        """Count the commands of the service."""
        self._traffic[1] += len(_COMMAND.findall(sent))


class Lane:
    """One direction of one connection. It bounds no memory, because one service has little under way."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.out: asyncio.Transport | None = None
        """The destination; None while the connection to it is being made."""
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, bytes | None]] = deque()
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        proxy.lanes.add(self)

    def put(self, data: bytes | None) -> None:
        """Queue data to be passed on; None is the end."""
        due = self._loop.time() + self._proxy.delay_s
        self._waiting.append((due, data))
        self.pump()

    def pump(self) -> None:
        """Pass on the data that may pass now."""
        while self._waiting and self.out is not None and self._proxy.mode is Mode.PASS:
            now = self._loop.time()
            due = max(self._waiting[0][0], self._free_at)
            if due > now:
                self._call_at(due)
                return
            self._write(now, self._waiting.popleft()[1])

    def abort(self) -> None:
        """Reset the connection at once."""
        self._waiting.clear()
        self._proxy.lanes.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self.out is not None:
            _reset(self.out)

    def _write(self, now: float, data: bytes | None) -> None:
        assert self.out is not None
        if data is None:
            self._proxy.lanes.discard(self)
            self.out.close()
            return
        if self.out.is_closing():  # its reader has left meanwhile
            return
        self.out.write(data)
        if self._proxy.bytes_per_s:
            self._free_at = now + len(data) / self._proxy.bytes_per_s

    def _call_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self.pump)


class End(asyncio.Protocol):
    """The protocol that reads one side of a connection into the lane to the other."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane

    def data_received(self, data: bytes) -> None:
        """Pass the data on."""
        self.lane.put(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other side, behind all that was sent before."""
        self.lane.put(None)


class ClientEnd(End):
    """The side of the service."""

    def __init__(self, proxy: FaultProxy) -> None:
        super().__init__(Lane(proxy))
        self._proxy = proxy
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Connect to Redis, unless that is refused."""
        self._proxy.count_connection()
        if self._proxy.mode is Mode.REFUSE:
            self.lane.abort()
            _reset(transport)
            return
        self._connecting = asyncio.get_running_loop().create_task(self._connect(transport))

    def data_received(self, data: bytes) -> None:
        """Count the data, and pass it on."""
        self._proxy.count_commands(data)
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the end, and close the other side."""
        self._proxy.open_connections -= 1
        super().connection_lost(exc)

    async def _connect(self, client: asyncio.Transport) -> None:
        back = Lane(self._proxy)
        back.out = client
        try:
            connected = asyncio.get_running_loop().create_connection(
                lambda: ServerEnd(back, self._proxy), *self._proxy.redis
            )
            server, _ = await connected
        except OSError:
            back.abort()
            self.lane.abort()
            return
        if self.lane not in self._proxy.lanes:  # cut meanwhile
            _reset(server)
            return
        self.lane.out = server
        self.lane.pump()


class ServerEnd(End):
    """The side of Redis."""

    def __init__(self, lane: Lane, proxy: FaultProxy) -> None:
        super().__init__(lane)
        self._proxy = proxy

    def data_received(self, data: bytes) -> None:
        """Look at the data, and pass it on."""
        self._proxy.notice_answer(data)
        super().data_received(data)


def _reset(transport: asyncio.Transport) -> None:
    """Close with a RST, because a FIN would look like an orderly end."""
    raw = transport.get_extra_info("socket")
    if raw is not None and not transport.is_closing():
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
