"""Steps of durable handlers: as they are stored, as workers are answered, and as the API shows them; and signals."""

from datetime import datetime
from enum import IntEnum
from typing import Literal

from msgspec import Struct

from millstream_contracts.ids import JobId
from millstream_contracts.job import Job

StepKind = Literal["step", "slept", "signal", "timeout", "wait", "call", "calling"]
"""What is stored: what a function gave; that a sleep is over; a signal; that none came in time; a wait that goes on;
the results of called jobs, or their ids while they are awaited."""


class StepCode(IntEnum):
    """The result for a step. The numbers are those of save_step.lua and await_step.lua."""

    SAVED = 1
    FOUND = 0
    """Stored before; of a wait: it goes on."""
    STALE = -1
    UNKNOWN_JOB = -2
    TOO_MANY = -3
    TOO_LARGE = -4


class StoredStep(Struct, frozen=True):
    """A step as it is stored."""

    kind: str
    """A :data:`StepKind`."""
    at_ms: int
    """When it was stored, by the clock of Redis."""
    version: str
    content: bytes
    """What it has given, in MessagePack; of a wait the Unix ms until which it goes on, or nothing."""

    @classmethod
    def read(cls, stored: bytes) -> "StoredStep":
        """Return a step from its text in Redis. Raises: ValueError, for what is none."""
        head, _, content = stored.partition(b"\n")
        kind, at_ms, version = head.decode().split(" ", 2)
        return cls(kind, int(at_ms), version, content)


class StepAnswer(Struct, frozen=True):
    """The answer to a step that is stored, or waited for."""

    code: StepCode
    step: StoredStep | None = None
    left_ms: int | None = None
    """How long a wait goes on; None for one without an end."""


class CallAnswer(Struct, frozen=True):
    """The answer to a call of other jobs."""

    code: StepCode
    """What has become of the step that has their ids."""
    jobs: list[Job] = []
    """All of them, once they have settled, in order."""
    pending: list[JobId] = []
    """Those that have not."""


class JobStep(Struct, frozen=True, kw_only=True):
    """A step as the API shows it. What it has given is not shown: it may be a secret of the handler."""

    name: str
    kind: str
    saved_at: datetime
    version: str | None = None
    """The one that the handler has given it."""
    size_bytes: int = 0
    """Of what it has given, encoded."""
    until: datetime | None = None
    """Until when a wait goes on."""


class JobSteps(Struct, frozen=True, kw_only=True):
    """What a durable handler has behind it."""

    id: JobId
    waiting_for: str | None = None
    """The signal that the job waits for."""
    steps: list[JobStep] = []
    """The oldest first."""
    kept_signals: list[str] = []
    """The names of the signals that no wait has taken yet, the oldest first."""


class SignalReceipt(Struct, frozen=True, kw_only=True):
    """What has become of a signal."""

    id: JobId
    name: str
    outcome: Literal["delivered", "kept", "replayed"]
    """`delivered`: the job waited for it and goes on; `kept` until a wait takes it; `replayed`: it was sent before."""
