"""The result of an attempt: what the handler did, or why it was stopped. The input of the decision."""

from enum import Enum
from typing import Any

from msgspec import Struct


class Interruption(Enum):
    """Why a handler was stopped."""

    CANCELLED = "cancelled"
    """A client cancelled the job."""
    LEASE_LOST = "lease_lost"
    """Redis says that the delivery is no longer this worker's."""
    LEASE_UNSAFE = "lease_unsafe"
    """The lease could not be renewed for two thirds of its length: another worker may soon have the job."""
    DRAINING = "draining"
    """The worker is leaving, and its grace is over."""
    TIMED_OUT = "timed_out"
    """The attempt has taken as long as it may."""

    @property
    def error_type(self) -> str:
        """What this is called as a failure of the handler; empty where it is none."""
        return _ERROR_TYPES.get(self, "")


_ERROR_TYPES = {Interruption.TIMED_OUT: "timeout", Interruption.LEASE_LOST: "lost"}


class Returned(Struct, frozen=True):
    """The handler returned this value."""

    value: Any


class Raised(Struct, frozen=True):
    """The handler raised."""

    error: BaseException


class TimedOut(Struct, frozen=True):
    """The handler was stopped after its time."""

    timeout_s: float


class Interrupted(Struct, frozen=True):
    """The handler was stopped for a reason other than its time."""

    why: Interruption


class Unreadable(Struct, frozen=True):
    """The handler was not called: the job is not what it takes."""

    error: BaseException
    elsewhere_after_s: float | None = None
    """When to have it tried by another release that runs beside this one; None when each has tried."""


AttemptResult = Returned | Raised | TimedOut | Interrupted | Unreadable
