"""Exceptions by which a handler decides what happens to its job. Any other exception is a failed attempt."""

from typing import Literal

import msgspec
from msgspec import Struct

from millstream_contracts import DEFAULT_MAX_ATTEMPTS, Backoff


class Steering(Exception):  # noqa: N818 - these are requests, not errors
    """A handler's request for its job."""


class RetryAfter(Steering):
    """The attempt failed, and the next one is due in `delay_s`. Made by `Retry.after(seconds)`."""

    def __init__(self, delay_s: float) -> None:
        super().__init__(f"retry after {delay_s:g} s")
        self.delay_s = delay_s


class Snooze(Steering):
    """Run the job again in `delay_s`. This costs no attempt."""

    def __init__(self, delay_s: float) -> None:
        super().__init__(f"snooze for {delay_s:g} s")
        self.delay_s = delay_s


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


class Retry(Struct, frozen=True, kw_only=True):
    """How often and when a failed job runs again: `@app.job(..., retry=Retry(max_attempts=3))`.

    The delay before the next attempt is drawn between zero and a bound: `base` seconds, growing by
    `backoff`, never above `cap`. Without `jitter` it is that bound.
    """

    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    backoff: Literal["exponential", "linear", "constant"] = "exponential"
    base: float = 1.0
    cap: float = 600.0
    jitter: bool = True

    @staticmethod
    def after(delay_s: float) -> RetryAfter:
        """Return an exception to raise: the attempt counts as failed, and the next one is due in `delay_s`."""
        return RetryAfter(delay_s)

    def to_backoff(self) -> Backoff:
        """Return the delays as a contract type. Raises: msgspec.ValidationError."""
        return msgspec.convert(
            {"kind": self.backoff, "base_s": self.base, "cap_s": self.cap, "jitter": self.jitter}, Backoff
        )
