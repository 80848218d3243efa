"""Registers this worker: its types, their descriptions, the limits that they declare, and its heartbeat.

Releases of an application run side by side while one replaces another. The registrations of a release count while one
of its workers sends heartbeats and claims jobs, and for a while after that, because it may only be restarting (ADR 16).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import anyio

from millstream.handler import Handler
from millstream_contracts import JobType, Queue, RunningJob, TypeRegistration, WorkerInfo, moment
from millstream_runtime import DutyResult, Wake
from millstream_streams import BudgetDealer, Registry, SettingsStore, Start, StoreError, for_each_queue
from millstream_telemetry.metrics.groups import rss_bytes
from millstream_workers.attempt.running import Running
from millstream_workers.partitions import Partitions
from millstream_workers.serving import Served

SHOWN_JOBS = 100

LEAVE_WITHIN_S = 1.0
"""A worker that leaves does not wait longer than this to be taken off the list."""

REGISTER_EVERY_BEATS = 12
"""Heartbeats between two registrations: an older registration returns when a newer worker is killed."""

ALIVE_FOR_BEATS = 6
"""How long the registrations of a killed worker count. A shorter time would make those of a busy worker come and go."""

LEAVING_FOR_BEATS = 3
"""How long the registrations of a worker that leaves count: the time in which it may be started again."""

COUNTS_FOR_AT_LEAST_S = 5.0
"""Least time that a registration counts, however often its worker beats: a machine under load pauses for seconds."""


class Registrar:
    """A duty: registers in the first pass, then sends heartbeats."""

    name = "heartbeat"

    def __init__(
        self,
        registry: Registry,
        queue_settings: SettingsStore,
        budgets: BudgetDealer,
        *,
        name: str,
        served: Served,
        handlers: Mapping[JobType, Handler],
        queues: Sequence[Queue],
        concurrency: int,
        running: Callable[[], list[Running]],
        loop_lag_ms: Callable[[], float | None] = lambda: None,
        interval_s: float,
        code_version: str,
        release: str,
    ) -> None:
        self.interval_s = interval_s
        self._registry = registry
        self._queue_settings = queue_settings
        self._budgets = budgets
        self._worker = name
        self._served = served
        self._types: list[TypeRegistration] = [handler.registration(code_version) for handler in handlers.values()]
        self._queues = queues
        self._partitions = Partitions(queues)
        self._limits = {job_type: handler.limits for job_type, handler in handlers.items()}
        self._has_declared = False
        self._concurrency = concurrency
        self._running = running
        self._loop_lag_ms = loop_lag_ms
        self._host = name.partition(":")[0]
        self._release = release
        self._alive_for = _beats(ALIVE_FOR_BEATS, interval_s)
        self._leaving_for = _beats(LEAVING_FOR_BEATS, interval_s)
        self._start: Start | None = None
        """The start of this worker, which stays the same; None before the first registration."""
        self._beats = 1
        """Heartbeats since the last registration. 1 at first, because the worker registers before it takes a job."""
        self._is_draining = False
        self.wake = Wake()

    @property
    def started_at_ms(self) -> int | None:
        """When this worker started, by the clock of Redis; None before it has registered."""
        return self._start.at_ms if self._start else None

    async def run_once(self) -> DutyResult:
        """Register if that is due, and send a heartbeat."""
        start = self._start
        if start is None or (self._beats % REGISTER_EVERY_BEATS == 0 and not self._is_draining):
            start = await self.register()
        is_known = await self._registry.beat(
            self._info(start),
            start,
            alive_for=self._leaving_for if self._is_draining else self._alive_for,
            is_leaving=self._is_draining,
        )
        # What Redis has lost is registered again at the next beat.
        self._beats = self._beats + 1 if is_known else 0
        return DutyResult()

    async def register(self) -> Start:
        """Publish the types and queues of this worker."""
        await self._registry.add_queues(self._queues)
        if not self._has_declared:
            await self._spread_limits()
        self._start = await self._registry.add_types(
            self._served.first,
            self._types,
            worker=self._worker,
            started_at_ms=self._start.at_ms if self._start else None,
            alive_for=self._alive_for,
            others=self._served.others,
        )
        await self._declare_limits(self._partitions, self._start.at_ms, is_first=not self._has_declared)
        self._has_declared = True
        return self._start

    async def take_up(self, queues: Sequence[Queue]) -> None:
        """Declare the limits of the handlers for queues of other tenants, before the first job is taken from them."""
        further = [queue for queue in queues if queue.tenant not in self._served.known]
        if self._start is not None:
            await self._declare_limits(Partitions(further), self._start.at_ms, is_first=True)
        self._partitions.add(further)

    def give_up(self, queues: Iterable[Queue]) -> None:
        """Declare nothing any more for queues that were taken up."""
        self._partitions.remove(queues)

    async def _declare_limits(self, partitions: Partitions, started_at_ms: int, *, is_first: bool) -> None:
        """Declare the limits of the handlers; a handler without takes back, once, what an earlier release declared."""

        async def declare(queue: Queue) -> None:
            is_split = len(partitions.beside(queue)) > 1
            limits = self._limits[queue.type]
            await self._queue_settings.declare(queue, limits, started_at_ms=started_at_ms, is_split=is_split)

        every = (queue for queues in partitions for queue in queues)
        await for_each_queue((one for one in every if is_first or self._limits[one.type] is not None), declare)
        for queues in partitions:
            if len(queues) > 1 and is_first:
                await self._deal(queues)

    async def _spread_limits(self) -> None:
        """Let new partitions have the limits that an operator has set, before jobs are submitted to them."""
        for queues in self._partitions:
            if len(queues) > 1:
                await self._queue_settings.spread(queues)

    async def _deal(self, queues: Sequence[Queue]) -> None:
        """Give the partitions of a type their parts of its limits, so that its jobs do not wait for a dispatcher."""
        if any(one.is_split for one in await self._queue_settings.splits(queues)):
            await self._budgets.deal(queues)

    def drain(self) -> None:
        """Announce at once that this worker claims no more, so that ingest soon refuses jobs of its release."""
        self._is_draining = True
        self.wake.set()

    async def leave(self) -> None:
        """Take this worker off the list; while Redis is away, a reaper does it later."""
        with suppress(StoreError), anyio.move_on_after(LEAVE_WITHIN_S):
            await self._registry.leave(self._worker, self._leaving_for)

    def _info(self, start: Start) -> WorkerInfo:
        started_at = moment(start.at_ms)
        running = sorted(self._running(), key=lambda one: one.begun_at)
        return WorkerInfo(
            name=self._worker,
            types=[registration.type for registration in self._types],
            concurrency=self._concurrency,
            tenants=list(self._served.named),
            running=[_shown(one) for one in running[:SHOWN_JOBS]],
            busy=len(running),
            started_at=started_at,
            seen_at=started_at,  # Redis notes when it was
            version=self._release,
            state="draining" if self._is_draining else "active",
            host=self._host,
            rss_bytes=round(rss_bytes()),
            loop_lag_ms=self._loop_lag_ms(),
        )


def _shown(running: Running) -> RunningJob:
    delivery = running.delivery
    return RunningJob(running.id, moment(delivery.claimed_at_ms), delivery.queue.tenant)


def _beats(number: int, interval_s: float) -> timedelta:
    return timedelta(seconds=max(COUNTS_FOR_AT_LEAST_S, number * interval_s))
