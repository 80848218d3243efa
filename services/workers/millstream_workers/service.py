"""Composes a worker out of its parts and runs it until it is told to stop."""

import asyncio
import fnmatch
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import anyio
import structlog

from millstream import App, Discard, Snooze
from millstream.handler import Handler
from millstream_contracts import DEFAULT_TENANT, HandedBack, JobType, Queue, Tenant, did_you_mean
from millstream_runtime import (
    DutyRunner,
    Health,
    HealthCheck,
    Pulse,
    Service,
    StopOrders,
    run_service,
    suitable_redis,
)
from millstream_streams import (
    NEEDS,
    Broker,
    Delivery,
    StoreFullError,
    StoreUnavailableError,
    backoff_s,
    consumer_name,
)
from millstream_submission import Admission, KnownQueues, TypeCatalogue
from millstream_telemetry import DutyMetrics, JobTracer, MetricRegistry, WorkerMetrics
from millstream_workers.attempt.running import Running
from millstream_workers.attempt.stop_scope import StopScope
from millstream_workers.child_jobs import ChildSubmitter
from millstream_workers.errors import NoHandlersError
from millstream_workers.fetching.fetcher import Intake
from millstream_workers.fetching.partition_finder import PartitionFinder
from millstream_workers.fetching.release_finder import ReleaseFinder
from millstream_workers.fetching.slots import Slots
from millstream_workers.isolation.process_pool import ProcessPool
from millstream_workers.keeping.committer import SHOWN_JOBS, Committer, Finished
from millstream_workers.keeping.draining import STUBBORN_S, Drain
from millstream_workers.keeping.lease_keeper import LeaseKeeper
from millstream_workers.registrar import Registrar
from millstream_workers.running.calling import Caller
from millstream_workers.running.clean_context import CleanContext
from millstream_workers.running.executor import Executor
from millstream_workers.running.quarantine import Quarantine
from millstream_workers.running.task_guard import guard_tasks
from millstream_workers.running.task_pool import Runners
from millstream_workers.settings import WorkerSettings

PATIENCE_S = 5.0
"""For how long a call is repeated that Redis does not answer."""
LOOP_TICK_S = 0.5
SILENT_READ_S = 15.0
"""A blocking read that a silent Redis never answers ends well within this: no reason to be taken for dead."""
INTERRUPT_EVERY_S = 0.05

Handlers = dict[JobType, Handler[..., Any]]


def select_handlers(app: App, patterns: Sequence[str]) -> Handlers:
    """Return the handlers whose types match one of the shell patterns, all without any. Raises: NoHandlersError."""
    patterns = patterns or ("*",)
    for pattern in patterns:
        if not fnmatch.filter(app.handlers, pattern):
            raise NoHandlersError(f"no handler for `{pattern}`{did_you_mean(pattern, app.handlers)}")
    return {
        JobType(name): handler
        for name, handler in app.handlers.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    }


def queues_of(tenant: Tenant, handlers: Handlers) -> list[Queue]:
    """Return the queues that hold the jobs of these handlers."""
    return [
        Queue(tenant, job_type, partition)
        for job_type, handler in handlers.items()
        for partition in range(handler.policy.partitions)
    ]


def run_worker(settings: WorkerSettings, app: App, *, release: str = "") -> None:
    """Run a worker until it is told to stop; an order to abandon ends the process beside handlers that do not end.

    Raises: NoHandlersError, UnsuitableRedisError, RedisTlsError, AdminBindError, TracingConfigError.
    """
    handlers = select_handlers(app, settings.types)
    run_service(
        "workers",
        settings,
        partial(_work, handlers=handlers, release=release),
        # How a handler says what becomes of its job.
        not_errors=(Snooze, Discard),
    )


async def _work(service: Service[WorkerSettings], *, handlers: Handlers, release: str) -> None:
    service.metrics.register_types(handlers)
    async with (
        suitable_redis(service, NEEDS["worker"], patience_s=PATIENCE_S) as redis,
        _opened_apps(handlers.values()) as states,
    ):
        worker = Worker(
            config=service.settings,
            handlers=handlers,
            broker=redis.broker,
            registry=service.metrics,
            tracer=service.tracer,
            states=states,
            release=release,
            abandon=service.leave,
        )
        service.report.take_over(live=worker.live, ready=worker.ready)
        await worker.run(service.orders)


@asynccontextmanager
async def _opened_apps(handlers: Iterable[Handler[..., Any]]) -> AsyncIterator[dict[App, Any]]:
    """Open what the handlers of each app share."""
    async with AsyncExitStack() as stack:
        states: dict[App, Any] = {}
        for handler in handlers:
            if handler.app not in states:
                states[handler.app] = await stack.enter_async_context(handler.app.running())
        yield states


class Worker:
    """One worker process."""

    def __init__(
        self,
        *,
        config: WorkerSettings,
        handlers: Handlers,
        broker: Broker,
        registry: MetricRegistry,
        tracer: JobTracer,
        states: dict[App, Any],
        release: str,
        abandon: Callable[[], None] | None = None,
    ) -> None:
        self.name = consumer_name()
        self._abandon = abandon
        """Ends the process beside handlers that do not end; without it they are waited for."""
        self._config = config
        self._broker = broker
        self._registry = registry
        self._tasks: anyio.abc.TaskGroup | None = None
        clean = CleanContext()
        self._runners = Runners(
            self._execute,
            limit=config.concurrency,
            cleanup_s=config.cleanup_s,
            clean=clean,
            put_back=self._put_back,
        )
        self._slots = Slots(config.concurrency)
        self._pulse = Pulse("intake", max(3 * config.lease_s, SILENT_READ_S))
        self._processes = ProcessPool(config.app_refs)
        self._metrics = WorkerMetrics(registry)
        self._metrics.watch_slots(config.concurrency, lambda: min(self._slots.busy, config.concurrency))
        self._keeper = LeaseKeeper(config, self.name, asyncio.get_running_loop())
        self._committer = Committer(broker.store, self._keeper, self._metrics, self.name, lease_s=config.lease_s)
        self._quarantine = Quarantine(
            broker.store,
            self._slots,
            self._committer,
            worker=self.name,
            max_crashes=config.max_crashes,
        )
        self._executor = Executor(
            handlers,
            caller=Caller(config.concurrency, self._processes),
            holder=self._keeper,
            committer=self._committer,
            metrics=self._metrics,
            tracer=tracer,
            submitter=ChildSubmitter(
                broker.store,
                KnownQueues(broker.registry),
                TypeCatalogue(
                    broker.registry, registry, own=[one.registration(config.code_version) for one in handlers.values()]
                ),
                Admission(config.unknown_types),
                tracer,
                DEFAULT_TENANT,
                clock=broker.clock.now_s,
            ),
            states=states,
            clean=clean,
            releases=ReleaseFinder(broker.store, broker.registry, handlers, code_version=config.code_version),
        )
        queues = queues_of(DEFAULT_TENANT, handlers)
        self._registrar = Registrar(
            broker.registry,
            name=self.name,
            tenant=DEFAULT_TENANT,
            handlers=handlers,
            queues=queues,
            concurrency=config.concurrency,
            running=self._running,
            interval_s=config.beat_every_s,
            code_version=config.code_version,
            release=release,
        )
        self._reader = broker.reader()
        self._intake = Intake(
            broker.store,
            self._reader,
            queues,
            consumer=self.name,
            slots=self._slots,
            weights=config.weights,
            pulse=self._pulse,
            deliver=self._deliver,
            decline=self._decline,
        )
        finder = PartitionFinder(broker.registry, DEFAULT_TENANT, handlers.keys(), known=queues, found=self._intake.add)
        self._duties = DutyRunner(
            [self._registrar, finder], DutyMetrics(registry, "workers"), needs={"redis": StoreUnavailableError}
        )
        self._log = structlog.get_logger().bind(worker=self.name)

    async def run(self, orders: StopOrders) -> None:
        """Work until told to stop, then drain."""
        guard_tasks(asyncio.get_running_loop())
        # Known before the first job is taken, or the jobs would be nobody's to look after.
        await self._register(orders)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._reader.close)
            stack.push_async_callback(self._processes.close)
            stack.enter_context(self._keeper)
            self._log.info("worker started", concurrency=self._config.concurrency)
            await self._run_parts(orders)
        await self._registrar.leave()
        self._log.info("worker stopped")

    async def _register(self, orders: StopOrders) -> None:
        """Make this worker's types known; a full Redis is told later, by the heartbeat: a worker is who empties it."""
        failures = 0
        while not orders.stop.is_set():
            try:
                await self._registrar.register()
            except StoreFullError as error:
                self._log.warning("not registered yet", **error.fields)
                return
            except StoreUnavailableError as error:
                failures += 1
                self._log.warning("not registered yet", failures=failures, **error.fields)
            else:
                return
            with anyio.move_on_after(backoff_s(failures)):
                await orders.stop.wait()

    async def _run_parts(self, orders: StopOrders) -> None:
        config, stop = self._config, anyio.Event()
        drain = Drain(orders, self._slots, self._running, grace_s=config.grace_s, cleanup_s=config.cleanup_s)
        async with anyio.create_task_group() as background:
            background.start_soon(self._tick)
            background.start_soon(self._keeper.watch)
            background.start_soon(self._duties.run, stop)
            background.start_soon(self._heed_abandon, orders)
            async with anyio.create_task_group() as committing:
                committing.start_soon(self._committer.run)
                async with anyio.create_task_group() as self._tasks:
                    self._runners.open(self._tasks)
                    self._tasks.start_soon(self._intake.run)
                    if stubborn := await drain.run(self._stop_taking):
                        await self._leave_without(stubborn)
                    self._runners.close()
                self._committer.finish()
            stop.set()
            background.cancel_scope.cancel()

    async def _heed_abandon(self, orders: StopOrders) -> None:
        await orders.abandon.wait()
        self._committer.abandon()
        if self._abandon is not None:
            self._abandon()

    async def _leave_without(self, stubborn: list[Running]) -> None:
        """End the process beside handlers that do not end; their jobs go back."""
        self._log.error("handlers do not end", jobs=[running.id for running in stubborn[:SHOWN_JOBS]])
        if self._abandon is None:
            return
        for running in stubborn:
            self._decline(running.delivery)
        with anyio.move_on_after(STUBBORN_S):
            await self._committer.wait_empty()
            await self._registrar.leave()
        self._abandon()

    def _stop_taking(self) -> None:
        self._registrar.drain()
        self._intake.stop()
        self._runners.put_back_waiting()
        self._quarantine.close()
        if self._tasks is not None:
            self._tasks.start_soon(self._interrupt_read)

    async def _interrupt_read(self) -> None:
        # Again and again: the first may come before the read has reached Redis. But a worker whose slots are full does
        # not read until one of its jobs ends, which may take long.
        while not self._intake.has_ended:
            if self._reader.is_blocked and not await self._reader.interrupt():
                return
            await anyio.sleep(INTERRUPT_EVERY_S)

    def _deliver(self, delivery: Delivery) -> None:
        running = Running(delivery)
        # Whether it begins at once or not: its lease has begun.
        self._keeper.hold(running)
        self._runners.start(running)

    def _put_back(self, running: Running) -> None:
        self._slots.put_back()
        self._decline(running.delivery)

    def _decline(self, delivery: Delivery) -> None:
        self._committer.put(Finished(delivery, HandedBack(), 0))

    async def _execute(self, running: Running, scope: StopScope) -> None:
        try:
            if self._quarantine.suspects(running.delivery):
                await self._quarantine.run(running, partial(self._executor.execute, scope=scope))
            else:
                await self._executor.execute(running, scope)
        except Exception as error:  # noqa: BLE001 - a defect of this worker must not cost a job's neighbours their runs
            self._log.error("job not executed", job_id=running.id, type=running.delivery.queue.type, exc_info=True)
            self._executor.fail(running, error)
        finally:
            self._slots.give_back()

    def _running(self) -> list[Running]:
        return list(self._executor.running)

    async def _tick(self) -> None:
        """Show the lease keeper that the loop is alive, and measure how late it is."""
        while True:
            due = anyio.current_time() + LOOP_TICK_S
            await anyio.sleep(LOOP_TICK_S)
            self._metrics.observe_loop_lag(max(0.0, anyio.current_time() - due))
            self._keeper.tick()

    def live(self) -> Health:
        """Return whether this worker does its duty. Any thread may call it."""
        if self._intake.is_stopping:
            intake = HealthCheck("intake", ok=True, detail="draining")
        elif not self._slots.is_full:
            intake = self._pulse.check()
        else:
            # Nothing to ask for: a worker full of long jobs is a healthy one.
            intake = HealthCheck("intake", ok=True, detail="every slot is busy")
        return Health.of([intake, *self._keeper.checks()])

    def ready(self) -> Health:
        """Return whether what this worker needs is there. Any thread may call it."""
        # A worker whose heartbeat gets through may still be refused every job.
        intake = HealthCheck("intake", ok=not self._intake.trouble, detail=self._intake.trouble)
        return Health.of([*self._duties.ready().checks, intake])
