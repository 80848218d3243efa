"""What of the jobs of a type is stored, as its policy says: decided before anything is written."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec.structs import replace

from millstream_contracts import Job, JobId, JobTransition, Keeps, Queue, QueueEvents
from millstream_history.projection.columns import JOB_ROWS, Row, blank
from millstream_history.projection.derived import outcome_of
from millstream_history.projection.rows import Jobs, Rows

KeptOf = Mapping[Queue, Keeps]
"""What is stored of the jobs of each queue; everything, where that is not said."""

_PAYLOAD_COLUMNS = frozenset({"payload", "payload_bytes", "result"})

_Key = tuple[str, str]


def as_kept(rows: Rows, batches: Sequence[QueueEvents], jobs: Jobs, kept: KeptOf) -> Rows:
    """Return the rows of a batch without what is not to be stored.

    Transitions that are left out are counted all the same: a type without its successes would look as if all of its
    jobs failed.
    """
    if all(one == "everything" for one in kept.values()):
        return rows
    dropped, bare = _dropped(batches, jobs, kept), _bare(jobs, kept)
    return replace(
        rows,
        jobs=[_bared(row, bare) for row in rows.jobs if row[:2] not in dropped],
        forgotten=[row for row in rows.forgotten if row[:2] not in dropped],
        transitions=[row for row in rows.transitions if row[:2] not in dropped],
        counted=[row for row in rows.transitions if row[:2] in dropped],
    )


def kept_jobs(jobs: Mapping[JobId, Job], kept: Keeps) -> dict[JobId, Job]:
    """Return those of the jobs of a queue that are stored."""
    return {job_id: job for job_id, job in jobs.items() if _is_kept(job, kept)}


def _is_kept(job: Job, kept: Keeps) -> bool:
    if kept == "failures":
        return job.error is not None or job.crashes > 0 or outcome_of(job.state) is not None
    return kept != "nothing"


def _dropped(batches: Sequence[QueueEvents], jobs: Jobs, kept: KeptOf) -> set[_Key]:
    """Return the jobs of a batch that are not stored at all."""
    dropped: set[_Key] = set()
    for queue, some in jobs.items():
        keeps = kept.get(queue, "everything")
        dropped.update((queue.tenant, job_id) for job_id, job in some.items() if not _is_kept(job, keeps))
    for queue, steps in _forgotten(batches, jobs, kept):
        failed = {step.id for step in steps if _tells_of_failure(step)} if kept[queue] == "failures" else set()
        dropped.update((queue.tenant, step.id) for step in steps if step.id not in failed)
    return dropped


def _forgotten(batches: Sequence[QueueEvents], jobs: Jobs, kept: KeptOf) -> Iterator[tuple[Queue, list[JobTransition]]]:
    """Yield what is told of jobs that Redis has deleted, of queues of which not all jobs are stored."""
    for batch in batches:
        if kept.get(batch.queue) in {"failures", "nothing"}:
            known = jobs.get(batch.queue, {})
            yield batch.queue, [step for event in batch.events for step in event.jobs if step.id not in known]


def _tells_of_failure(step: JobTransition) -> bool:
    return step.error is not None or outcome_of(step.state) is not None or (step.attempt or 0) > 1


def _bare(jobs: Jobs, kept: KeptOf) -> set[_Key]:
    """Return the jobs that are stored without their payload."""
    return {
        (queue.tenant, job_id) for queue, some in jobs.items() if kept.get(queue) == "no_payload" for job_id in some
    }


def _bared(row: Row, bare: Collection[_Key]) -> Row:
    return blank(row, JOB_ROWS.names, _PAYLOAD_COLUMNS) if row[:2] in bare else row
