"""Finds what a test leaves behind, at its end."""

from collections.abc import Collection, Iterable, Iterator

from millstream_contracts import JobState, did_you_mean
from millstream_streams.store.specs import read_error
from millstream_testing.memory.stored_job import StoredJob


def leftovers(
    jobs: Iterable[StoredJob],
    *,
    handled: Collection[str],
    looked_at: Collection[str],
    read: Collection[str],
    allow_dead: bool,
) -> Iterator[str]:
    """Yield a sentence for each job that a test leaves behind.

    `handled` are the types that the app handles, `looked_at` those whose submissions the test has looked at, `read` the
    ids of jobs whose end it has seen.
    """
    for job in jobs:
        if job.state is JobState.RUNNING:
            yield f"{job.id} still runs: await its result, or cancel it"
        elif job.state is JobState.QUEUED and job.queue.type not in looked_at:
            yield f"{job.id} is queued{_why(job, handled)}"
        elif job.state is JobState.DEAD and job.id not in read and not allow_dead:
            yield f"{job.id} is dead ({job.reason}){_said(job)}: look at it by dead(), or say allow_dead=True"


def _why(job: StoredJob, handled: Collection[str]) -> str:
    if job.queue.type in handled:
        return ": run it, or look at it by submitted(...)"
    return f", and the app has no handler for `{job.queue.type}`{did_you_mean(job.queue.type, handled)}"


def _said(job: StoredJob) -> str:
    error = read_error(job.error)
    return "" if error is None else f": {error.type}: {error.message}"
