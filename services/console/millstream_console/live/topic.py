"""A page that is looked at: who looks at it, and when it is to be read again."""

import time

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from millstream_console.live.frames import Fragments
from millstream_console.live.view import Arguments, Reader, View

MOST_SHARE = 0.1
"""The share of the time that the reading of one page may take: what takes long is read seldom."""

MOST_PAUSE_S = 60.0
AWAY_S = 10.0
"""A page that could not be read is tried again after this at the latest."""

STILL_S = 10.0
"""How often a page is read of which nothing moves without an event, while events are heard."""

SETTLES_S = 10.0
"""For how long after an event a page is read as often as any other: the history has an event a little later."""

LEAST_PAUSE_S = 0.25
"""A page of which much happens is not read more often than this."""


class Topic:
    """A page with its arguments, and those who look at it."""

    def __init__(self, view: View, arguments: Arguments, reader: Reader) -> None:
        self.view = view
        self.reader = reader
        self.arguments = arguments
        self.fragments = Fragments()
        self.listeners: set[MemoryObjectSendStream[bytes]] = set()
        self.hears_events = False
        """Whether events of what it shows are heard."""
        self.is_still = False
        """Whether nothing that it shows moves without an event, as far as is known."""
        self.is_away = False
        """Whether it could not be read the last time."""
        self._moved = anyio.Event()
        self._moved_at = self._read_at = float("-inf")
        self._took_s = 0.0

    def everything(self) -> bytes:
        """Return the frames of what is shown now."""
        return self.fragments.all()

    def send(self, part: bytes) -> None:
        """Send frames to those who look; one that is too far behind is let go."""
        for listener in list(self.listeners):
            try:
                listener.send_nowait(part)
            except (anyio.WouldBlock, anyio.BrokenResourceError):
                self.listeners.discard(listener)
                listener.close()

    def end(self) -> None:
        """Let all go."""
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()

    def note_event(self) -> None:
        """Note that something has happened: the page is read at once."""
        self._moved_at = time.monotonic()
        self._moved.set()

    def note_reading(self, took_s: float, *, is_away: bool) -> None:
        """Note that the page was read, or could not be."""
        self.is_away = is_away
        self._took_s = took_s
        self._read_at = time.monotonic()

    def pause_s(self, every_s: float) -> float:
        """Return how long to wait after the last reading."""
        most_s = AWAY_S if self.is_away else MOST_PAUSE_S
        pause_s = max(every_s, min(self._took_s * (1 / MOST_SHARE - 1), most_s))
        is_settled = time.monotonic() - self._moved_at > SETTLES_S
        return max(pause_s, STILL_S) if self.is_still and self.hears_events and is_settled else pause_s

    async def wait(self, within_s: float) -> bool:
        """Wait for an event. Returns: whether there was one; several at once are one."""
        with anyio.move_on_after(within_s):
            await self._moved.wait()
            await anyio.sleep(max(0.0, self._read_at + LEAST_PAUSE_S - time.monotonic()))
        if has_moved := self._moved.is_set():
            self._moved = anyio.Event()
        return has_moved
