"""Whose line it is: every line that a handler causes says so, from whichever library it comes.

The job is in a context variable, so tasks and threads that the handler starts with its context have it too.
"""

from contextvars import ContextVar
from typing import Protocol

from msgspec import Struct
from structlog.typing import EventDict, WrappedLogger

from millstream_contracts import KeptLine
from millstream_telemetry.logs.values import PlainCopy, exception_text
from millstream_telemetry.secret_texts import SecretTexts


class LineKeeper(Protocol):
    """Keeps log lines with an attempt. Any thread may call it."""

    def keep(self, line: KeptLine, job_id: str) -> None:
        """Keep a line; `job_id` is the job that the line says it is about, or empty."""
        ...


class JobFields(Struct, frozen=True):
    """The job whose handler runs."""

    job_id: str
    type: str
    attempt: int
    trace_id: str = ""
    """32 hex digits, also of a trace that is not recorded; or an empty string."""
    keeper: LineKeeper | None = None
    """What keeps the lines with the attempt; None where none are kept."""
    secrets: SecretTexts | None = None
    """What its lines must not have."""


class CallFields(JobFields, frozen=True):
    """The jobs of one call of a batch handler; `job_id` is the first of them."""

    job_ids: tuple[str, ...] = ()


SHOWN_JOBS = 20
"""The most job ids of a line."""

current_job: ContextVar[JobFields | None] = ContextVar("millstream_job", default=None)


def add_job(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add the fields of the job whose handler has caused the line, unless the line has its own."""
    job = current_job.get()
    if job is None:
        return event
    event.setdefault("type", job.type)
    if not isinstance(job, CallFields):
        event.setdefault("job_id", job.job_id)
        event.setdefault("attempt", job.attempt)
    elif "job_id" not in event:  # a line about one of them
        event.setdefault("job_ids", list(job.job_ids[:SHOWN_JOBS]))
        event.setdefault("jobs", len(job.job_ids))
    if job.trace_id:
        event.setdefault("trace_id", job.trace_id)
    return event


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask what is secret of the job whose handler has caused the line, in every field and in tracebacks."""
    job = current_job.get()
    if job is None or job.secrets is None:
        return event
    asked = event.pop("exc_info", None)
    if asked and (text := exception_text(asked)):
        event["exception"] = text
    for name, value in event.items():
        if not name.startswith("_"):
            event[name] = job.secrets.hidden_in(PlainCopy().of(value))
    return event
