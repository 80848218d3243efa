"""What a handler raises to say what should become of its job. Any other exception is a failed attempt."""

import msgspec
from msgspec import Struct

from millstream_contracts import DEFAULT_MAX_ATTEMPTS, Backoff


class Steering(Exception):  # noqa: N818 - these are wishes, not errors
    """A handler's wish for its job."""


class RetryAfter(Steering):
    """This attempt failed; the next is due in `delay_s`. Made by `Retry.after(seconds)`."""

    def __init__(self, delay_s: float) -> None:
        super().__init__(f"retry after {delay_s:g} s")
        self.delay_s = delay_s


class Snooze(Steering):
    """Try again in `delay_s`; this costs no attempt."""

    def __init__(self, delay_s: float) -> None:
        super().__init__(f"snooze for {delay_s:g} s")
        self.delay_s = delay_s


class Discard(Steering):
    """No more attempts, and nobody needs to look: the job ends as cancelled."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Dead(Steering):
    """No other attempt would help, and somebody should look: the job goes to the dead letters."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Retry(Struct, frozen=True, kw_only=True):
    """When a failed job is tried again: `@app.job(..., retry=Retry(max_attempts=3))`.

    The delay before the next attempt is drawn between zero and a bound: `base` seconds, growing by
    `backoff`, never above `cap`. Without `jitter` it is that bound.
    """

    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    backoff: str = "exponential"
    """`exponential`, `linear` or `constant`."""
    base: float = 1.0
    cap: float = 600.0
    jitter: bool = True

    @staticmethod
    def after(delay_s: float) -> RetryAfter:
        """Return what to raise to have this attempt count as failed and the next one come in `delay_s`."""
        return RetryAfter(delay_s)

    def to_backoff(self) -> Backoff:
        """Return the delays as the contract between services has them. Raises: msgspec.ValidationError."""
        return msgspec.convert(
            {"kind": self.backoff, "base_s": self.base, "cap_s": self.cap, "jitter": self.jitter}, Backoff
        )
