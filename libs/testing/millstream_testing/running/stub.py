"""Stubs: what a test puts in the place of a handler. Their results and exceptions are treated as the handler's own."""

import inspect
import math
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Self, TypeVar

import anyio

from millstream_testing.errors import TestingError
from millstream_workers.attempt.running import Running

P = TypeVar("P")
R = TypeVar("R")

Behaviour = Callable[[Any, Running], Awaitable[Any]]


class Stub(Generic[P, R]):
    """What stands in for the handler of one job type.

    The calls can be chained: `stub(charge).raises(ConnectionError(), times=2).returns(receipt)` fails twice. After the
    last of its times the handler itself runs again.
    """

    def __init__(self, job_type: str) -> None:
        self.type = job_type
        self._behaviours: list[tuple[Behaviour, float]] = []
        """What to do, each with how often it is still done."""

    def returns(self, result: R, *, times: int | None = None) -> Self:
        """Return this instead of calling the handler. The result is checked as the handler's own."""

        async def behave(_payload: Any, _running: Running) -> Any:
            return result

        return self._then(behave, times)

    def raises(self, error: BaseException | type[BaseException], *, times: int | None = None) -> Self:
        """Raise this instead of calling the handler: a failure, or an outcome request such as `Snooze(60)`."""

        async def behave(_payload: Any, _running: Running) -> Any:
            raise error

        return self._then(behave, times)

    def calls(self, function: Callable[[P], R | Awaitable[R]], *, times: int | None = None) -> Self:
        """Call this with the payload instead of the handler. It may be async, and runs on the event loop."""

        async def behave(payload: Any, _running: Running) -> Any:
            returned = function(payload)
            return await returned if inspect.isawaitable(returned) else returned

        return self._then(behave, times)

    def times_out(self, *, times: int | None = None) -> Self:
        """Have the attempt reach its timeout at once."""

        async def behave(_payload: Any, running: Running) -> Any:
            if not running.is_timed:
                raise TestingError(f"`{self.type}` has no timeout that an attempt could reach")
            running.time_out()
            await anyio.sleep_forever()

        return self._then(behave, times)

    def take(self) -> Behaviour | None:
        """Return what to do for the next attempt; None to call the handler itself."""
        if not self._behaviours:
            return None
        behaviour, left = self._behaviours[0]
        if left > 1:
            self._behaviours[0] = behaviour, left - 1
        else:
            del self._behaviours[0]
        return behaviour

    def _then(self, behaviour: Behaviour, times: int | None) -> Self:
        if times is not None and times < 1:
            raise TestingError(f"`times` is 1 or more, not {times}")
        if self._behaviours and math.isinf(self._behaviours[-1][1]):
            # What comes after one without an end would never be reached: it is what the test means now.
            self._behaviours.pop()
        self._behaviours.append((behaviour, math.inf if times is None else times))
        return self
