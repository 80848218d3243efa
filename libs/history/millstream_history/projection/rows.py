"""A batch of events, and the present state of their jobs, as rows of the tables."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
    made_at,
    moment,
)
from millstream_history.projection.columns import (
    FORGOTTEN_ROWS,
    JOB_ROWS,
    TRANSITION_ROWS,
    ForgottenJob,
    Row,
    Transition,
    write_text,
)
from millstream_history.projection.derived import derived_of, error_text_of, fingerprint_of, outcome_of
from millstream_history.projection.worker_spans import Span, spans_of

Jobs = Mapping[Queue, Mapping[JobId, Job]]
Waits = Mapping[Queue, Mapping[JobId, int]]
Told = Mapping[Queue, Collection[JobId]]

_FAILURES = frozenset({EventKind.RETRYING, EventKind.DEAD})
_SETTLED = frozenset(state.value for state in JobState if state.is_settled)
_NOTHING: Mapping[JobId, int] = {}
_NONE_TOLD: Told = {}

# Where the primary keys stand in a row.
_JOB_KEY, _TRANSITION_KEY = itemgetter(0, 1), itemgetter(0, 1, 2)


class Rows(Struct, frozen=True):
    """A batch, ready to be stored."""

    jobs: list[Row]
    forgotten: list[Row]
    transitions: list[Row]
    spans: Sequence[Span] = ()
    """When workers were seen."""
    counted: Sequence[Row] = ()
    """Transitions that are counted and not stored."""


def rows_of(
    batches: Sequence[QueueEvents], jobs: Jobs, waited_ms: Waits | None = None, told: Told = _NONE_TOLD
) -> Rows:
    """Return events, and the present state of their jobs, as a batch to store.

    A job that is not among `jobs` was deleted by Redis, and is stored from its events alone; of one that is `told`,
    the state is stored already, and its events add transitions. `waited_ms` says how long each job was ready before
    its last delivery.
    """
    # Always in the order of the primary keys: writers of the same rows in two orders would wait for each other.
    return Rows(
        jobs=sorted(_job_rows(jobs, waited_ms or {}), key=_JOB_KEY),
        forgotten=sorted(_forgotten_rows(batches, jobs, told), key=_JOB_KEY),
        transitions=_unique(row for batch in batches for row in _transition_rows(batch, jobs.get(batch.queue, {}))),
        spans=spans_of(batches),
    )


def _unique(rows: Iterable[Row]) -> list[Row]:
    """Return rows by key, of an event that stands twice the first: it has the error, where only one has."""
    found: dict[Row, Row] = {}
    for row in rows:
        found.setdefault(_TRANSITION_KEY(row), row)
    return [found[key] for key in sorted(found)]


def _job_rows(jobs: Jobs, waited_ms: Waits) -> Iterator[Row]:
    for queue, some in jobs.items():
        waits = waited_ms.get(queue, _NOTHING)
        for job in some.values():
            yield JOB_ROWS.row(queue, job, derived_of(job, waits.get(job.id)))


def _forgotten_rows(batches: Sequence[QueueEvents], jobs: Jobs, told: Told) -> Iterator[Row]:
    """Yield rows of the jobs that Redis has deleted, by the events of each."""
    found: dict[tuple[Queue, JobId], list[tuple[JobTransition, Event]]] = {}
    for batch in batches:
        known, stored = jobs.get(batch.queue, {}), told.get(batch.queue, ())
        for event in batch.events:
            for job in event.jobs:
                if job.id not in known and job.id not in stored:
                    found.setdefault((batch.queue, job.id), []).append((job, event))
    for (queue, _), steps in found.items():
        yield FORGOTTEN_ROWS.row(_forgotten_job(queue, sorted(steps, key=lambda step: step[0].version)))


def _forgotten_job(queue: Queue, steps: Sequence[tuple[JobTransition, Event]]) -> ForgottenJob:
    """Return a job as its transitions, oldest first, tell of it."""
    job, event = steps[-1]
    error = next((step.error for step, _ in reversed(steps) if step.error), None)
    reason = job.detail or None
    return ForgottenJob(
        tenant=queue.tenant,
        id=job.id,
        type=queue.type,
        partition=queue.partition,
        state=job.state,
        version=job.version,
        deliveries=job.deliveries,
        created_at=made_at(job.id),
        finished_at=moment(event.at_ms) if job.state in _SETTLED else None,
        reason=reason,
        error=error,
        outcome=outcome_of(job.state),
        fingerprint=fingerprint_of(job.state, error, reason),
        error_text=error_text_of(error),
        waited_ms=_last([step.waited_ms for step, _ in steps]),
        ran_ms=_last([step.ran_ms for step, _ in steps]),
    )


def _last(values: Sequence[int | None]) -> int | None:
    return next((value for value in reversed(values) if value is not None), None)


def _transition_rows(batch: QueueEvents, known: Mapping[JobId, Job]) -> Iterator[Row]:
    errors = {job.id: job.error for job in known.values() if job.error}
    # Backwards: of several failures whose events have no errors it is the last one whose error is known.
    for event in reversed(batch.events):
        for step in _transitions(batch.queue, event, errors):
            yield TRANSITION_ROWS.row(step)


def _transitions(queue: Queue, event: Event, errors: dict[JobId, JobError]) -> Iterator[Transition]:
    """Yield an event as one transition of each of its jobs. One about failures takes its errors out of `errors`."""
    at, failed = moment(event.at_ms), event.kind in _FAILURES
    # Once an event: they are those of all its jobs.
    kind, worker = write_text(str(event.kind)), write_text(event.worker) or None
    for job in event.jobs:
        last_error = errors.pop(job.id, None) if failed else None
        yield Transition(
            queue.tenant,
            job.id,
            job.version,
            kind,
            job.state,
            at,
            job.deliveries,
            worker,
            job.detail or None,
            job.error or last_error,
            made_at(job.id),
            job.attempt,
            job.waited_ms,
            job.ran_ms,
            job.log_lines,
        )
