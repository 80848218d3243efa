"""Runs workers inside a test, and submits jobs for them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import msgspec
from anyio.abc import TaskStatus
from streams.seeds import job_of
from waiting import wait_until

from millstream import App
from millstream_contracts import (
    DEFAULT_TENANT,
    Backoff,
    Job,
    JobId,
    JobSpec,
    JobState,
    JobType,
    Priority,
    Queue,
    new_job_id,
)
from millstream_runtime import StopOrders, codec_of
from millstream_streams import Broker, NewJob, open_broker
from millstream_telemetry import CodecMetrics, JobTracer, MetricRegistry
from millstream_workers.assembly import Assembly
from millstream_workers.service import opened_states, select_handlers
from millstream_workers.settings import WorkerSettings
from millstream_workers.worker import Worker


def queue_of_type(job_type: str, partition: int = 0) -> Queue:
    """Return a queue of the default tenant."""
    return Queue(DEFAULT_TENANT, JobType(job_type), partition)


class Hired:
    """A worker that runs inside this test."""

    def __init__(self, worker: Worker, metrics: MetricRegistry) -> None:
        self.worker = worker
        self.name = worker.parts.name
        self.metrics = metrics
        self.is_running = True
        self.is_gone = anyio.Event()
        """Set when its connections are closed as well."""
        self.crash: BaseExceptionGroup[Exception] | None = None
        """What ended it, if it did not leave by itself."""
        self.orders = StopOrders()
        self.scope = anyio.CancelScope()

    async def run(self) -> None:
        """Run the worker until it stops or the test ends it."""
        try:
            with self.scope:
                await self.worker.run(self.orders)
        except* Exception as group:  # noqa: BLE001 - a test asks for it
            self.crash = group
        finally:
            self.is_running = False
            # A worker closes these itself, unless it is cancelled, as only a test does.
            await self.worker.parts.reader.close()
            await self.worker.parts.processes.close()

    def attempts(self, job_type: str, outcome: str) -> float:
        """Return how many deliveries the worker has counted with this outcome."""
        labels = {"type": job_type, "outcome": outcome}
        return self.metrics.get_sample_value("millstream_job_attempts_total", labels) or 0.0


class Floor:
    """Starts workers and submits jobs."""

    def __init__(self, broker: Broker, redis_url: str, tasks: anyio.abc.TaskGroup) -> None:
        self.broker = broker
        self.hired: list[Hired] = []
        self._redis_url = redis_url
        self._tasks = tasks

    async def hire(self, app: App, **chosen: Any) -> Hired:
        """Start a worker, as `launch` does, and return once it is on the list of workers."""
        hired = await self.launch(app, **chosen)

        async def is_listed() -> bool:
            return hired.name in {worker.name for worker in await self.broker.registry.workers()}

        await wait_until(is_listed, "the worker beats")
        return hired

    async def launch(
        self,
        app: App,
        *,
        tracer: JobTracer | None = None,
        abandon: Callable[[], None] | None = None,
        **chosen: Any,
    ) -> Hired:
        """Start a worker with the settings `chosen` for it, and do not wait until it is ready."""
        settings = WorkerSettings(
            **{
                "redis_url": self._redis_url,
                "namespace": self.broker.keys.namespace,
                "concurrency": 10,
                **chosen,
            }
        )
        hired: Hired = await self._tasks.start(self._run, app, settings, tracer or JobTracer(None), abandon)
        return hired

    async def _run(
        self,
        app: App,
        settings: WorkerSettings,
        tracer: JobTracer,
        abandon: Callable[[], None] | None,
        *,
        task_status: TaskStatus[Hired],
    ) -> None:
        handlers = select_handlers(app, settings.types)
        metrics = MetricRegistry()
        metrics.register_types(handlers)
        async with AsyncExitStack() as stack:
            codec = codec_of(settings, CodecMetrics(metrics, "workers"))
            broker = await stack.enter_async_context(
                open_broker(settings.redis, namespace=settings.namespace, codec=codec)
            )
            states = await stack.enter_async_context(opened_states(app, handlers))
            assembly = Assembly(
                settings=settings,
                handlers=handlers,
                broker=broker,
                registry=metrics,
                tracer=tracer,
                states=states,
                release="1.2.3",
            )
            worker = Worker(settings, assembly.build(), abandon=abandon)
            hired = Hired(worker, metrics)
            self.hired.append(hired)
            task_status.started(hired)
            await hired.run()
        hired.is_gone.set()

    def check(self) -> None:
        """Fail when a worker has crashed, because no handler may crash its worker."""
        for hired in self.hired:
            if hired.crash is not None:
                raise hired.crash

    def recount(self) -> None:
        """Fail when a worker still holds a lease, a slot or a claim that no job accounts for."""
        for hired in (one for one in self.hired if one.crash is None and not one.orders.abandon.is_set()):
            parts = hired.worker.parts
            assert len(parts.executor.running) <= parts.slots.busy <= 2 * parts.slots.limit
            if not hired.orders.stop.is_set():
                accounted = parts.slots.busy + parts.pipeline.committer.backlog
                assert len(parts.leases._held) <= accounted, "a lease is kept that no job and no outcome needs"
            elif hired.is_gone.is_set():
                assert (parts.slots.busy, parts.slots.claims) == (0, 0), "a slot was not given back"

    async def close(self) -> None:
        """End all workers without a drain, and check that the jobs they held are accounted for."""
        self.recount()
        for hired in self.hired:
            hired.scope.cancel()
        for hired in self.hired:
            await wait_until(hired.is_gone.is_set, f"{hired.name} is gone")

    async def submit(self, job_type: str, payload: Any = None, **options: Any) -> JobId:
        """Store a job. The options are those of a spec, and `priority`, `partition`, `delay_ms`, `key` and `owner`."""
        (job_id,) = await self.submit_many(job_type, [payload], **options)
        return job_id

    async def submit_many(self, job_type: str, payloads: list[Any], **options: Any) -> list[JobId]:
        """Store jobs of one type in one call."""
        queue = queue_of_type(job_type, options.pop("partition", 0))
        priority = options.pop("priority", Priority.NORMAL)
        delay_ms = options.pop("delay_ms", None)
        kept = {name: options.pop(name, "") for name in ("key", "owner")}
        await self.broker.registry.add_queues([queue])
        jobs = [
            NewJob(id=new_job_id(queue), spec=_spec(payload, **options), priority=priority, delay_ms=delay_ms, **kept)
            for payload in payloads
        ]
        for start in range(0, len(jobs), 100):
            await self.broker.store.enqueue(queue, jobs[start : start + 100])
        return [job.id for job in jobs]

    async def job(self, job_id: JobId) -> Job:
        """Return a job as it is stored now."""
        return await job_of(self.broker, queue_of_id(job_id), job_id)

    async def settled(self, job_id: JobId) -> Job:
        """Return a job once it has settled; jobs that are scheduled are released when they are due."""
        await self.until(job_id, *(state for state in JobState if state.is_settled))
        return await self.job(job_id)

    async def run(self, job_type: str, payload: Any = None, **options: Any) -> Job:
        """Submit one job and return it once it has settled."""
        return await self.settled(await self.submit(job_type, payload, **options))

    async def until(self, job_id: JobId, *states: JobState) -> None:
        """Wait until a job is in one of these states."""

        async def is_there() -> bool:
            self.check()
            await self.broker.store.release_due(queue_of_id(job_id))
            return (await self.job(job_id)).state in states

        await wait_until(is_there, f"{job_id} is {' or '.join(states)}")

    async def cancel(self, job_id: JobId) -> None:
        """Do what `POST /v1/jobs/{id}/cancel` does."""
        await self.broker.store.cancel(queue_of_id(job_id), [job_id])

    async def take_back(self, job_id: JobId) -> None:
        """Recover the jobs of a queue whose lease ran out, as the reaper does."""
        recovery = await self.broker.store.recover(queue_of_id(job_id), lease_ms=0, max_crashes=100)
        assert job_id in {one.id for one in recovery.requeued}


def queue_of_id(job_id: JobId) -> Queue:
    """Return the queue of a job of the default tenant."""
    head, _, tail = job_id.rpartition("_")
    return queue_of_type(head, int(tail[:2], 16))


def _spec(payload: Any, **options: Any) -> bytes:
    backoff = options.pop("backoff", Backoff(base_s=0.0))
    encoded = payload if isinstance(payload, msgspec.Raw) else msgspec.Raw(msgspec.msgpack.encode(payload))
    spec = JobSpec(payload=encoded, created_at_ms=1_700_000_000_000, backoff=backoff, **options)
    return msgspec.msgpack.encode(spec)


@asynccontextmanager
async def open_floor(broker: Broker, redis_url: str) -> AsyncIterator[Floor]:
    """Yield a floor on the namespace of this broker, and end all of its workers when it closes."""
    async with anyio.create_task_group() as tasks:
        floor = Floor(broker, redis_url, tasks)
        try:
            yield floor
        finally:
            await floor.close()
    floor.check()
