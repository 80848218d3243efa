"""The two places in which the jobs of `trade` run: the test kit, and workers with a real Redis and a real API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from ingest.serving import patient, running_ingest
from streams.seeds import commit, recover_all, take_one
from testing.conformance.trade import app
from waiting import wait_until
from workers.floor import Floor, open_floor, queue_of_id, queue_of_type

from millstream import Client, JobRef
from millstream.testing import Testing
from millstream_contracts import DEFAULT_TENANT, Job, JobId, JobState, JobType, Succeeded, TypePolicy, TypeRegistration
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_dispatcher.flow_teller import FlowTeller
from millstream_dispatcher.messenger import Messenger
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker, CommitCode
from millstream_telemetry import DispatcherMetrics, MetricRegistry

ELSEWHERE = TypeRegistration(type=JobType("elsewhere"), policy=TypePolicy())
"""A type that nothing handles here."""


class Stage(Protocol):
    """A place in which jobs run."""

    client: Client
    slots: int
    """The number of jobs that run at a time, where that is more than one."""

    async def settled(self, job_id: str) -> Job:
        """Return a job once it has settled; its delays pass."""
        ...

    async def start(self, ref: JobRef[Any, Any], payload: Any) -> str:
        """Submit a job. Returns: its id, once its handler runs."""
        ...

    async def advance(self, seconds: float) -> None:
        """Let time pass for jobs that wait, and run what becomes ready."""
        ...

    async def crashed(self, ref: JobRef[Any, Any], payload: Any, times: int) -> Job:
        """Submit a job whose worker vanishes so often before the handler begins; return it once it has settled."""
        ...

    async def delivered_twice(self, ref: JobRef[Any, Any], payload: Any) -> Job:
        """Submit a job that two workers run, of which the first is cut off; return it when both have ended."""
        ...


class KitStage:
    """The test kit."""

    slots = 1

    def __init__(self, kit: Testing[None]) -> None:
        self.client = kit.client
        self._kit = kit

    async def settled(self, job_id: str) -> Job:
        """Wait as a client does, for a year."""
        return await self.client.wait(job_id, timeout=365 * 86_400)

    async def start(self, ref: JobRef[Any, Any], payload: Any) -> str:
        """Start it."""
        return (await self._kit.start(ref, payload)).id

    async def advance(self, seconds: float) -> None:
        """Advance."""
        await self._kit.advance(seconds=seconds)

    async def crashed(self, ref: JobRef[Any, Any], payload: Any, times: int) -> Job:
        """Plan crashes."""
        with self._kit.crash(ref, at="start", times=times):
            return await self.settled((await self.client.submit(ref, payload)).id)

    async def delivered_twice(self, ref: JobRef[Any, Any], payload: Any) -> Job:
        """Plan a duplicate."""
        with self._kit.deliver_twice(ref):
            return await self.settled((await self.client.submit(ref, payload)).id)


class RedisStage:
    """A real Redis, a worker and the API. The steps of dispatcher and reaper are taken here; time is moved in Redis."""

    slots = 1

    def __init__(self, client: Client, broker: Broker, floor: Floor) -> None:
        self.client = client
        self._broker = broker
        self._floor = floor
        schedule, shown = CheckSchedule(broker.registry, 0.0), DispatcherMetrics(MetricRegistry())
        self._messenger = Messenger(broker.dependencies, FlowTeller(broker), schedule, shown, interval_s=0.0)

    async def settled(self, job_id: str) -> Job:
        """Wait, and make the job due whenever it is scheduled."""
        await self._work()

        async def is_settled() -> bool:
            self._floor.check()
            await self._messenger.run_once()
            job = await self.client.get(job_id)
            if job.state is JobState.SCHEDULED:
                await self._shift(job_id, 10 * 86_400)
            return job.state.is_settled

        await wait_until(is_settled, f"{job_id} has settled")
        return await self.client.get(job_id)

    async def start(self, ref: JobRef[Any, Any], payload: Any) -> str:
        """Submit it, and wait."""
        await self._work()
        job = await self.client.submit(ref, payload)

        async def runs() -> bool:
            return (await job.status()).state is JobState.RUNNING

        await wait_until(runs, f"{job.id} runs")
        return job.id

    async def advance(self, seconds: float) -> None:
        """Move the times of all jobs that wait."""
        for queue in await self._broker.registry.queues():
            await self._shift_queue(self._broker.keys.of(queue).due, "run_at", queue, seconds)
            await self._shift_queue(self._broker.keys.of(queue).expiring, "expires_at", queue, seconds)
            await self._broker.store.release_due(queue)
            await self._broker.store.expire(queue)
        await self._messenger.run_once()
        await self._work()

    async def crashed(self, ref: JobRef[Any, Any], payload: Any, times: int) -> Job:
        """Claim the job as workers that are never heard of again."""
        queue, job = queue_of_type(ref.type), await self.client.submit(ref, payload)
        for number in range(times):
            await take_one(self._broker, queue, f"lost-{number}")
            await recover_all(self._broker, queue)
        return await self.settled(job.id)

    async def delivered_twice(self, ref: JobRef[Any, Any], payload: Any) -> Job:
        """Claim the job as a worker that commits when another one has run it."""
        queue, job = queue_of_type(ref.type), await self.client.submit(ref, payload)
        cut_off = await take_one(self._broker, queue, "cut-off")
        await recover_all(self._broker, queue)
        settled = await self.settled(job.id)
        assert await commit(self._broker, cut_off, Succeeded()) is CommitCode.STALE
        return settled

    async def _work(self) -> None:
        """Have one worker, which runs one job at a time."""
        if not self._floor.hired:
            await self._floor.hire(app, concurrency=self.slots, priority="strict")

    async def _shift(self, job_id: str, seconds: float) -> None:
        queue = queue_of_id(JobId(job_id))
        await self._shift_queue(self._broker.keys.of(queue).due, "run_at", queue, seconds)
        await self._broker.store.release_due(queue)

    async def _shift_queue(self, index: str, field: str, queue: Any, seconds: float) -> None:
        client, keys = self._broker.client, self._broker.keys.of(queue)
        for job_id, at_ms in await client.zrange(index, 0, -1, withscores=True):
            if job_id.startswith(b"~"):
                continue  # what has a dispatcher look at the limits of a queue is no job
            earlier_ms = int(at_ms) - round(seconds * 1000)
            await client.zadd(index, {job_id: earlier_ms}, xx=True)
            await client.hset(keys.job(JobId(job_id.decode())), field, earlier_ms)


@asynccontextmanager
async def redis_stage(broker: Broker, redis_url: str) -> AsyncIterator[RedisStage]:
    """Yield a stage on the namespace of a broker, with the types of the app registered."""
    settings = patient(IngestSettings(redis_url=redis_url, namespace=broker.keys.namespace, port=0))
    registered = [*(handler.registration() for handler in app), ELSEWHERE]
    await broker.registry.add_types(DEFAULT_TENANT, registered)
    async with (
        open_floor(broker, redis_url) as floor,
        running_ingest(settings) as ingest,
        Client(str(ingest.http.base_url)) as client,
    ):
        yield RedisStage(client, broker, floor)


@asynccontextmanager
async def kit_stage() -> AsyncIterator[KitStage]:
    """Yield the kit."""
    async with app.testing(allow_dead=True) as kit:
        yield KitStage(kit)
        kit.ignores_leftovers = True
