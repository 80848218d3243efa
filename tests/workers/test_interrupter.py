"""An order to stop hits the attempt that it names, and that one alone, whenever it comes."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from millstream_workers.isolation.interrupter import Interrupter, RunningAttempt


class Desk:
    """An interrupter on a loop, what it has told, and how to call it as the reader of orders does."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.told: list[tuple[int, bool]] = []
        """The numbers of attempts whose stacks were told, and whether these were to stop already."""
        self.attempts: dict[int, RunningAttempt] = {}
        self.interrupter = Interrupter(self.loop, self._tell)

    def _tell(self, number: int, _stack: str) -> None:
        self.told.append((number, self.attempts[number].is_stopping))

    def attempt(self, number: int) -> RunningAttempt:
        """Return an attempt that has not begun."""
        context: Any = SimpleNamespace(cancelled=False)
        self.attempts[number] = RunningAttempt(number, context)
        return self.attempts[number]

    def stop(self, number: int) -> None:
        """Order an attempt to stop, in a thread of its own."""
        thread = threading.Thread(target=self.interrupter.stop, args=(number,))
        thread.start()
        thread.join()


@pytest.fixture
def desk() -> Iterator[Desk]:
    """Yield a desk; afterwards the signals are handled as before."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}}
    made = Desk()
    yield made
    made.interrupter.end()
    made.loop.close()
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def test_an_order_that_comes_before_its_attempt_begins_stops_it(desk: Desk) -> None:
    """An attempt that was to stop before it has begun does not begin; the next one does."""
    desk.stop(5)
    early, later = desk.attempt(5), desk.attempt(6)
    desk.interrupter.begin(early)
    assert (early.is_stopping, early.context.cancelled) == (True, True)
    with pytest.raises(asyncio.CancelledError, match="before it had begun"):
        early.check()
    desk.interrupter.end()
    desk.interrupter.begin(later)
    assert (later.is_stopping, later.context.cancelled) == (False, False)
    later.check()


def test_an_attempt_tells_once_and_first_where_it_is(desk: Desk) -> None:
    """An attempt that is to stop tells where it is before its handler can notice, and not again at a second order."""
    attempt = desk.attempt(5)
    desk.interrupter.begin(attempt)
    desk.stop(5)
    desk.stop(5)
    assert desk.told == [(5, False)]
    assert attempt.is_stopping


@pytest.mark.parametrize("has_ended", [False, True])
def test_an_order_for_another_attempt_changes_nothing(desk: Desk, has_ended: bool) -> None:
    """An order that names another attempt, or one that has ended, stops none and tells of none."""
    attempt = desk.attempt(5)
    desk.interrupter.begin(attempt)
    if has_ended:
        desk.interrupter.end()
    desk.stop(5 if has_ended else 4)
    assert (desk.told, attempt.is_stopping, attempt.context.cancelled) == ([], False, False)
    number = 5 if has_ended else 4
    assert desk.interrupter.whereabouts(number) == ""
    if not has_ended:
        assert "test_an_order_for_another_attempt" in desk.interrupter.whereabouts(5)
