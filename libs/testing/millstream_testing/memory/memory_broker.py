"""Shows the ledger as the parts of a broker, to the production code that submits, reads and announces jobs."""

from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import Any, cast

from millstream_contracts import JobId, JobState, Queue, Tenant
from millstream_streams import (
    ActionCode,
    Broker,
    Durability,
    Enqueued,
    JobStore,
    JobViews,
    NewJob,
    RedisClock,
    Registry,
)
from millstream_streams.reading.registrations import Registrations
from millstream_streams.store.keys import Keys
from millstream_testing.memory.ledger import Ledger
from millstream_testing.virtual_clock import VirtualClock

running_job: ContextVar[JobId | None] = ContextVar("running_job", default=None)
"""The job whose handler runs in this context: the parent of what is submitted here."""

_NOTHING: Any = None
"""In place of connections, which nothing asks for."""


class MemoryStore(JobStore):
    """The transitions that handlers and announcers cause. The kit makes all others on the ledger itself."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(_NOTHING, Keys())
        self._ledger = ledger
        self._announced: dict[Queue, int] = {}

    async def enqueue(
        self,
        queue: Queue,
        jobs: Sequence[NewJob],
        durability: Durability | None = None,  # noqa: ARG002 - nothing gets lost
    ) -> list[Enqueued]:
        """Store new jobs."""
        return [self._ledger.enqueue(queue, job, running_job.get()) for job in jobs]

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


class MemoryViews(JobViews):
    """Reads jobs as the API shows them."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(_NOTHING, Keys())
        self._ledger = ledger

    async def is_settled(self, queue: Queue, job_id: JobId) -> bool:  # noqa: ARG002 - the id is enough
        """Return whether a job is settled, or gone."""
        job = self._ledger.find(job_id)
        return job is None or JobState(job.state).is_settled

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

    async def queues(self, tenant: Tenant | None = None) -> list[Queue]:
        """Return the queues, sorted."""
        return sorted(queue for queue in self._queues if tenant in {None, queue.tenant})

    async def registrations(self, tenant: Tenant) -> Registrations:  # noqa: ARG002 - there is one
        """Return that no other worker has registered a type."""
        return {}


def memory_broker(ledger: Ledger, clock: VirtualClock) -> Broker:
    """Return a broker whose store, views, registry and clock are those of the kit."""
    return Broker(
        address=_NOTHING,
        keys=Keys(),
        store=MemoryStore(ledger),
        views=MemoryViews(ledger),
        listing=cast("Any", _NOTHING),
        registry=MemoryRegistry(),
        schedules=cast("Any", _NOTHING),
        stack_answers=cast("Any", _NOTHING),
        stored_jobs=cast("Any", _NOTHING),
        callbacks=cast("Any", _NOTHING),
        event_lag=cast("Any", _NOTHING),
        clock=RedisClock(clock.now_s, clock.now_s),
        client=_NOTHING,
    )
