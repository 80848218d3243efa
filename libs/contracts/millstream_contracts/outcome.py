"""The outcome of one delivery: a tagged union, which the worker decides and the committer matches."""

from msgspec import Raw, Struct

from millstream_contracts.job import JobError


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


class Dead(Struct, frozen=True, tag="dead"):
    """The last attempt failed, or the handler said that no other would help."""

    reason: str
    error: JobError


class HandedBack(Struct, frozen=True, tag="handed_back"):
    """The worker is leaving and returns the job unrun or interrupted. It costs the job nothing."""


class Cancelled(Struct, frozen=True, tag="cancelled"):
    """The job was cancelled while it ran, or its handler discarded it."""

    reason: str


Outcome = Succeeded | RetryAt | Snoozed | Dead | HandedBack | Cancelled
