"""One client that follows events: which ones, and those that it has not been sent yet."""

from collections import deque
from collections.abc import AsyncGenerator, Callable

import anyio
from msgspec import Struct

from millstream_contracts import JobId, JobType, Queue, Tenant
from millstream_ingest.events.frames import GAP_FRAME, sign_of_life

MAX_FRAMES = 256
"""The most frames that wait for a client. A client that is slower loses them all, and is told of the gap."""

WRITE_EVERY_S = 0.1
"""The time between two writes to a client, so that a busy system costs it a few packets a second."""

LIFE_EVERY_S = 15.0
"""The longest silence; proxies end a connection that is silent for a minute."""


class Choice(Struct, frozen=True):
    """The events that a client wants: all of a tenant, those of a type, or those of one job."""

    tenant: Tenant
    type: JobType | None = None
    job: JobId | None = None
    queue: Queue | None = None
    """The queue of the job."""

    @property
    def scope(self) -> tuple[str | int, ...]:
        """Return the queues in which the events are, as what their (tenant, type, partition) begins with."""
        if self.queue is not None:
            return self.queue.tenant, self.queue.type, self.queue.partition
        return (self.tenant, self.type) if self.type else (self.tenant,)

    @property
    def topic(self) -> tuple[str, ...]:
        """Return what the events have in common."""
        if self.job is not None:
            return self.tenant, "", self.job
        return (self.tenant, self.type) if self.type else (self.tenant,)


class Listener:
    """The frames that wait for one client. They are of one event loop."""

    def __init__(self, choice: Choice, since_ms: int) -> None:
        self.choice = choice
        self.since_ms = since_ms
        """It gets what happens from this moment on, by the clock of Redis."""
        self._frames: deque[bytes] = deque()
        self._filled = anyio.Event()
        self._is_closed = False

    def push(self, frame: bytes) -> bool:
        """Add a frame, which may be shared with other listeners. Returns: False, when those before it are lost."""
        keeps_up = len(self._frames) < MAX_FRAMES
        if not keeps_up:
            self.push_gap()
        self._frames.append(frame)
        self._filled.set()
        return keeps_up

    def push_gap(self) -> None:
        """Drop what waits, and tell that it is missing."""
        self._frames.clear()
        self._frames.append(GAP_FRAME)
        self._filled.set()

    def close(self) -> None:
        """End the listener, once what waits is sent."""
        self._is_closed = True
        self._filled.set()

    async def pieces(self, seen_ms: Callable[[], int]) -> AsyncGenerator[bytes]:
        """Yield what is to be written, paced, until the listener is closed.

        `seen_ms` returns the moment until which all events were handed out, by the clock of Redis.
        """
        while True:
            with anyio.move_on_after(LIFE_EVERY_S):
                await self._filled.wait()
            if self._frames:
                piece = b"".join(self._frames)
                self._frames.clear()
                if not self._is_closed:
                    self._filled = anyio.Event()
                yield piece
            elif self._is_closed:
                return
            else:
                yield sign_of_life(seen_ms())
            # An event that comes alone is written at once, and the next ones together.
            await anyio.sleep(WRITE_EVERY_S)
