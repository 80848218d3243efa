"""An event that ends the sleep of a duty early."""

import anyio


class Wake:
    """An event that its only waiter clears. Setting it before the wait is not lost; setting it twice counts once.

    For the event loop of the waiter; other threads use `loop.call_soon_threadsafe(wake.set)`.
    """

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        """End the current sleep, or the next."""
        self._event.set()

    async def wait(self, timeout_s: float) -> bool:
        """Sleep until the event is set, at most for this time, and clear it. Return whether it was set."""
        with anyio.move_on_after(timeout_s):
            await self._event.wait()
        # Nothing is awaited between the two lines, so no `set` can fall between them.
        was_set = self._event.is_set()
        if was_set:
            self._event = anyio.Event()
        return was_set
