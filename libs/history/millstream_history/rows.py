"""A batch of events, and the present state of their jobs, as rows of the tables."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from operator import itemgetter

from msgspec import Struct

from millstream_contracts import (
    Event,
    EventKind,
    Job,
    JobError,
    JobId,
    JobState,
    JobTransition,
    Queue,
    QueueEvents,
    made_at_ms,
    moment,
)
from millstream_history.columns import (
    FORGOTTEN_ROWS,
    JOB_ROWS,
    TRANSITION_ROWS,
    ForgottenJob,
    Row,
    Transition,
    write_text,
)

_FAILURES = frozenset({EventKind.RETRYING, EventKind.DEAD})
_SETTLED = frozenset(state.value for state in JobState if state.is_settled)

# Where the primary keys stand in a row.
_JOB_KEY, _TRANSITION_KEY = itemgetter(0, 1), itemgetter(0, 1, 2)


class Rows(Struct, frozen=True):
    """A batch, ready to be stored."""

    jobs: list[Row]
    forgotten: list[Row]
    transitions: list[Row]


def rows_of(batches: Sequence[QueueEvents], jobs: Mapping[Queue, Mapping[JobId, Job]]) -> Rows:
    """Return events, and the present state of their jobs, as a batch to store.

    A job that is not among `jobs` was deleted by Redis, and is stored from its events alone.
    """
    # Always in the order of the primary keys: writers of the same rows in two orders would wait for each other.
    return Rows(
        jobs=sorted((JOB_ROWS.row(queue, job) for queue, some in jobs.items() for job in some.values()), key=_JOB_KEY),
        forgotten=sorted(_forgotten_rows(batches, jobs), key=_JOB_KEY),
        transitions=sorted(
            (row for batch in batches for row in _transition_rows(batch, jobs.get(batch.queue, {}))),
            key=_TRANSITION_KEY,
        ),
    )


def _forgotten_rows(batches: Sequence[QueueEvents], jobs: Mapping[Queue, Mapping[JobId, Job]]) -> list[Row]:
    """Return rows of the jobs that Redis has deleted, by the last event of each."""
    last: dict[tuple[Queue, JobId], tuple[JobTransition, Event]] = {}
    for batch in batches:
        known = jobs.get(batch.queue, {})
        for event in batch.events:
            for job in event.jobs:
                seen = last.get((batch.queue, job.id))
                if job.id not in known and (seen is None or seen[0].version < job.version):
                    last[batch.queue, job.id] = job, event
    return [FORGOTTEN_ROWS.row(_forgotten_job(queue, job, event)) for (queue, _), (job, event) in last.items()]


def _forgotten_job(queue: Queue, job: JobTransition, event: Event) -> ForgottenJob:
    return ForgottenJob(
        tenant=queue.tenant,
        id=job.id,
        type=queue.type,
        partition=queue.partition,
        state=job.state,
        version=job.version,
        deliveries=job.deliveries,
        created_at=_created_at(job.id) or moment(event.at_ms),
        finished_at=moment(event.at_ms) if job.state in _SETTLED else None,
        reason=job.detail or None,
    )


def _created_at(job_id: JobId) -> datetime | None:
    try:
        return moment(made_at_ms(job_id))
    except (ValueError, OverflowError):
        return None


def _transition_rows(batch: QueueEvents, known: Mapping[JobId, Job]) -> Iterator[Row]:
    errors = {job.id: job.error for job in known.values() if job.error}
    # Backwards: of several failures of a job it is the last one whose error is known.
    for event in reversed(batch.events):
        for step in _transitions(batch.queue, event, errors):
            yield TRANSITION_ROWS.row(step)


def _transitions(queue: Queue, event: Event, errors: dict[JobId, JobError]) -> Iterator[Transition]:
    """Yield an event as one transition of each of its jobs. One about failures takes its errors out of `errors`."""
    at, failed = moment(event.at_ms), event.kind in _FAILURES
    # Once an event: they are those of all its jobs.
    kind, worker = write_text(str(event.kind)), write_text(event.worker) or None
    for job in event.jobs:
        error = errors.pop(job.id, None) if failed else None
        detail = job.detail or None
        yield Transition(queue.tenant, job.id, job.version, kind, job.state, at, job.deliveries, worker, detail, error)
