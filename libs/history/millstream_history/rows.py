"""Jobs and events as rows of the tables, such that PostgreSQL takes every one.

What handlers and clients write may hold what it has no room for: one such job must not stop those beside it.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from millstream_contracts import (
    Event,
    EventKind,
    Job,
    JobError,
    JobId,
    JobState,
    JobTransition,
    Queue,
    made_at_ms,
    moment,
)

Row = tuple[Any, ...]

_LARGEST_INTEGER = 2**31 - 1
_FAILURES = frozenset({EventKind.RETRYING, EventKind.DEAD})
_SETTLED = frozenset(state.value for state in JobState if state.is_settled)
_NUL, _UNKNOWN = "\0", "\ufffd"
"""PostgreSQL stores every character but one; in its place stands the one that Unicode has for that."""


def job_row(queue: Queue, job: Job) -> Row:
    """Return a job as a row of `jobs`, in the order of its columns."""
    return (
        queue.tenant,
        job.id,
        queue.type,
        queue.partition,
        job.state.value,
        job.version,
        job.priority.value,
        _integer(job.attempts),
        job.max_attempts,
        _integer(job.deliveries),
        _integer(job.crashes),
        _integer(job.handbacks),
        job.created_at,
        job.run_at,
        job.expires_at,
        job.started_at,
        job.finished_at,
        _text(job.worker),
        _json(job.payload),
        _json(job.result),
        _json(job.error),
        _text(job.reason),
        _json(job.tags),
        job.timeout_s,
        _text(job.trace_id),
    )


def forgotten_row(queue: Queue, job: JobTransition, event: Event) -> Row:
    """Return what the last event alone tells of a job that Redis has forgotten, in the order of FORGOTTEN_COLUMNS."""
    finished_at = moment(event.at_ms) if job.state in _SETTLED else None
    return (
        queue.tenant,
        job.id,
        queue.type,
        queue.partition,
        job.state,
        job.version,
        _integer(job.deliveries),
        _created_at(job.id) or moment(event.at_ms),
        finished_at,
        _text(job.detail) or None,
    )


FORGOTTEN_COLUMNS = (
    "tenant", "id", "type", "partition", "state", "version", "deliveries", "created_at", "finished_at", "reason",
)  # fmt: skip


def transition_rows(queue: Queue, event: Event, errors: dict[JobId, JobError]) -> Iterator[Row]:
    """Yield an event as rows of `transitions`, in the order of its columns.

    `errors` are the last ones of jobs; an event that tells of failures takes its own out of them.
    """
    kind, at, worker = _text(str(event.kind)), moment(event.at_ms), _text(event.worker) or None
    failed = event.kind in _FAILURES
    for job in event.jobs:
        error = _json(errors.pop(job.id, None)) if failed else None
        detail = _text(job.detail) or None
        yield queue.tenant, job.id, job.version, kind, job.state, at, job.deliveries, worker, detail, error


def _created_at(job_id: JobId) -> datetime | None:
    try:
        return moment(made_at_ms(job_id))
    except (ValueError, OverflowError):
        return None


def _integer(number: int) -> int:
    return min(_LARGEST_INTEGER, number)


def _text(text: str | None) -> str | None:
    return text.replace(_NUL, _UNKNOWN) if text and _NUL in text else text


def _json(value: Any) -> str | None:
    """Return a value as JSON; None for none, and for what JSON cannot say."""
    if value is None:
        return None
    try:
        encoded = msgspec.json.encode(value)
        if rb"\u0000" in encoded:
            encoded = msgspec.json.encode(_without_nul(msgspec.to_builtins(value)))
    except (TypeError, ValueError, RecursionError):
        return None
    return encoded.decode()


def _without_nul(value: Any) -> Any:
    match value:
        case str():
            return _text(value)
        case list():
            return [_without_nul(item) for item in value]
        case dict():
            return {_without_nul(key): _without_nul(item) for key, item in value.items()}
        case _:
            return value
