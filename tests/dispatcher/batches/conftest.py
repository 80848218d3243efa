"""Batches for the tests of their duties, with dispatchers, a submitter and a worker that do what they are told."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
import pytest
from intakes import intake_of
from streams.seeds import ERROR, commit, new_job, take
from waiting import wait_until

from millstream_cli.embedded import EmbeddedRedis
from millstream_contracts import (
    DEFAULT_TENANT,
    BatchEvent,
    BatchId,
    Dead,
    JobId,
    JobType,
    MemberState,
    Outcome,
    Queue,
    Submission,
    new_job_id,
    queue_of,
)
from millstream_dispatcher.batches.auditor import BatchAuditor
from millstream_dispatcher.batches.starter import BatchStarter
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_dispatcher.flow_teller import FlowTeller
from millstream_dispatcher.messenger import Messenger
from millstream_streams import (
    BATCH_KIND,
    Broker,
    CreateCode,
    Delivery,
    Idempotency,
    NewBatch,
    NewCallback,
    NewJob,
    PromiseCode,
    StoredBatch,
    open_broker,
)
from millstream_streams.store.keys import FlowKeys
from millstream_submission import KnownQueues, SystemSubmitter, TypeCatalogue
from millstream_telemetry import BatchMetrics, DispatcherMetrics, JobTracer, MetricRegistry

T = DEFAULT_TENANT
ROWS, SHEETS = Queue(T, JobType("row")), Queue(T, JobType("sheet"))
CALLBACKS = Queue(T, JobType("called"))
QUEUES = (ROWS, SHEETS, CALLBACKS)
FAR_MS = 4_000_000_000_000
SUCCESS, COMPLETE, DEATH = BatchEvent.SUCCESS, BatchEvent.COMPLETE, BatchEvent.DEATH
DEAD = Dead("attempts", ERROR)

encode = msgspec.msgpack.encode


def callback(event: BatchEvent, payload: object = None, **options: Any) -> NewCallback:
    """Return a callback; its payload is the name of its event, unless another one is given."""
    raw = msgspec.Raw(encode(event.value if payload is None else payload))
    submission = Submission(type=CALLBACKS.type, payload=raw, **options)
    return NewCallback(CALLBACKS, new_job_id(CALLBACKS), encode(submission))


class Depot:
    """Batches, dispatchers, a submitter, and a worker."""

    def __init__(self, broker: Broker, tracer: JobTracer | None = None) -> None:
        self.broker = broker
        self.tracer = tracer or JobTracer(None)
        self.registry = MetricRegistry()
        self.metrics = BatchMetrics(self.registry)
        self.shown = DispatcherMetrics(MetricRegistry())
        self.tags: dict[str, Mapping[str, str]] = {}
        """The tags of each callback that ran, by its payload."""

    def starter(self) -> BatchStarter:
        """Return a dispatcher's duty that submits callbacks."""
        broker = self.broker
        catalogue = TypeCatalogue(broker.registry, self.registry)
        submitter = SystemSubmitter(
            broker.store,
            KnownQueues(broker.registry),
            intake_of(broker, catalogue),
            self.tracer,
            clock=broker.clock.now_s,
        )
        return BatchStarter(broker, submitter, self.tracer, self.metrics, interval_s=5.0)

    def unconfirmed_starter(self) -> BatchStarter:
        """Return a dispatcher's duty that dies before it confirms what it has done."""
        starter = self.starter()
        carry_out = starter._carry_out

        async def forgetful(*arguments: Any) -> Any:
            await carry_out(*arguments)
            return [], None

        starter._carry_out = forgetful  # type: ignore[method-assign]
        return starter

    def messenger(self) -> Messenger:
        """Return a dispatcher's duty that tells batches; it looks at every queue in each pass."""
        schedule = CheckSchedule(self.broker.registry, 0.0)
        return Messenger(self.broker.dependencies, FlowTeller(self.broker), schedule, self.shown, interval_s=0.0)

    def auditor(self) -> BatchAuditor:
        """Return a dispatcher's duty that looks at batches."""
        return BatchAuditor(self.broker, self.metrics, interval_s=0.0)

    def new(
        self, events: Sequence[BatchEvent] = (), *, key: str = "", fingerprint: str = "f00d", **options: Any
    ) -> NewBatch:
        """Return a batch that is not stored, with callbacks for these events."""
        digest = key.encode().rjust(16, b"-")
        given: dict[str, Any] = {"expires_at_ms": FAR_MS, "retention_ms": 3_600_000} | options
        given.setdefault("callbacks", {event: callback(event) for event in events})
        return NewBatch(
            id=self.broker.batches.id_of(T, digest) if key else self.broker.batches.new_id(T),
            name="import",
            idempotency=Idempotency(digest, fingerprint) if key else None,
            **given,
        )

    async def create(self, events: Sequence[BatchEvent] = (), members: int = 0, **options: Any) -> BatchId:
        """Store a batch with this many members."""
        created = await self.broker.batches.create(T, self.new(events, **options))
        assert created.code is CreateCode.STORED
        if members:
            await self.add(created.id, members)
        return created.id

    async def add(self, batch: BatchId, count: int = 1, *, by: JobId | None = None, **options: Any) -> list[JobId]:
        """Add members as a submitter does, and store their jobs in two queues in turn."""
        jobs = self.jobs(batch, count, **options)
        assert await self.promise(batch, jobs, by=by) is PromiseCode.DONE
        await self.store(jobs)
        await self.broker.batches.confirm(T, batch, stored=[job.id for job in jobs])
        return [job.id for job in jobs]

    def jobs(self, batch: BatchId, count: int = 1, **options: Any) -> list[NewJob]:
        """Return jobs of members that are not stored."""
        return [new_job((ROWS, SHEETS)[at % 2], batch=batch, **options) for at in range(count)]

    async def promise(self, batch: BatchId, jobs: Sequence[NewJob], **options: Any) -> PromiseCode:
        """Promise members."""
        return (await self.broker.batches.promise(T, batch, [job.id for job in jobs], **options)).code

    async def store(self, jobs: Sequence[NewJob], **options: Any) -> None:
        """Store the jobs of members."""
        for job in jobs:
            queue = queue_of(T, job.id)
            assert queue is not None
            await self.broker.registry.add_queues([queue])
            await self.broker.store.enqueue(queue, [job], **options)

    async def read(self, batch: BatchId) -> StoredBatch:
        """Return a batch, which must be there, and whose counts must be those of its members."""
        found = (await self.broker.batches.read(T, [batch]))[batch]
        states = [one.state for one in (await self.broker.batches.members(T, batch, limit=100_000))[0]]
        assert found.counts == {state: states.count(state) for state in states}
        return found

    async def counts(self, batch: BatchId) -> dict[MemberState, int]:
        """Return how many members are in a state."""
        return (await self.read(batch)).counts

    async def turn(self) -> None:
        """Have a dispatcher do what there is to be done, until nothing changes."""
        starter, messenger = self.starter(), self.messenger()
        while True:
            done = (await messenger.run_once()).told + (await starter.run_once()).stored
            if not done:
                return

    async def claim(self, *queues: Queue) -> list[Delivery]:
        """Take all jobs that are ready."""
        return [one for queue in queues or QUEUES for one in await take(self.broker, queue, limit=1000)]

    async def run_members(self, outcome: Outcome | None = None, limit: int = 1000) -> list[Delivery]:
        """Run members that are ready, and tell of them."""
        taken = (await self.claim(ROWS, SHEETS))[:limit]
        for one in taken:
            await commit(self.broker, one, outcome)
        await self.turn()
        return taken

    async def run_callbacks(self) -> list[str]:
        """Run the callbacks that were submitted, and have their jobs be forgotten; return their payloads."""
        await self.turn()
        ran = []
        taken = await self.claim(CALLBACKS)
        for one in taken:
            ran.append(msgspec.msgpack.decode(one.spec.payload))
            self.tags[ran[-1]] = one.spec.tags or {}
            await commit(self.broker, one)
        await self.turn()
        for one in taken:
            await self.broker.client.delete(self.broker.keys.of(one.queue).job(one.id))
        return sorted(ran)

    async def make_checked(self, batch: BatchId) -> None:
        """Have the auditor look at a batch in its next pass, as if the time had come."""
        await self.broker.client.zadd(self.keys(batch).checks, {batch: 0}, xx=True)

    async def let_promises_run_out(self, batch: BatchId) -> None:
        """Have the promises of a batch end, as if their time was over."""
        key = self.keys(batch).part(batch, "members")
        for member in await self.broker.client.zrangebyscore(key, 0, (1 << 42) - 1):
            await self.broker.client.zadd(key, {member: 1})
        await self.make_checked(batch)

    async def make_still(self, batch: BatchId) -> None:
        """Have a batch look as if nothing had changed for long, and be checked next."""
        await self.broker.client.hset(self.keys(batch).part(batch), "turn", "1000")
        await self.make_checked(batch)

    async def free_leases(self) -> None:
        """Take away all leases of tasks and news, as if their time was over."""
        keys = [self.broker.keys.of(queue).outbox for queue in QUEUES]
        keys += [self.broker.keys.of_batches(one).outbox for one in await self.broker.batches.shards()]
        for key in keys:
            for member in await self.broker.client.zrange(key, 0, -1):
                await self.broker.client.zadd(key, {member: 0})

    async def keys_of(self, batch: BatchId) -> list[bytes]:
        """Return the keys that are there of a batch, but for its fingerprint."""
        pattern = f"{self.keys(batch).prefix}{batch}*"
        return [key async for key in self.broker.client.scan_iter(match=pattern, count=1000)]

    def shard(self, batch: BatchId) -> Queue:
        """Return the shard of a batch."""
        shard = BATCH_KIND.shard_of(T, batch)
        assert shard is not None
        return shard

    def keys(self, batch: BatchId) -> FlowKeys:
        """Return the keys of the shard of a batch."""
        return self.broker.keys.of_batches(self.shard(batch))

    async def pass_a_millisecond(self) -> None:
        """Return once the clock of Redis shows another time than now."""
        begun = await self.broker.now()

        async def has_moved() -> bool:
            return await self.broker.now() > begun

        await wait_until(has_moved, "the clock of Redis has moved on")


@pytest.fixture
def depot(broker: Broker) -> Depot:
    """Return a depot without a batch."""
    return Depot(broker)


@pytest.fixture
async def roomy(own_redis: EmbeddedRedis) -> AsyncIterator[Depot]:
    """Yield a depot on a server that this test may fill."""
    async with open_broker(own_redis.url, patience_s=0.0) as opened:
        yield Depot(opened)
