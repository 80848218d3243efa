"""Whose line it is: every line that a handler causes says so, from whichever library it comes.

The job is in a context variable, so tasks and threads that the handler starts with its context have it too.
"""

from contextvars import ContextVar

from msgspec import Struct
from structlog.typing import EventDict, WrappedLogger


class JobFields(Struct, frozen=True):
    """The job whose handler runs."""

    job_id: str
    type: str
    attempt: int
    trace_id: str = ""
    """32 hex digits, also of a trace that is not recorded; or an empty string."""


current_job: ContextVar[JobFields | None] = ContextVar("millstream_job", default=None)


def add_job(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add the fields of the job whose handler has caused the line, unless the line has its own."""
    job = current_job.get()
    if job is None:
        return event
    event.setdefault("job_id", job.job_id)
    event.setdefault("type", job.type)
    event.setdefault("attempt", job.attempt)
    if job.trace_id:
        event.setdefault("trace_id", job.trace_id)
    return event
