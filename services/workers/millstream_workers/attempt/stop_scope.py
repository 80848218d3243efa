"""Stops a handler: by one cancellation, then its time for clean-up, then a cancellation for good.

A cancelled scope of anyio cancels each later await too, so that nothing that a `finally` awaits would end. Here an
inner scope shields the handler from the cancelled outer one, except for the moment in which the one cancellation is
delivered. Shields of the handler itself hold: it is cancelled when it leaves them.
"""

import asyncio
import math
from types import TracebackType
from typing import Self

import anyio

_ASK_AGAIN_S = 0.005
"""How soon to try again when the cancellation could not be delivered, because the handler shields itself."""


class StopScope:
    """Surrounds the jobs of one task, one after the other, until one of them is stopped. Lives on the event loop."""

    __slots__ = ("_cleanup_s", "_inner", "_outer", "_task", "_timer", "gives_up_at", "is_clean", "is_spent")

    def __init__(self, cleanup_s: float) -> None:
        self._cleanup_s = cleanup_s
        self._outer = anyio.CancelScope()
        self._inner = anyio.CancelScope()
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.is_spent = False
        """Whether a job was stopped, so that its task runs no other."""
        self.is_clean = False
        """Whether the last job is known to have left the context as it was."""
        self.gives_up_at = math.inf
        """The end of the time for clean-up, on the loop's clock."""

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._outer.__enter__()
        self._inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.end()
        swallowed = self._inner.__exit__(kind, error, trace)
        return bool(self._outer.__exit__(None, None, None) if swallowed else self._outer.__exit__(kind, error, trace))

    def stop(self, cleanup_s: float | None = None) -> None:
        """Cancel the handler once, and for good when its time for clean-up is over. Idempotent.

        `cleanup_s` shortens that time.
        """
        if self.is_spent:
            return
        self.is_spent = True
        self._inner.shield = True
        self._outer.cancel()
        time_s = self._cleanup_s if cleanup_s is None else min(cleanup_s, self._cleanup_s)
        self.gives_up_at = asyncio.get_running_loop().time() + time_s
        self._cancel_once()

    def end(self) -> None:
        """End the handler's part: its task is not cancelled any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cancel_once(self) -> None:
        assert self._task is not None
        before = self._task.cancelling()
        # Lifted and set again without a turn of the loop between: anyio delivers exactly one cancellation.
        self._inner.shield = False
        self._inner.shield = True
        loop = asyncio.get_running_loop()
        if self._task.cancelling() > before or loop.time() >= self.gives_up_at:
            self._timer = loop.call_at(self.gives_up_at, self._inner.cancel)
        else:
            self._timer = loop.call_later(_ASK_AGAIN_S, self._cancel_once)
