"""What operators set of a queue: whether it is paused, and its limits."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from millstream_contracts import limits
from millstream_contracts.breaker import Breaker, BreakerStatus
from millstream_contracts.ids import JobId, JobType
from millstream_contracts.submission import JobKey

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
RATE_PATTERN = r"^[1-9][0-9]{0,5}/[smhd]$"


class StartLimits(Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How many jobs may run at once, and how many may start in a time."""

    concurrency: Annotated[int, Meta(ge=1, le=limits.MAX_CONCURRENCY_LIMIT)] | None = None
    """How many may run at once."""
    rate: Annotated[str, Meta(pattern=RATE_PATTERN)] | None = None
    """How many may start in a time: `100/s`, `5/m`, `1000/h` or `10/d`."""
    burst: Annotated[int, Meta(ge=1, le=limits.MAX_BURST)] | None = None
    """How many may start at once when none has started for long; the number of `rate` where it is missing."""

    def __post_init__(self) -> None:
        """Refuse limits that limit nothing. Raises: ValueError, which msgspec turns into a ValidationError."""
        if self.burst is not None and self.rate is None:
            raise ValueError("`burst` says how the starts of a `rate` are spread, and there is none")

    @property
    def in_words(self) -> str:
        """The limits as a person would say them: `20 at once, 100/m (burst 5)`."""
        at_once = f"{self.concurrency:,} at once" if self.concurrency else ""
        burst = f" (burst {self.burst:,})" if self.burst else ""
        return ", ".join(part for part in (at_once, f"{self.rate}{burst}" if self.rate else "") if part)

    @property
    def every_ms(self) -> float | None:
        """The time from one start to the next, in ms; None without a rate."""
        if self.rate is None:
            return None
        number, _, unit = self.rate.partition("/")
        return _UNITS_S[unit] * 1000 / int(number)

    @property
    def starts_at_once(self) -> int | None:
        """How many may start at once; None without a rate."""
        if self.rate is None:
            return None
        return self.burst or int(self.rate.partition("/")[0])


class KeyLimits(StartLimits, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The limits of the jobs of each key of a type. Jobs without a key have none of them."""

    cap: Annotated[int, Meta(ge=1, le=limits.MAX_CAP)] | None = None
    """How many jobs of a key may wait or run before submissions of clients are refused."""

    def __post_init__(self) -> None:
        """Refuse limits that limit nothing. Raises: ValueError."""
        super().__post_init__()
        if all(getattr(self, name) is None for name in self.__struct_fields__):
            raise ValueError("needs `concurrency`, `rate` or `cap`")

    @property
    def in_words(self) -> str:
        """The limits as a person would say them: `2 at once, 5/s, at most 100 jobs`."""
        return ", ".join(part for part in (super().in_words, f"at most {self.cap:,} jobs" if self.cap else "") if part)


KeyWeight = Annotated[float, Meta(ge=limits.MIN_KEY_WEIGHT, le=limits.MAX_KEY_WEIGHT)]


class QueueLimits(StartLimits, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The limits of the jobs of a type, over all workers together."""

    per_key: KeyLimits | None = None
    """The same of the jobs of each key."""
    weights: Annotated[dict[JobKey, KeyWeight], Meta(min_length=1, max_length=limits.MAX_KEY_WEIGHTS)] | None = None
    """How many starts keys get, while several wait, for one of a key that is not named here."""
    fair: bool = False
    """Whether keys take turns where nothing else is limited; wherever anything is, they do."""
    cap: Annotated[int, Meta(ge=1, le=limits.MAX_CAP)] | None = None
    """How many jobs may wait, be scheduled or run before submissions of clients are refused."""
    breaker: Breaker | None = None
    """When jobs are held back because too many attempts fail."""

    def __post_init__(self) -> None:
        """Refuse limits that limit nothing. Raises: ValueError, which msgspec turns into a ValidationError."""
        super().__post_init__()
        # By identity: 0 is a limit too, though a wrong one, and is refused by its own name.
        if all(getattr(self, name) is None or getattr(self, name) is False for name in self.__struct_fields__):
            raise ValueError("needs `concurrency`, `rate`, `per_key`, `weights`, `fair`, `cap` or `breaker`")

    @property
    def in_words(self) -> str:
        """The limits as a person would say them: `20 at once, 100/m (burst 5), 2 at once per key`."""
        keyed = self.per_key.in_words if self.per_key else ""
        weights = f"{len(self.weights)} {'weight' if len(self.weights) == 1 else 'weights'}" if self.weights else ""
        turns = "keys take turns" if self.fair and not (keyed or weights) else ""
        cap = f"at most {self.cap:,} jobs" if self.cap else ""
        breaker = f"breaker at {self.breaker.ratio:.0%} of {self.breaker.minimum:,} attempts" if self.breaker else ""
        parts = (super().in_words, f"{keyed} per key" if keyed else "", weights, turns, cap, breaker)
        return ", ".join(part for part in parts if part)

    @property
    def is_split_type(self) -> bool:
        """Whether something of it is split between the partitions of a type with several."""
        return self.concurrency is not None or self.rate is not None

    def fault_over(self, partitions: int) -> tuple[str, str] | None:
        """Return the first field that cannot hold exactly over so many partitions, and why; None where all can."""
        if partitions == 1:
            return None
        for name in ("cap", "breaker"):
            if getattr(self, name) is not None:
                return name, f"holds in one partition alone, and the type has {partitions}"
        too_few = f"is split between the {partitions} partitions of the type, of which each needs at least one"
        if self.concurrency is not None and self.concurrency < partitions:
            return "concurrency", too_few
        if self.starts_at_once is not None and self.starts_at_once < partitions:
            return "rate" if self.burst is None else "burst", f"{too_few}: it lets {self.starts_at_once} start at once"
        return None


LimitsSource = Literal["operator", "handler"]


class QueueSettings(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What is set of the queue of a job type."""

    type: JobType
    paused: bool = False
    """While it is, no worker gets a job of it; what runs goes on."""
    paused_at: datetime | None = None
    pause_reason: str = ""
    limits: QueueLimits | None = None
    """Those in force."""
    limits_set_at: datetime | None = None
    limits_source: LimitsSource | None = None
    """Who has set those in force."""
    declared: QueueLimits | None = None
    """What handlers declare, which holds where an operator has set no limits."""
    breaker: BreakerStatus | None = None
    """What its circuit breaker does now; null without one."""
    held_until: datetime | None = None
    """Up to when a handler holds the type back: no job of it starts."""
    held_by: JobId | None = None
    """The job whose handler asked for that."""
    keys_held_until: datetime | None = None
    """Up to when handlers hold keys of the type back, the last of them."""


class QueueKey(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A key with jobs in a queue with limits."""

    key: str | None = None
    """None for the jobs without one."""
    parked: int = 0
    """Jobs that wait for their turn; of more than a thousand about so many."""
    in_flight: int = 0
    """Jobs that run, or that a worker is about to be given."""
    weight: float = 1.0
    free_at: datetime | None = None
    """When its rate lets one more start; None where it does now."""
    held_until: datetime | None = None
    """Up to when a handler holds the key back: no job of it starts."""


class QueueKeyPage(Struct, kw_only=True, frozen=True):
    """A page of keys."""

    items: list[QueueKey]
    next_cursor: str | None = None
