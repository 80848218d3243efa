"""Schedules for the tests of their duties, whose time has come."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from intakes import intake_of

from millstream_contracts import DEFAULT_TENANT, JobId, Queue, ScheduleRules, Submission, queue_of
from millstream_dispatcher.schedules.scheduler import Scheduler
from millstream_dispatcher.schedules.starter import Starter
from millstream_dispatcher.tenants.tenant_book import TenantBook
from millstream_runtime import Wake
from millstream_streams import Broker, IndexLine, ScheduleChange, StoredSchedule
from millstream_submission import KnownQueues, SystemSubmitter, TypeCatalogue
from millstream_telemetry import JobTracer, MetricRegistry, ScheduleMetrics

MINUTE = timedelta(minutes=1)
MINUTELY = ScheduleRules(every_s=60.0)


class Town:
    """Schedules, and dispatchers that look after them."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.registry = MetricRegistry()
        self.metrics = ScheduleMetrics(self.registry)
        self.catalogue = TypeCatalogue(broker.registry, self.registry)

    def scheduler(self, wall=lambda: datetime.now(UTC).timestamp()) -> Scheduler:  # type: ignore[no-untyped-def]
        """Return a dispatcher's duty that decides; `wall` is its own clock."""
        return Scheduler(
            self.broker,
            self.catalogue,
            self._submitter(),
            self.metrics,
            interval_s=5.0,
            starts=Wake(),
            tenants=TenantBook(self.broker.tenants),
            wall=wall,
        )

    def starter(self) -> Starter:
        """Return a dispatcher's duty that stores."""
        return Starter(self.broker, self._submitter(), JobTracer(None), self.metrics, interval_s=5.0, wake=Wake())

    def _submitter(self) -> SystemSubmitter:
        broker = self.broker
        return SystemSubmitter(
            broker.store,
            KnownQueues(broker.registry),
            intake_of(broker, self.catalogue),
            JobTracer(None),
            clock=broker.clock.now_s,
        )

    async def put(
        self,
        name: str = "nightly",
        rules: ScheduleRules = MINUTELY,
        *,
        next_at: datetime | None = None,
        job: Submission | bytes | None = None,
        **fields: str | bytes,
    ) -> datetime:
        """Store an active schedule that is due; by default of every minute, since the beginning of this one."""
        now = datetime.now(UTC)
        nominal = next_at or now.replace(second=0, microsecond=0)
        at_ms = str(round(nominal.timestamp() * 1000))
        job = job or Submission(type="email.send", payload=msgspec.Raw(b"\xc0"))
        job_type = job.type if isinstance(job, Submission) else "email.send"
        change = ScheduleChange(
            name=name,
            turn="",
            tick_ms=0,
            line=IndexLine("active", "api", job_type).text(),
            fields={
                "state": "active", "type": job_type, "rules": msgspec.msgpack.encode(rules),
                "job": job if isinstance(job, bytes) else msgspec.msgpack.encode(job),
                "next_ms": at_ms, "fires_ms": at_ms, "created_ms": "1", **fields,
            },
        )  # fmt: skip
        await self.broker.schedules.make_known(DEFAULT_TENANT, name)
        assert await self.broker.schedules.change(DEFAULT_TENANT, [change]) == [True]
        return nominal

    async def make_due(self, name: str = "nightly") -> None:
        """Take away the lease of a name, so that it is looked at."""
        shard = self.broker.schedules.shard_of(DEFAULT_TENANT, name)
        await self.broker.client.zadd(self.broker.keys.of_schedules(shard).ticks, {name: 0})

    async def free_starts(self, name: str = "nightly") -> None:
        """Take away the leases of the jobs that were decided on, as if their time was over."""
        keys = self.broker.keys.of_schedules(self.broker.schedules.shard_of(DEFAULT_TENANT, name))
        for job_id in await self.broker.client.zrange(keys.outbox, 0, -1):
            await self.broker.client.zadd(keys.outbox, {job_id: 0})

    async def read(self, name: str = "nightly") -> StoredSchedule:
        """Return a schedule as it is."""
        return (await self.broker.schedules.read(DEFAULT_TENANT, [name]))[name]

    async def jobs(self) -> list[JobId]:
        """Return the ids of all jobs that are stored, in the order in which they became ready."""
        ids = []
        for queue in await self.broker.registry.queues():
            for stream in self.broker.keys.of(queue).ready:
                ids += [JobId(fields[b"id"].decode()) for _, fields in await self.broker.client.xrange(stream)]
        return ids

    async def end(self, job_id: str) -> None:
        """Have a job end, by cancelling it while it waits."""
        queue = queue_of(DEFAULT_TENANT, job_id)
        assert isinstance(queue, Queue)
        await self.broker.store.cancel(queue, [JobId(job_id)])


@pytest.fixture
def town(broker: Broker) -> Town:
    """Return schedules without one."""
    return Town(broker)
