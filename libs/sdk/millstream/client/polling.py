"""Asks again and again until something is over, as a flow: with answers that ingest holds back, or without."""

from collections.abc import Callable
from typing import TypeVar

from millstream.client.flow import ApiFlow
from millstream.errors import WaitTimeoutError

T = TypeVar("T")

# It is asked for again after a pause that grows with how long it has taken.
_FIRST_PAUSE_S, _PAUSE_GROWTH, _LONGEST_PAUSE_S = 0.1, 1.3, 2.0

# A server that responds at once to a long poll for what has not ended is asked once in this time at most.
_HELD_EVERY_S = 1.0


def polled(
    read: Callable[[float, float], ApiFlow[T]],
    is_over: Callable[[T], bool],
    describe: Callable[[T], str],
    *,
    clock: Callable[[], float],
    timeout_s: float,
) -> ApiFlow[T]:
    """Read something once it is over. Raises: WaitTimeoutError, which describes it.

    `read` is given how long to wait before, and until when to try.
    """
    deadline = clock() + timeout_s
    pause_s, next_s = 0.0, _FIRST_PAUSE_S
    while True:
        found = yield from read(pause_s, deadline)
        if is_over(found):
            return found
        left_s = deadline - clock()
        if left_s <= 0:
            raise WaitTimeoutError(f"{describe(found)} after {timeout_s:g} s; it goes on")
        pause_s = min(next_s, left_s)
        next_s = min(next_s * _PAUSE_GROWTH, _LONGEST_PAUSE_S)


def held(
    read: Callable[[float, float], ApiFlow[T]],
    is_over: Callable[[T], bool],
    describe: Callable[[T], str],
    *,
    clock: Callable[[], float],
    timeout_s: float,
) -> ApiFlow[T]:
    """Read something once it is over, with answers that ingest holds back until then. Else as :func:`polled`."""
    deadline = clock() + timeout_s
    pause_s = 0.0
    while True:
        asked_at = clock() + pause_s
        found = yield from read(pause_s, deadline)
        if is_over(found):
            return found
        replied_at = clock()
        if replied_at >= deadline:
            raise WaitTimeoutError(f"{describe(found)} after {timeout_s:g} s; it goes on")
        pause_s = min(max(0.0, asked_at + _HELD_EVERY_S - replied_at), deadline - replied_at)
