"""How many more handlers this worker may run."""

import anyio


class Slots:
    """Counts running handlers against a limit. Not safe for threads: it lives on the event loop."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.busy = 0
        self._freed = anyio.Event()

    @property
    def free(self) -> int:
        """How many handlers may start now."""
        return self.limit - self.busy

    def take(self) -> None:
        """Note that a handler starts."""
        self.busy += 1

    def give_back(self) -> None:
        """Note that a handler has ended."""
        self.busy -= 1
        self._freed.set()

    async def wait_free(self) -> int:
        """Wait until a handler may start. Returns: how many."""
        while self.free <= 0:
            await self._wait()
        return self.free

    async def wait_idle(self) -> None:
        """Wait until no handler runs."""
        while self.busy:
            await self._wait()

    async def _wait(self) -> None:
        """Wait until the next handler ends. All who wait share one event."""
        if self._freed.is_set():
            self._freed = anyio.Event()
        await self._freed.wait()
