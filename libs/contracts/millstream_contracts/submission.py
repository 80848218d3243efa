"""What a client sends to have a job run."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

from millstream_contracts import limits
from millstream_contracts.callback import Callback
from millstream_contracts.ids import NAME_PATTERN, JobId
from millstream_contracts.job import Priority
from millstream_contracts.policy import AfterFailure, BackoffOptions, Seconds
from millstream_contracts.unique import UniqueOptions

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(3000, 1, 1, tzinfo=UTC)
"""Far below what overflows. Whether a time is too far away depends on a clock, which the receiver has."""

TagKey = Annotated[str, Meta(min_length=1, max_length=limits.MAX_TAG_CHARS)]
TagValue = Annotated[str, Meta(max_length=limits.MAX_TAG_CHARS)]

# Options of jobs, wherever one is described: in a submission, in a template, in a node of a workflow.
ExpiresIn = Annotated[float, Meta(ge=limits.MIN_DURATION_S, le=limits.MAX_DELAY_S)]
Attempts = Annotated[int, Meta(ge=1, le=limits.MAX_ATTEMPTS)]
AttemptTimeout = Annotated[float, Meta(ge=limits.MIN_DURATION_S, le=limits.MAX_TIMEOUT_S)]
Tags = Annotated[dict[TagKey, TagValue], Meta(max_length=limits.MAX_TAGS)]
JobKey = Annotated[str, Meta(min_length=1, max_length=limits.MAX_KEY_BYTES)]
"""What limits and turns of a type go by, such as a customer. The rules of submissions bound its bytes."""


class Submission(Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A job to be run. The payload stays undecoded here: it is checked once, on its way in."""

    type: Annotated[str, Meta(pattern=NAME_PATTERN)]
    payload: Raw = Raw(b"")
    """One value in the encoding of the request; empty when it was left out, which means null."""
    priority: Priority = Priority.NORMAL
    key: JobKey | None = None
    """What it is grouped by, such as a customer: limits of its type may hold for each key, and keys take turns."""
    run_at: Annotated[datetime, Meta(tz=True)] | None = None
    delay_s: Seconds | None = None
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    expires_in_s: ExpiresIn | None = None
    max_attempts: Attempts | None = None
    timeout_s: AttemptTimeout | None = None
    backoff: BackoffOptions | None = None
    tags: Tags | None = None
    callback: Callback | None = None
    unique: UniqueOptions | None = None
    after: Annotated[list[JobId], Meta(min_length=1, max_length=limits.MAX_PARENTS)] | None = None
    after_failure: AfterFailure = "wait"
    after_unknown: Literal["refuse", "ignore"] = "refuse"

    def __post_init__(self) -> None:
        """Refuse moments that no client can mean. Raises: ValueError, which msgspec turns into a ValidationError."""
        if self.run_at is None and self.expires_at is None:
            return
        for name in ("run_at", "expires_at"):
            at: datetime | None = getattr(self, name)
            if at is not None and not EARLIEST <= at < LATEST:
                raise ValueError(f"`{name}` is before 1970 or after 2999")

    def too_far(self, now_s: float) -> str | None:
        """Return the first field with a moment that is too far from now, in Unix seconds; None when there is none."""
        for name in ("run_at", "expires_at"):
            at: datetime | None = getattr(self, name)
            if at is not None and at.timestamp() - now_s > limits.MAX_DELAY_S:
                return name
        return None


class Batch(Struct, frozen=True, forbid_unknown_fields=True):
    """Many submissions in one request, each left undecoded so that a bad one does not spoil the others."""

    jobs: Annotated[list[Raw], Meta(min_length=1, max_length=limits.MAX_BATCH_JOBS)]
