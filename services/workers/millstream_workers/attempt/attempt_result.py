"""The result of an attempt: what the handler returned or raised, or why it was stopped. `decide` reads it."""

from enum import Enum
from typing import Any

from msgspec import Struct


class Interruption(Enum):
    """The reason why a handler was stopped."""

    CANCELLED = "cancelled"
    """A client cancelled the job."""
    LEASE_LOST = "lease_lost"
    """Redis has given the delivery to another worker."""
    LEASE_UNSAFE = "lease_unsafe"
    """The lease could not be renewed for two thirds of its length: another worker may soon have the job."""
    DRAINING = "draining"
    """The worker is leaving, and its grace is over."""
    TIMED_OUT = "timed_out"
    """The attempt has reached its timeout."""

    @property
    def error_type(self) -> str:
        """The `error.type` of a handler that was stopped for this; empty when that is no failure of the handler."""
        return _ERROR_TYPES.get(self, "")


_ERROR_TYPES = {Interruption.TIMED_OUT: "timeout", Interruption.LEASE_LOST: "lost"}


class Returned(Struct, frozen=True):
    """The handler returned this value."""

    value: Any


class Raised(Struct, frozen=True):
    """The handler raised."""

    error: BaseException


class TimedOut(Struct, frozen=True):
    """The handler was stopped by its timeout."""

    timeout_s: float


class Interrupted(Struct, frozen=True):
    """The handler was stopped for a reason other than its timeout."""

    why: Interruption


class Unreadable(Struct, frozen=True):
    """The handler was not called: the job is not what it takes."""

    error: BaseException
    elsewhere_after_s: float | None = None
    """When to let another live release try the job; None when each has tried."""


AttemptResult = Returned | Raised | TimedOut | Interrupted | Unreadable
