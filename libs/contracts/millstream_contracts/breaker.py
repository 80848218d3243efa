"""The circuit breaker of a job type: its settings, and its state."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from millstream_contracts import limits

_Seconds = Annotated[float, Meta(ge=1.0, le=limits.MAX_BREAKER_S)]


class Breaker(Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """When the jobs of a type are held back because too many attempts fail, and when they are tried again.

    Failed attempts, timeouts and crashes count as failures. Snoozes, discards, cancellations and deliveries that a
    worker gave back do not count.
    """

    ratio: Annotated[float, Meta(ge=0.01, le=1.0)] = 0.5
    """It opens when this share of the attempts in `window_s` has failed."""
    window_s: _Seconds = 60.0
    minimum: Annotated[int, Meta(ge=1, le=limits.MAX_BREAKER_ATTEMPTS)] = 20
    """With fewer attempts in `window_s` it does not open."""
    cool_down_s: _Seconds = 30.0
    """How long it is open before jobs are tried again; twice as long each time that they fail, up to `cap_s`."""
    cap_s: _Seconds = 600.0
    probes: Annotated[int, Meta(ge=1, le=limits.MAX_BREAKER_PROBES)] = 3
    """How many jobs may then run at once, and have to succeed for it to close."""

    def __post_init__(self) -> None:
        """Refuse a bound below what it bounds. Raises: ValueError, which msgspec turns into a ValidationError."""
        if self.cap_s < self.cool_down_s:
            raise ValueError("`cap_s` is less than `cool_down_s`")


class BreakerState(StrEnum):
    """Whether a circuit breaker lets jobs start, in the order of how few."""

    CLOSED = "closed"
    """All may start; failures are counted."""
    HALF_OPEN = "half-open"
    """A few may start, to see whether they succeed."""
    OPEN = "open"
    """None starts until a time."""
    FORCED_OPEN = "forced-open"
    """None starts until an operator closes it."""


class BreakerStatus(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What a circuit breaker does now."""

    state: BreakerState
    since: datetime | None = None
    """When it opened."""
    until: datetime | None = None
    """When jobs are tried again, while it is open."""
    failed: int = 0
    """Of the `attempts` for which it opened, how many had failed."""
    attempts: int = 0
    succeeded: int = 0
    """Probes that have succeeded since it is half-open."""
    probing: int = 0
    """Probes that run."""
    reason: str = ""
    """Why an operator opened it."""
    in_a_row: int = 0
    """How often it has opened without closing between."""
