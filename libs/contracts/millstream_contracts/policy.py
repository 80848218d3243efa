"""The retry policy of a job type, and its registration by workers."""

import random
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from millstream_contracts import limits
from millstream_contracts.coding import Coding
from millstream_contracts.ids import NAME_PATTERN, JobType
from millstream_contracts.unique import UniqueRule

DEFAULT_MAX_ATTEMPTS = 5

Keeps = Literal["everything", "no_payload", "failures", "nothing"]
"""What the history stores of the jobs of a type: with `failures` those that failed, from their first failure on."""

KeptLogs = Literal["failed", "all", "none"]
"""Of which attempts the last log lines are kept."""

AfterFailure = Literal["wait", "cancel", "run"]
"""What becomes of a job when one that it waits for does not succeed. With `wait`, a dead one may still be redriven."""

KEY_PATH_PATTERN = r"^[^.\x00]+(\.[^.\x00]+)*$"

Seconds = Annotated[float, Meta(ge=0.0, le=limits.MAX_DELAY_S)]


class Backoff(Struct, frozen=True):
    """Delay before a next attempt: `base_s`, grown per attempt by `kind`, at most `cap_s`.

    With `jitter` the delay is drawn uniformly between zero and that bound, so that jobs which failed
    together do not come back together.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full jitter").
    """

    kind: Literal["exponential", "linear", "constant"] = "exponential"
    base_s: Seconds = 1.0
    cap_s: Seconds = 600.0
    jitter: bool = True

    def bound_s(self, failures: int) -> float:
        """Return the longest delay after this many failed attempts (1 or more)."""
        match self.kind:
            case "exponential":
                # 2**1023 is the last that a float holds; any cap is long reached by then.
                grown = self.base_s * 2.0 ** min(failures - 1, 1000)
            case "linear":
                grown = self.base_s * failures
            case "constant":
                grown = self.base_s
        return min(grown, self.cap_s)

    def delay_s(self, failures: int) -> float:
        """Return the delay before the next attempt after this many failed ones (1 or more)."""
        bound = self.bound_s(failures)
        return random.uniform(0.0, bound) if self.jitter else bound


class BackoffOptions(Backoff, frozen=True, forbid_unknown_fields=True):
    """A backoff as a client asks for it. Unlike a stored one, which a newer release may have written, it is strict."""


class Gathering(Struct, frozen=True):
    """How a worker gathers jobs for one call of a batch handler."""

    size: Annotated[int, Meta(ge=1, le=limits.MAX_GATHERED)] = 100
    """The most jobs of one call."""
    wait_s: Annotated[float, Meta(ge=0.0, le=limits.MAX_GATHER_S)] = 0.1
    """How long the first job waits for others. A worker waits for a sixth of its lease at most."""


class TypePolicy(Struct, frozen=True):
    """The policy of every job of a type, unless its submission says otherwise."""

    max_attempts: Annotated[int, Meta(ge=1, le=limits.MAX_ATTEMPTS)] = DEFAULT_MAX_ATTEMPTS
    timeout_s: Annotated[float, Meta(gt=0.0, le=limits.MAX_TIMEOUT_S)] | None = None
    backoff: Backoff = Backoff()
    delays_s: Annotated[tuple[Seconds, ...], Meta(min_length=1, max_length=limits.MAX_ATTEMPTS)] | None = None
    """The delays before the second attempt, the third and so on, in place of the backoff. The last one repeats."""
    on_dead: Annotated[JobType, Meta(pattern=NAME_PATTERN)] | None = None
    """The type of the job that is submitted for each dead letter of this type."""
    result_ttl_s: Annotated[float, Meta(ge=limits.MIN_RESULT_TTL_S, le=limits.MAX_DELAY_S)] = 3600.0
    """How long a finished job can be read."""
    partitions: Annotated[int, Meta(ge=1, le=limits.MAX_PARTITIONS)] = 1
    keeps: Keeps = "everything"
    """What the history stores of these jobs."""
    logs: KeptLogs = "failed"
    """Of which attempts the history has the last log lines; of none where it has no payloads."""
    unique: UniqueRule | None = None
    """Which of these jobs are unique; None where any number may be the same."""
    key: Annotated[str, Meta(pattern=KEY_PATH_PATTERN, max_length=limits.MAX_KEY_BYTES)] | None = None
    """Where in the payload the key of a job stands that has none of its own: names of fields with dots between."""
    gathers: Gathering | None = None
    """Of a type with a batch handler: how many of its jobs one call takes."""
    compress: bool = True
    """Whether large payloads and results may be compressed; see docs/security/compression.md for when not to."""

    encrypted: bool = False
    """Whether what its jobs carry is stored encrypted; see docs/security/encryption.md."""

    @property
    def coding(self) -> Coding:
        """Return how what its jobs carry is stored."""
        return Coding(self.compress, self.encrypted)

    @property
    def kept_logs(self) -> KeptLogs:
        """Of which attempts log lines are kept: lines quote payloads, so of none where the history is to have none."""
        return "none" if self.keeps in {"no_payload", "nothing"} else self.logs


class TypeRegistration(Struct, frozen=True):
    """A job type as the workers that handle it describe it."""

    type: Annotated[JobType, Meta(pattern=NAME_PATTERN)]
    policy: TypePolicy
    payload_schema: dict[str, Any] | None = None
    """JSON Schema 2020-12 of the payload; None when the handler takes anything."""
    result_schema: dict[str, Any] | None = None
    description: str = ""
    handler: str = ""
    """`module:function`, for people."""
    code_version: str = ""
