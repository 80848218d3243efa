"""A bell that ends a duty's sleep before its time."""

import anyio


class Wake:
    """One rings, one sleeps. A ring before the sleep is not lost; many rings count as one.

    Only for the event loop of the sleeper: another thread rings with `loop.call_soon_threadsafe(wake.set)`.
    """

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        """Ring."""
        self._event.set()

    async def wait(self, timeout_s: float) -> bool:
        """Sleep until rung, or for this long. Return whether it was rung, and forget that it was."""
        with anyio.move_on_after(timeout_s):
            await self._event.wait()
        # Nothing is awaited between these two lines, so a ring cannot fall between them.
        rung = self._event.is_set()
        if rung:
            self._event = anyio.Event()
        return rung
