"""Reads what a job waits for, and what waits for it."""

from collections.abc import Mapping

from millstream_contracts import Job, JobDependencies, JobId, JobState, Queue, RelatedJob, read_state
from millstream_streams import Broker
from millstream_submission import Dependencies

MAX_CHILDREN = 100
"""How many of the jobs that wait for a job are named."""


class DependencyReader:
    """Reads the jobs around one job. May raise StoreUnavailableError."""

    def __init__(self, broker: Broker, dependencies: Dependencies) -> None:
        self._views = broker.views
        self._dependencies = dependencies

    async def read(self, queue: Queue, job: Job) -> JobDependencies:
        """Return the jobs around a job that was read before."""
        blocking = await self._views.open_parents(queue, job.id) if job.state is JobState.BLOCKED else []
        # Those that its handler has called stand in no submission.
        named = job.after or []
        parents = [*named, *(one for one in blocking if one not in named)]
        children, total = await self._views.children(queue, job.id, MAX_CHILDREN)
        states = await self._dependencies.look(queue.tenant, [*parents, *children])
        return JobDependencies(
            id=job.id,
            after=[_related(one, states, blocks=one in blocking) for one in parents],
            children=[_related(one, states) for one in children],
            children_total=total,
        )


def _related(job_id: JobId, states: Mapping[JobId, str], *, blocks: bool = False) -> RelatedJob:
    word = states.get(job_id)
    return RelatedJob(job_id, read_state(word) if word else None, blocks)
