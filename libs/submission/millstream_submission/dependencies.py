"""Blocks jobs until others have settled: looks at these before the storing, and tells them of the job afterwards.

A parent and its child lie in different queues, and no step moves both. So the child is stored first, blocked by each
parent that has not ended. Then each parent is told of it, and answers with its state in the same step: no end is missed
between. What is left undone here, the linker of the dispatchers does.
"""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

from millstream_contracts import (
    AfterFailure,
    FieldError,
    JobId,
    JobState,
    Queue,
    Submission,
    Tenant,
    ids_by_queue,
    limits,
    queue_of,
)
from millstream_streams import (
    Blocked,
    DependencyStore,
    Edge,
    JobViews,
    NewJob,
    Parents,
    ResolveCode,
    StoreError,
    in_calls,
)
from millstream_submission.errors import UnknownParentError
from millstream_submission.parent_spans import parent_spans
from millstream_telemetry import TraceContext

States = Mapping[JobId, str]
"""The states of jobs, in the words of scripts."""

UNKNOWN = "unknown"
"""Stands for the state of a job that is not known, or no longer."""

EDGES_A_JOB = 10
"""How many parents of blocked jobs weigh as much in a script call as a job does."""

_TERMINAL = frozenset({JobState.SUCCEEDED.value, JobState.CANCELLED.value, JobState.EXPIRED.value})
_TELLING = _TERMINAL | {JobState.DEAD.value, UNKNOWN}
"""The states of a parent of which its child is told at once."""

Recall = Callable[[Tenant, JobId], Awaitable[str | None]]
"""Returns the state in which a job has ended that Redis has forgotten; None where that is not known."""


async def _recall_nothing(_tenant: Tenant, _job_id: JobId) -> str | None:
    return None


class Dependencies:
    """Looks at parents, and links children to them."""

    def __init__(self, store: DependencyStore, views: JobViews, *, recall: Recall = _recall_nothing) -> None:
        self._store = store
        self._views = views
        self._recall = recall

    async def look(self, tenant: Tenant, ids: Iterable[JobId]) -> dict[JobId, str]:
        """Return the states of those of these jobs that are known. Raises: StoreUnavailableError."""
        found: dict[JobId, str] = {}
        for queue, some in ids_by_queue(tenant, ids).items():
            for part in in_calls(some):
                for job_id, live in zip(part, await self._views.states(queue, part), strict=True):
                    state = live or await self._recall(tenant, job_id)
                    if state is not None:
                        found[job_id] = state
        return found

    async def parents(self, tenant: Tenant, submission: Submission, prefix: str = "") -> Parents | None:
        """Return what a submission waits for; None for nothing. Raises: UnknownParentError, StoreUnavailableError."""
        if submission.after is None:
            return None
        return parents_of(submission, await self.look(tenant, submission.after), prefix)

    async def spans(self, tenant: Tenant, submission: Submission, caller: TraceContext) -> list[TraceContext]:
        """Return the spans of the jobs that a submission waits for; none where no span is recorded anyway."""
        if not submission.after or not caller.is_sampled:
            return []
        return await parent_spans(self._views, tenant, submission.after)

    async def link(self, queue: Queue, blocked: Sequence[Blocked]) -> Counter[ResolveCode]:
        """Tell the parents of blocked jobs of one queue of them, and the jobs of parents that have settled.

        Returns: how often a job was told what. Raises: StoreError, once all other parents know.
        """
        failure: StoreError | None = None
        edges: list[Edge] = []
        pairs: defaultdict[Queue, list[tuple[JobId, JobId]]] = defaultdict(list)
        for one in blocked:
            for parent in one.parents:
                if (of_parent := queue_of(queue.tenant, parent)) is None:
                    edges.append(Edge(one.id, parent, UNKNOWN))
                else:
                    pairs[of_parent].append((parent, one.id))
        for of_parent, some in pairs.items():
            try:
                edges += await self._listen(of_parent, some)
            except StoreError as error:
                failure = error
        counts = await self._resolve(queue, edges)
        if failure is not None:
            raise failure
        for part in in_calls([one.id for one in blocked]):
            await self._store.linked(queue, part)
        return counts

    async def _listen(self, queue: Queue, pairs: Sequence[tuple[JobId, JobId]]) -> list[Edge]:
        """Note children at their parents. Returns: what these have to be told at once."""
        edges = []
        for part in in_calls(pairs):
            states = await self._store.listen(queue, part)
            for (parent, child), state in zip(part, states, strict=True):
                if state in _TELLING:
                    # Redis may have forgotten a parent that the history remembers.
                    known = await self._recall(queue.tenant, parent) if state == UNKNOWN else None
                    edges.append(Edge(child, parent, known or state))
        return edges

    async def _resolve(self, queue: Queue, edges: Sequence[Edge]) -> Counter[ResolveCode]:
        counts: Counter[ResolveCode] = Counter()
        for part in in_calls(edges):
            counts.update(await self._store.resolve(queue, part))
        return counts


def parents_of(submission: Submission, states: States, prefix: str = "") -> Parents | None:
    """Return what a submission waits for, of parents in these states; None for nothing. Raises: UnknownParentError."""
    wanted = list(dict.fromkeys(submission.after or ()))
    if submission.after_unknown == "refuse" and (unknown := [job_id for job_id in wanted if job_id not in states]):
        places = [(submission.after or []).index(job_id) for job_id in unknown[:_SHOWN]]
        raise UnknownParentError([FieldError(f"{prefix}/after/{at}", "there is no such job") for at in places])
    known = tuple(job_id for job_id in wanted if job_id in states)
    policy = submission.after_failure
    return Parents(known, tuple(one for one in known if not _is_done(states[one], policy)), policy) if known else None


_SHOWN = 20
"""How many unknown parents a refusal names."""


def _is_done(state: str, policy: AfterFailure) -> bool:
    if policy == "run":
        return state in _TERMINAL or state == JobState.DEAD.value
    return state == JobState.SUCCEEDED.value


def blocked_of(job: NewJob, job_id: JobId | None = None) -> Blocked | None:
    """Return what a new job is blocked by, or the earlier one of this id with its key; None for one that is not."""
    if job.parents is None or not job.parents.open:
        return None
    return Blocked(job_id or job.id, list(job.parents.open))


def weight_of(job: NewJob) -> int:
    """Return what a job weighs in a script call, which takes a weight of `limits.MAX_SCRIPT_JOBS`."""
    if job.parents is None:
        return 1
    return min(1 + len(job.parents.open) // EDGES_A_JOB, limits.MAX_SCRIPT_JOBS)


def loads_of(jobs: Iterable[tuple[int, NewJob]]) -> Iterator[list[int]]:
    """Cut jobs of one queue, given with their places, into loads for one script call each. Yields: places."""
    load: list[int] = []
    weight = 0
    for at, job in jobs:
        if load and weight + weight_of(job) > limits.MAX_SCRIPT_JOBS:
            yield load
            load, weight = [], 0
        load.append(at)
        weight += weight_of(job)
    if load:
        yield load
