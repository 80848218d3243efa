"""Shows the ledger as the parts of a broker, to the production code that submits, reads and announces jobs."""

from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import Any, cast

from millstream_codec import Codec
from millstream_contracts import JobId, JobState, Queue, StoredStep, Tenant
from millstream_streams import (
    ActionCode,
    Broker,
    Delivery,
    DependencyStore,
    Durability,
    Enqueued,
    JobStore,
    JobViews,
    NewJob,
    QueueScripts,
    RedisClock,
    Registry,
    StoredTemplate,
    Templates,
)
from millstream_streams.reading.registrations import Registrations
from millstream_streams.store.keys import Keys
from millstream_testing.memory.ledger import Ledger
from millstream_testing.memory.memory_batches import MemoryBatches
from millstream_testing.memory.memory_steps import MemoryStepStore
from millstream_testing.virtual_clock import VirtualClock

running_job: ContextVar[JobId | None] = ContextVar("running_job", default=None)
"""The job whose handler runs in this context: the parent of what is submitted here."""

_NOTHING: Any = None
"""In place of connections, which nothing asks for."""

_SCRIPTS = QueueScripts(_NOTHING, Keys())


class MemoryStore(JobStore):
    """The transitions that handlers and announcers cause. The kit makes all others on the ledger itself."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(_SCRIPTS)
        self._ledger = ledger
        self._announced: dict[Queue, int] = {}

    async def enqueue(
        self,
        queue: Queue,
        jobs: Sequence[NewJob],
        durability: Durability | None = None,  # noqa: ARG002 - nothing gets lost
        *,
        until_s: float | None = None,  # noqa: ARG002 - nothing is late
        is_capped: bool = False,
    ) -> list[Enqueued]:
        """Store new jobs."""
        return [self._ledger.enqueue(queue, job, running_job.get(), is_capped=is_capped) for job in jobs]

    async def note_unreadable(self, queue: Queue, job_id: JobId, token: str, digest: str) -> set[str]:  # noqa: ARG002
        """Return that this release is the only one."""
        return {digest}

    async def cancel(self, queue: Queue, ids: Sequence[JobId]) -> list[ActionCode]:  # noqa: ARG002 - ids are enough
        """Cancel jobs: waiting ones at once, running ones through the kit."""
        return [self._ledger.cancel(job_id) for job_id in ids]

    async def announce(self, queue: Queue, *, upto: str = "", limit: int) -> list[tuple[str, JobId]]:
        """Note that the dead letters up to this entry are announced, and return the next ones, oldest first."""
        announced = self._announced[queue] = max(self._announced.get(queue, 0), int(upto or 0))
        letters = self._ledger.letters.get(queue, [])
        return [(str(number), job_id) for number, job_id in letters if number > announced][:limit]


class MemoryDependencyStore(DependencyStore):
    """Leaves it to the ledger to tell children of their parents."""

    def __init__(self) -> None:
        super().__init__(_SCRIPTS)

    async def listen(self, queue: Queue, pairs: Sequence[tuple[JobId, JobId]]) -> list[str]:  # noqa: ARG002
        """Say that no parent has ended: the ledger tells children itself."""
        return [JobState.QUEUED.value] * len(pairs)

    async def linked(self, queue: Queue, ids: Sequence[JobId]) -> int:  # noqa: ARG002 - the ledger links
        """Return how many jobs are linked."""
        return len(ids)


class MemoryViews(JobViews):
    """Reads jobs as the API shows them."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(_NOTHING, Keys())
        self._ledger = ledger

    async def states(self, queue: Queue, ids: Sequence[JobId]) -> list[str | None]:  # noqa: ARG002
        """Return the states of jobs; None where there is no such job."""
        found = [self._ledger.find(job_id) for job_id in ids]
        return [None if job is None else job.state.value for job in found]

    async def is_settled(self, queue: Queue, job_id: JobId) -> bool:  # noqa: ARG002 - the id is enough
        """Return whether a job is settled, or gone."""
        job = self._ledger.find(job_id)
        return job is None or JobState(job.state).is_settled

    async def owner(self, queue: Queue, job_id: JobId) -> str:  # noqa: ARG002 - a test has no credentials
        """Return the owner of a job: none, as where no credentials are asked for."""
        return ""

    async def steps(self, queue: Queue, job_id: JobId) -> dict[str, StoredStep]:  # noqa: ARG002
        """Return what is stored of the steps of a job."""
        job = self._ledger.find(job_id)
        return {} if job is None else dict(job.steps)

    async def kept_signals(self, queue: Queue, job_id: JobId) -> list[str]:  # noqa: ARG002
        """Return the names of the signals that no wait of a job has taken yet."""
        job = self._ledger.find(job_id)
        return [] if job is None else [name for name, _ in job.signals]

    async def _hashes(self, queue: Queue, ids: Iterable[JobId]) -> list[dict[bytes, bytes]]:  # noqa: ARG002
        found = [self._ledger.find(job_id) for job_id in ids]
        return [{} if job is None else job.fields() for job in found]


class MemoryRegistry(Registry):
    """Knows the queues that have been used. Types are registered by no other worker."""

    def __init__(self) -> None:
        super().__init__(_NOTHING, Keys())
        self._queues: dict[Queue, None] = {}

    async def add_queues(self, queues: Iterable[Queue]) -> None:
        """Note queues that get jobs."""
        self._queues |= dict.fromkeys(queues)

    async def note_callbacks(self, queues: Iterable[Queue]) -> None:
        """Do nothing: no dispatcher calls anything back here."""

    async def queues(self, tenant: Tenant | None = None, *, with_dormant: bool = False) -> list[Queue]:  # noqa: ARG002
        """Return the queues, sorted. None of them is ever dormant."""
        return sorted(queue for queue in self._queues if tenant in {None, queue.tenant})

    async def registrations(self, tenant: Tenant) -> Registrations:  # noqa: ARG002 - there is one
        """Return that no other worker has registered a type."""
        return {}


class MemoryTemplates(Templates):
    """Keeps the templates of a test."""

    def __init__(self) -> None:
        super().__init__(_NOTHING, Keys())
        self._held: dict[str, StoredTemplate] = {}

    async def get(self, tenant: Tenant, name: str) -> StoredTemplate | None:  # noqa: ARG002 - there is one tenant
        """Return a template; None where there is none."""
        return self._held.get(name)

    async def all(self, tenant: Tenant) -> dict[str, StoredTemplate]:  # noqa: ARG002
        """Return all templates by name."""
        return dict(sorted(self._held.items()))

    async def put(self, tenant: Tenant, name: str, template: StoredTemplate) -> bool:  # noqa: ARG002
        """Keep a template. Returns: whether it is new."""
        is_new = name not in self._held
        self._held[name] = template
        return is_new

    async def remove(self, tenant: Tenant, name: str) -> bool:  # noqa: ARG002
        """Remove a template. Returns: False when it is not there."""
        return self._held.pop(name, None) is not None


def memory_broker(ledger: Ledger, clock: VirtualClock, loses: Callable[[Delivery, str], bool]) -> Broker:
    """Return a broker whose store, views, registry and clock are those of the kit.

    `loses` says whether the worker of a delivery vanishes before a step of this name is stored.
    """
    return Broker(
        address=_NOTHING,
        keys=Keys(),
        store=MemoryStore(ledger),
        dependencies=MemoryDependencyStore(),
        steps=MemoryStepStore(_SCRIPTS, ledger, clock, loses),
        views=MemoryViews(ledger),
        listing=cast("Any", _NOTHING),
        lanes=cast("Any", _NOTHING),
        registry=MemoryRegistry(),
        schedules=cast("Any", _NOTHING),
        workflows=cast("Any", _NOTHING),
        batches=MemoryBatches(),
        templates=MemoryTemplates(),
        api_keys=cast("Any", _NOTHING),
        tenants=cast("Any", _NOTHING),
        tenant_remains=cast("Any", _NOTHING),
        audit_trail=cast("Any", _NOTHING),
        rate_tokens=cast("Any", _NOTHING),
        data_keys=cast("Any", _NOTHING),
        sessions=cast("Any", _NOTHING),
        settings=cast("Any", _NOTHING),
        budgets=cast("Any", _NOTHING),
        quotas=cast("Any", _NOTHING),
        stack_answers=cast("Any", _NOTHING),
        stored_jobs=cast("Any", _NOTHING),
        callbacks=cast("Any", _NOTHING),
        event_lag=cast("Any", _NOTHING),
        codec=Codec("off"),
        clock=RedisClock(clock.now_s, clock.now_s),
        client=_NOTHING,
    )
