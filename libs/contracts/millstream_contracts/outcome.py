"""The outcome of one delivery: a tagged union, which the worker decides and the committer matches."""

from typing import Literal

from msgspec import Raw, Struct

from millstream_contracts.ids import JobId
from millstream_contracts.job import JobError

SnoozeGate = Literal["type", "key"]
"""What a handler holds back with its job: all jobs of the type, or those with the key of the job."""


class Succeeded(Struct, frozen=True, tag="succeeded"):
    """The handler returned."""

    result: Raw = Raw(b"\xc0")
    """One MessagePack value; nil when the handler returned None."""


class RetryAt(Struct, frozen=True, tag="retry_at"):
    """The attempt failed and another is due in `after_ms`, counted from the clock of Redis at the commit."""

    after_ms: int
    error: JobError


class Snoozed(Struct, frozen=True, tag="snoozed"):
    """The handler asked for a later delivery. It costs no attempt."""

    after_ms: int
    gate: SnoozeGate | None = None
    """What else does not start until then, for `limits.MAX_HOLD_S` at most."""


class Waiting(Struct, frozen=True, tag="waiting"):
    """The handler waits for a signal, for `after_ms` at most. It costs no attempt."""

    signal: str
    after_ms: int


class Calling(Struct, frozen=True, tag="calling"):
    """The handler has called other jobs, and goes on when all of them have settled. It costs no attempt."""

    jobs: tuple[JobId, ...]


class Dead(Struct, frozen=True, tag="dead"):
    """The last attempt failed, or the handler said that no other would help."""

    reason: str
    error: JobError


class HandedBack(Struct, frozen=True, tag="handed_back"):
    """The worker is leaving and returns the job unrun or interrupted. It costs the job nothing."""


class Cancelled(Struct, frozen=True, tag="cancelled"):
    """The job was cancelled while it ran, or its handler discarded it."""

    reason: str


Outcome = Succeeded | RetryAt | Snoozed | Waiting | Calling | Dead | HandedBack | Cancelled
