"""Jobs that wait for a decision."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from millstream_contracts import limits
from millstream_contracts.ids import NAME_PATTERN, JobId, JobType
from millstream_contracts.job import JobError


class DeadLetter(Struct, kw_only=True, frozen=True):
    """A job whose attempts or crashes are used up."""

    id: JobId
    type: JobType
    reason: str
    """`attempts`, `crashed`, or what the handler gave to `Dead(reason)`."""
    fingerprint: str = ""
    died_at: datetime
    attempts: int = 0
    crashes: int = 0
    error: JobError | None = None


class DeadLetterPage(Struct, frozen=True):
    """A page of dead letters, newest first."""

    items: list[DeadLetter]
    next_cursor: str | None = None


class DeadLetterAction(Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters to redrive or discard: by id, or all of a type."""

    ids: Annotated[list[str], Meta(min_length=1, max_length=limits.MAX_BATCH_JOBS)] | None = None
    type: Annotated[str, Meta(pattern=NAME_PATTERN)] | None = None
    limit: Annotated[int, Meta(ge=1, le=limits.MAX_BATCH_JOBS)] = 1000


class ActionResult(Struct, frozen=True, omit_defaults=True):
    """What became of one job that a bulk action named."""

    id: str
    status: int
    """As if the action had been a request of its own: 202 done, 404 no such job, 409 wrong state."""
    detail: str = ""


class ActionReport(Struct, frozen=True):
    """What a bulk action did."""

    done: int
    refused: int
    items: list[ActionResult]
