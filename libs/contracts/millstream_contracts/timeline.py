"""All that happened to a job, as the API shows it."""

from datetime import datetime

from msgspec import Struct

from millstream_contracts.ids import JobId
from millstream_contracts.job import JobError, JobState
from millstream_contracts.log_lines import LogLine


class TimelineItem(Struct, kw_only=True, frozen=True):
    """One transition of a job."""

    at: datetime
    kind: str
    """One of `EventKind`, or a word of a newer release."""
    state: JobState
    """The state that it led to."""
    version: int
    """The number of the transition, from 1."""
    worker: str | None = None
    detail: str | None = None
    """The reason of a death or a cancellation."""


class TimelineAttempt(Struct, kw_only=True, frozen=True):
    """One delivery of a job to a worker, from its start to what ended it."""

    n: int
    """The number of the delivery, from 1; a redriven job goes on counting."""
    started_at: datetime
    waited_ms: int | None = None
    """From ready to the start; None where it is not known when the job was ready."""
    ran_ms: int | None = None
    """From the start to the end; None while it runs."""
    outcome: str
    """The kind of the transition that ended it, `succeeded` or `retrying` for example; `running` until then, and
    `unknown` where that transition is missing."""
    worker: str | None = None
    error: JobError | None = None
    """Why it failed, with the traceback; None also for an error that a later one has replaced before it was stored."""
    trace_id: str | None = None
    """Of the attempt's own trace where its error names one, else that of the job."""
    logs: list[LogLine] | None = None
    """Its last log lines, the oldest first; None where none are kept of it, and where they were not asked for."""
    logs_left_out: int = 0
    """Lines before these that were not kept."""


class Timeline(Struct, kw_only=True, frozen=True):
    """What is known of the life of a job."""

    id: JobId
    items: list[TimelineItem]
    """In the order in which they happened."""
    attempts: list[TimelineAttempt]
    """In the order of their numbers."""
    complete: bool
    """Whether no transition is missing."""
