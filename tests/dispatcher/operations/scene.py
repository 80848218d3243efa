"""A scene for operations: dead jobs, and what is asked for, as ingest does it."""

from history_databases import execute
from history_seeds import store
from streams.seeds import ERROR, commit, job_of, seed_dead, take_one

from millstream_contracts import BulkOperation, Dead, JobId, NewOperation, Queue
from millstream_dispatcher.operations.operator import Operator
from millstream_history import History
from millstream_streams import Broker

FAST = 10_000.0


class Scene:
    """Dead jobs, and operations on them."""

    def __init__(self, broker: Broker, history: History, queue: Queue, operator: Operator, url: str) -> None:
        self.broker, self.history, self.queue, self.operator, self.url = broker, history, queue, operator, url
        self.count = 0

    async def dead(self, count: int, **options: object) -> list[JobId]:
        """Make dead jobs, known to the history too."""
        ids = [await seed_dead(self.broker, self.queue, **options) for _ in range(count)]
        for job_id in ids:
            await store(self.history, self.queue, await job_of(self.broker, self.queue, job_id))
        return ids

    async def add(self, kind: str = "redrive", **asked: object) -> str:
        """Ask for an operation, as ingest does."""
        now = await self.broker.now()
        wanted = NewOperation(kind=kind, **{"rate": FAST, **asked})
        self.count += 1
        query = self.history.operations.frozen_query(self.queue.tenant, wanted, now)
        cutoff_ms = round(now.timestamp() * 1000)
        made = await self.history.operations.add(self.queue.tenant, f"op_{self.count}", wanted, query, cutoff_ms)
        return made.shown.id

    async def shown(self, operation_id: str) -> BulkOperation:
        """Return an operation as it is now."""
        found = await self.history.operations.find(self.queue.tenant, operation_id)
        assert found is not None
        return found.shown

    async def run(self, *, most: int = 50) -> int:
        """Run steps until none is due, at most so many. Return how many."""
        for step in range(most):
            if not (await self.operator.run_once()).more:
                return step
        return most

    async def make_due(self) -> None:
        """Let every pause be over, and every lease."""
        await execute(self.url, "UPDATE operations SET next_at = now() - interval '1s', lease_until = NULL")

    async def states(self, ids: list[JobId]) -> list[str]:
        """Return the states of jobs."""
        return [(await job_of(self.broker, self.queue, job_id)).state.value for job_id in ids]

    async def die_again(self, job_id: JobId) -> None:
        """Run a redriven job, which dies."""
        delivery = await take_one(self.broker, self.queue)
        assert delivery.id == job_id
        await commit(self.broker, delivery, Dead("attempts", ERROR))
