"""Prints a job for people: what became of it, its payload, its result, and its last error with the traceback."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from millstream_cli.wording import ago, lasting, printable, stamp
from millstream_contracts import Job, JobState

STYLES = {
    JobState.SUCCEEDED: "green",
    JobState.RUNNING: "cyan",
    JobState.DEAD: "bold red",
    JobState.CANCELLED: "yellow",
    JobState.EXPIRED: "yellow",
}
_REASONS = {
    "attempts": "its attempts are used up",
    "crashed": "its crashes are used up",
    "parent_cancelled": "a job for which it waited was cancelled",
    "parent_expired": "a job for which it waited has expired",
    "parent_dead": "a job for which it waited is dead",
    "replaced": "a later job with its unique key took its place",
    "parent_unknown": "a job for which it waited is not known any more",
}
_SHOWN_PARENTS = 5
_LABEL_CHARS = 11
_ONE_LINE_CHARS = 76
"""A value that is longer as JSON on one line is printed on several."""


def print_job(job: Job, now: datetime | None = None) -> None:
    """Print a job, leaving out what says nothing. Lines are whole: the terminal folds those that are too long."""
    console = Console(highlight=False)
    for label, text in _facts(job, now or datetime.now(UTC)):
        style = STYLES.get(job.state, "") if label == "state" else ""
        console.print(
            Text.assemble((f"{label:>{_LABEL_CHARS}}", "dim"), "  ", (printable(text), style)), soft_wrap=True
        )
    for title, text in _texts(job):
        console.print(Text(f"\n{title}", "bold"), soft_wrap=True)
        for line in text.splitlines():
            console.print(Text(f"  {printable(line)}"), soft_wrap=True)


def _facts(job: Job, now: datetime) -> Iterator[tuple[str, str]]:
    yield "id", job.id
    yield "type", job.type
    yield "state", _state(job)
    yield from _parents(job)
    yield from _belongings(job)
    yield from _unique(job)
    yield from _counts(job)
    yield from _times(job, now)
    if job.worker:
        yield "worker", job.worker
    if job.progress:
        note = f" {job.progress.note}" if job.progress.note else ""
        yield "progress", f"{job.progress.percent:g} %{note}"
    yield "priority", job.priority.value
    if job.timeout_s is not None:
        yield "timeout", lasting(job.timeout_s)
    for key, value in (job.tags or {}).items():
        yield "tag", f"{key}={value}"
    if job.trace_id:
        yield "trace", job.trace_id


def _belongings(job: Job) -> Iterator[tuple[str, str]]:
    if job.waiting_for:
        yield "waits for", f"the signal {job.waiting_for}"
    if job.workflow:
        yield "workflow", job.workflow
    if job.batch:
        yield "batch", f"{job.batch} ({job.batch_event.replace('_', ' ')})" if job.batch_event else job.batch
    if job.key is not None:
        yield "key", job.key
    if job.submitted_by:
        yield "submitter", job.submitted_by


def _parents(job: Job) -> Iterator[tuple[str, str]]:
    if job.after:
        label = "waits for" if job.state is JobState.BLOCKED else "came after"
        for at, parent in enumerate(job.after[:_SHOWN_PARENTS]):
            yield "" if at else label, parent
        if (more := len(job.after) - _SHOWN_PARENTS) > 0:
            yield "", f"and {more:,} more"
    if job.because_of:
        yield "because of", job.because_of


def _unique(job: Job) -> Iterator[tuple[str, str]]:
    if job.unique:
        until = f" until {stamp(job.unique.until)}" if job.unique.until else ""
        yield "unique", f"{job.unique.key} ({job.unique.scope}{until})"


def _state(job: Job) -> str:
    reason = f" ({_REASONS.get(job.reason, job.reason)})" if job.reason and job.reason != job.state else ""
    asked = ", its cancellation is asked for" if job.cancel_requested and job.state is not JobState.CANCELLED else ""
    return f"{job.state}{reason}{asked}"


def _counts(job: Job) -> Iterator[tuple[str, str]]:
    most = f" of {job.max_attempts}" if job.max_attempts else ""
    yield "attempts", f"{job.attempts}{most}"
    for label, count in (("crashes", job.crashes), ("hand-backs", job.handbacks)):
        if count:
            yield label, str(count)


def _times(job: Job, now: datetime) -> Iterator[tuple[str, str]]:
    moments = (
        ("submitted", job.created_at),
        ("due", None if job.started_at else job.run_at),
        ("expires", None if job.started_at else job.expires_at),
        ("started", job.started_at),
        ("ended", job.finished_at),
    )
    for label, moment in moments:
        if moment:
            yield label, f"{stamp(moment)}, {ago(moment, now)}"
    if job.started_at and job.finished_at:
        yield "took", lasting(max(0.0, (job.finished_at - job.started_at).total_seconds()))


def _texts(job: Job) -> Iterator[tuple[str, str]]:
    if job.encrypted:
        yield "stored", "encrypted" if job.payload is not None else "encrypted; what it carries cannot be read here"
    if job.payload is not None:
        yield "payload", _json(job.payload)
    if job.result is not None:
        yield "result", _json(job.result)
    if job.error:
        head = f"{job.error.type}: {job.error.message}".removesuffix(": ")
        # The traceback ends with the message, as Python prints it.
        text = job.error.traceback or head
        title = f"last error, at attempt {job.error.attempt}" if job.error.attempt else "last error"
        yield title, text if head in text else f"{head}\n{text}"


def _json(value: Any) -> str:
    text = msgspec.json.encode(value)
    if len(text) > _ONE_LINE_CHARS:
        text = msgspec.json.format(text)
    return text.decode()
