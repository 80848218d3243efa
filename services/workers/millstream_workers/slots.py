"""How many more handlers this worker may run."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Slots:
    """Counts running handlers against a limit. Not safe for threads: it lives on the event loop."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.busy = 0
        self.claims = 0
        """Claims under way: what they bring is this worker's already, though nothing of it runs yet."""
        self._closures = 0
        self._changed = anyio.Event()
        self._enough = anyio.Event()
        """Set when as many are free as somebody wants, who then need not hear of each."""
        self._wanted = 1

    @property
    def free(self) -> int:
        """How many handlers may start now."""
        return 0 if self._closures else self.limit - self.busy

    def take(self) -> None:
        """Note that a handler starts."""
        self.busy += 1

    def give_back(self) -> None:
        """Note that a handler has ended."""
        self.busy -= 1
        self.tell()

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Note that a claim is under way, until what it brought has been started or declined."""
        self.claims += 1
        try:
            yield
        finally:
            self.claims -= 1
            self.tell()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Let no further handler start for as long as the block lasts."""
        self._closures += 1
        try:
            yield
        finally:
            self._closures -= 1
            self.tell()

    def tell(self) -> None:
        """Wake whoever waits for a change, to look at something else that has changed."""
        self._changed.set()
        if self.free >= self._wanted:
            self._enough.set()

    async def wait_free(self, at_least: int = 1) -> int:
        """Wait until so many handlers may start. Returns: how many may."""
        while self.free < at_least:
            if self._enough.is_set():
                self._enough, self._wanted = anyio.Event(), at_least
            self._wanted = min(self._wanted, at_least)
            await self._enough.wait()
        return self.free

    async def wait_idle(self) -> None:
        """Wait until no handler runs."""
        while self.busy:
            await self.wait_change()

    async def wait_change(self) -> None:
        """Wait until the next handler ends. All who wait share one event."""
        if self._changed.is_set():
            self._changed = anyio.Event()
        await self._changed.wait()
