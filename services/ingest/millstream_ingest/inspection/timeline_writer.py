"""Writes the timeline of a job from its transitions, and from its present state where that is newer."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from millstream_contracts import (
    EventKind,
    Job,
    JobError,
    JobState,
    KeptLines,
    LogLine,
    Timeline,
    TimelineAttempt,
    TimelineItem,
    moment,
    read_state,
)
from millstream_history import Transition

_ENTERED: dict[JobState, tuple[EventKind, str]] = {
    JobState.RUNNING: (EventKind.STARTED, "started_at"),
    JobState.SUCCEEDED: (EventKind.SUCCEEDED, "finished_at"),
    JobState.DEAD: (EventKind.DEAD, "finished_at"),
    JobState.CANCELLED: (EventKind.CANCELLED, "finished_at"),
    JobState.EXPIRED: (EventKind.EXPIRED, "finished_at"),
}
"""By which transition a job came into a state, and the field that says when. Into other states lead several."""

_BESIDE = frozenset({EventKind.CANCEL_REQUESTED})
"""Transitions of a running job that do not end its delivery."""

RUNNING, UNKNOWN = "running", "unknown"


def timeline_of(job: Job, transitions: Sequence[Transition]) -> Timeline:
    """Return the timeline of a job from its stored transitions, in order, and the job as it is now."""
    steps = [*transitions, *_present(job, transitions)]
    # The job was read first: a transition that is stored may be newer.
    last = max([job.version, *(step.version for step in steps)])
    return Timeline(
        id=job.id,
        items=[_item(step) for step in steps],
        attempts=_attempts(job, steps),
        complete=[step.version for step in steps] == list(range(1, last + 1)),
    )


def _item(step: Transition) -> TimelineItem:
    return TimelineItem(
        at=step.at,
        kind=step.kind,
        state=read_state(step.state),
        version=step.version,
        worker=step.worker,
        detail=step.detail,
    )


def _present(job: Job, transitions: Sequence[Transition]) -> list[Transition]:
    """Return the transition that led to the present state of a job, if it is not stored yet and can be told."""
    last = transitions[-1].version if transitions else 0
    if job.version <= last:
        return []
    kind, at = _last_step(job)
    if kind is None or at is None:
        return []
    return [
        Transition(
            "",
            job.id,
            job.version,
            kind,
            job.state,
            at,
            job.deliveries,
            worker=job.worker,
            detail=job.reason,
            error=job.error if kind is EventKind.DEAD else None,
        )
    ]


def _last_step(job: Job) -> tuple[EventKind | None, datetime | None]:
    if job.version == 1:
        return EventKind.SUBMITTED, job.created_at
    if job.state in _ENTERED:
        kind, field = _ENTERED[job.state]
        return kind, getattr(job, field)
    return None, None


def _attempts(job: Job, steps: Sequence[Transition]) -> list[TimelineAttempt]:
    """Return the deliveries, each with the first transition that ended it."""
    attempts = []
    for place, start in enumerate(steps):
        if start.kind != EventKind.STARTED:
            continue
        end = next((step for step in steps[place + 1 :] if step.kind not in _BESIDE), None)
        # A transition of another delivery says nothing of the end of this one.
        if end is not None and end.deliveries != start.deliveries:
            end = None
        attempts.append(_attempt(job, start, end, steps[place - 1] if place else None))
    return attempts


def _attempt(job: Job, start: Transition, end: Transition | None, before: Transition | None) -> TimelineAttempt:
    is_running = end is None and job.state is JobState.RUNNING and start.deliveries == job.deliveries
    error, kept = (end.error, end.log_lines) if end else (None, None)
    return TimelineAttempt(
        n=start.deliveries,
        started_at=start.at,
        waited_ms=_waited_ms(before, start),
        ran_ms=_ran_ms(start, end),
        outcome=end.kind if end else RUNNING if is_running else UNKNOWN,
        worker=start.worker,
        error=error,
        trace_id=_trace_of(error) or job.trace_id,
        logs=_lines(kept) if kept else None,
        logs_left_out=kept.left_out if kept else 0,
    )


def _lines(kept: KeptLines) -> list[LogLine]:
    return [
        LogLine(at=moment(line.at_ms), level=line.level, message=line.message, fields=line.fields)
        for line in kept.lines
    ]


def _ran_ms(start: Transition, end: Transition | None) -> int | None:
    if end is None:
        return None
    return _ms(end.at - start.at) if end.ran_ms is None else end.ran_ms


def _waited_ms(before: Transition | None, start: Transition) -> int | None:
    """Return how long a job was ready; None where it was not noted and the transition that made it so is missing."""
    if start.waited_ms is not None:
        return start.waited_ms
    if before is None or before.state != JobState.QUEUED or before.version != start.version - 1:
        return None
    return _ms(start.at - before.at)


def _ms(length: timedelta) -> int:
    return max(0, round(length.total_seconds() * 1000))


def _trace_of(error: JobError | None) -> str | None:
    parts = error.traceparent.split("-") if error else []
    return parts[1] if len(parts) == 4 else None
