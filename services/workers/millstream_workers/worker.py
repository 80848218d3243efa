"""One worker process: its start, its drain, its end, and its health."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import anyio
import structlog

from millstream_runtime import Health, HealthCheck, StopOrders
from millstream_streams import StoreFullError, StoreUnavailableError, backoff_s
from millstream_workers.assembly import WorkerParts
from millstream_workers.attempt.running import Running
from millstream_workers.keeping.committer import SHOWN_JOBS
from millstream_workers.keeping.draining import STUBBORN_S, Drain
from millstream_workers.running.task_guard import guard_tasks
from millstream_workers.settings import WorkerSettings

LOOP_TICK_S = 0.5
INTERRUPT_EVERY_S = 0.05


class Worker:
    """Runs the parts of a worker until the order to stop, or until it is asked to drain and has nothing left."""

    def __init__(
        self, settings: WorkerSettings, parts: WorkerParts, *, abandon: Callable[[], None] | None = None
    ) -> None:
        """`abandon` ends the process beside handlers that do not end; without it they are waited for."""
        self.parts = parts
        self._settings = settings
        self._abandon = abandon
        self._log = structlog.get_logger().bind(worker=parts.name)

    async def run(self, orders: StopOrders) -> None:
        """Work until the order to stop or to drain, then drain."""
        parts = self.parts
        guard_tasks(asyncio.get_running_loop())
        # Before the first job is taken: a reaper looks only after jobs of workers and queues that are known.
        await self._register(orders)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(parts.reader.close)
            stack.push_async_callback(parts.processes.close)
            stack.enter_context(parts.leases)
            stack.enter_context(parts.loop_watch)
            self._log.info("worker started", concurrency=self._settings.concurrency)
            await self._work(orders)
        await parts.registrar.leave()
        self._log.info("worker stopped")

    async def _register(self, orders: StopOrders) -> None:
        """Register this worker's types. A full Redis is no reason to wait, because workers empty it."""
        failures = 0
        while not orders.stop.is_set():
            try:
                await self.parts.registrar.register()
                await self.parts.announcer.begin()
            except StoreFullError as error:
                self._log.warning("not registered yet", **error.fields)
                return  # the heartbeat registers as soon as there is room
            except StoreUnavailableError as error:
                failures += 1
                self._log.warning("not registered yet", failures=failures, **error.fields)
            else:
                return
            with anyio.move_on_after(backoff_s(failures)):
                await orders.stop.wait()

    async def _work(self, orders: StopOrders) -> None:
        """Run the parts, which end in order: fetcher and handlers, the committer, then those that keep and measure."""
        parts, stop = self.parts, anyio.Event()
        async with anyio.create_task_group() as background:
            background.start_soon(self._tick)
            background.start_soon(parts.leases.watch)
            background.start_soon(parts.duties.run, stop)
            background.start_soon(parts.heed_queues)
            background.start_soon(self._heed_abandon, orders)
            async with anyio.create_task_group() as committing:
                committing.start_soon(parts.pipeline.committer.run)
                await self._fetch_and_execute(orders)
                parts.pipeline.committer.finish()
            stop.set()
            background.cancel_scope.cancel()

    async def _fetch_and_execute(self, orders: StopOrders) -> None:
        settings, parts = self._settings, self.parts
        drain = Drain(
            orders,
            parts.slots,
            parts.pipeline.running,
            asked=parts.leases.drain_asked,
            grace_s=settings.grace_s,
            cleanup_s=settings.cleanup_s,
        )
        async with anyio.create_task_group() as tasks:

            def begin_to_drain() -> None:
                parts.registrar.drain()
                parts.fetcher.stop()
                parts.pipeline.drain()
                parts.gatherer.drain()
                tasks.start_soon(self._interrupt_read)

            parts.pipeline.open(tasks)
            parts.gatherer.open(tasks.start_soon)
            tasks.start_soon(parts.fetcher.run)
            if stubborn := await drain.run(begin_to_drain):
                await self._leave_without(stubborn)
            parts.pipeline.close()

    async def _heed_abandon(self, orders: StopOrders) -> None:
        await orders.abandon.wait()
        self.parts.pipeline.committer.abandon()
        if self._abandon is not None:
            self._abandon()

    async def _leave_without(self, stubborn: list[Running]) -> None:
        """End the process beside handlers that do not end; their jobs are handed back."""
        self._log.error("handlers do not end", jobs=[running.id for running in stubborn[:SHOWN_JOBS]])
        if self._abandon is None:
            return
        for running in stubborn:
            self.parts.pipeline.decline(running.delivery)
        with anyio.move_on_after(STUBBORN_S):
            await self.parts.pipeline.committer.wait_empty()
            await self.parts.registrar.leave()
        self._abandon()

    async def _interrupt_read(self) -> None:
        # Again and again: the first may come before the read has reached Redis. But a worker whose slots are full does
        # not read until one of its jobs ends, which may take long.
        while not self.parts.fetcher.has_ended:
            if self.parts.reader.is_blocked and not await self.parts.reader.interrupt():
                return
            await anyio.sleep(INTERRUPT_EVERY_S)

    async def _tick(self) -> None:
        """Show the lease keeper that the loop is alive, and measure how late it is."""
        while True:
            due = anyio.current_time() + LOOP_TICK_S
            await anyio.sleep(LOOP_TICK_S)
            self.parts.metrics.observe_loop_lag(max(0.0, anyio.current_time() - due))
            self.parts.leases.tick()

    def live(self) -> Health:
        """Return whether this worker makes progress. Any thread may call it."""
        parts = self.parts
        if parts.fetcher.is_stopping:
            intake = HealthCheck("intake", ok=True, detail="draining")
        elif not parts.slots.is_full:
            intake = parts.pulse.check()
        else:
            # Nothing to ask for: a worker full of long jobs is a healthy one.
            intake = HealthCheck("intake", ok=True, detail="every slot is busy")
        return Health.of([intake, *parts.leases.checks()])

    def ready(self) -> Health:
        """Return whether the dependencies of this worker are there. Any thread may call it."""
        # A worker whose heartbeat gets through may still be refused every job.
        trouble = self.parts.fetcher.trouble
        intake = HealthCheck("intake", ok=not trouble, detail=trouble)
        return Health.of([*self.parts.duties.ready().checks, intake])
