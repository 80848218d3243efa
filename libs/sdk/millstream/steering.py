"""Exceptions by which a handler decides what happens to its job. Any other exception is a failed attempt."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

from millstream.seconds import Seconds, in_seconds
from millstream_contracts import DEFAULT_MAX_ATTEMPTS, Backoff, SnoozeGate

_GATES = (None, *get_args(SnoozeGate))


class Steering(Exception):  # noqa: N818 - these are requests, not errors
    """A handler's request for its job. Subclasses of the four requests may have data of their own."""


class RetryAfter(Steering):
    """The attempt failed, and the next one is due in `delay_s`. Made by `Retry.after(seconds)`."""

    def __init__(self, delay: Seconds) -> None:
        self.delay_s: float = in_seconds(delay)
        super().__init__(f"retry after {self.delay_s:g} s")


class Snooze(Steering):
    """Run the job again in `delay_s`. This costs no attempt.

    With `gate` no other job of its type (`"type"`), or of its key (`"key"`), starts until then, for a day at most: for
    the 429 of an API that counts the calls of all. A job without a key holds back none but itself.
    """

    def __init__(self, delay: Seconds, *, gate: SnoozeGate | None = None) -> None:
        """Take the delay. Raises: ValueError, for another gate."""
        if gate not in _GATES:
            raise ValueError(f'`gate` is "type" or "key", not {gate!r}')
        self.delay_s: float = in_seconds(delay)
        self.gate = gate
        held = f", with all jobs of its {gate}" if gate else ""
        super().__init__(f"snooze for {self.delay_s:g} s{held}")


class Discard(Steering):
    """End the job as cancelled, without further attempts. It needs no attention."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Dead(Steering):
    """Send the job to the dead letters, without further attempts. It needs attention."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


Decide = Callable[[Exception, int], Steering | None]
"""Takes what a handler raised and the number of its attempt. Returns: what becomes of the job; None for a failure."""


class Retry(Struct, frozen=True, kw_only=True):
    """How often and when a failed job runs again: `@app.job(..., retry=Retry(max_attempts=3))`.

    The delay before the next attempt is drawn between zero and a bound: `base`, growing by `backoff`, never above
    `cap`. Without `jitter` it is that bound. `delays` names the delays one by one instead, without jitter unless that
    is asked for. Times are seconds or a timedelta.
    """

    max_attempts: int | None = None
    """Runs that end in success or failure; after the last one the job is dead. By default these are five, or one more
    than there are `delays`."""
    backoff: Literal["exponential", "linear", "constant"] = "exponential"
    """How the bound of the delay grows from attempt to attempt."""
    base: Seconds = 1.0
    """The bound of the first delay."""
    cap: Seconds = 600.0
    """What the bound never exceeds."""
    jitter: bool | None = None
    """Whether the delay is drawn between zero and its bound. By default it is, but not for `delays`."""
    delays: Sequence[Seconds] | None = None
    """The delays before the second attempt, the third and so on, in place of the backoff; the last one repeats."""
    dead_on: tuple[type[Exception], ...] = ()
    """Exceptions that send the job to the dead letters at once, with their subclasses."""
    discard_on: tuple[type[Exception], ...] = ()
    """Exceptions that end the job as cancelled, with their subclasses."""
    decide: Decide | None = None
    """Decides about every other exception: an outcome request to be treated as raised, or None for a failure."""

    def __post_init__(self) -> None:
        if self.max_attempts is None:
            attempts = DEFAULT_MAX_ATTEMPTS if self.delays is None else len(self.delays) + 1
            force_setattr(self, "max_attempts", attempts)
        if self.jitter is None:
            force_setattr(self, "jitter", self.delays is None)

    @staticmethod
    def after(delay: Seconds) -> RetryAfter:
        """Return an exception to raise: the attempt counts as failed, and the next one is due after `delay`."""
        return RetryAfter(delay)

    def to_backoff(self) -> Backoff:
        """Return the backoff as a contract type. Raises: msgspec.ValidationError."""
        base_s, cap_s = in_seconds(self.base), in_seconds(self.cap)
        wanted = {"kind": self.backoff, "base_s": base_s, "cap_s": cap_s, "jitter": self.jitter}
        return msgspec.convert(wanted, Backoff)
