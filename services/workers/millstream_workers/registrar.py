"""Registers this worker: its types, their descriptions, and its heartbeat.

Releases of an application run side by side while one replaces another. The registrations of a release count while one
of its workers sends heartbeats and claims jobs, and for a while after that, because it may only be restarting (ADR 16).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import anyio

from millstream.handler import Handler
from millstream_contracts import JobType, Queue, RunningJob, Tenant, TypeRegistration, WorkerInfo, moment
from millstream_runtime import DutyResult, Wake
from millstream_streams import Registry, Start, StoreError
from millstream_telemetry.metrics.groups import rss_bytes
from millstream_workers.attempt.running import Running

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
        *,
        name: str,
        tenant: Tenant,
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
        self._worker = name
        self._tenant = tenant
        self._types: list[TypeRegistration] = [handler.registration(code_version) for handler in handlers.values()]
        self._queues = queues
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
        self._start = await self._registry.add_types(
            self._tenant,
            self._types,
            worker=self._worker,
            started_at_ms=self._start.at_ms if self._start else None,
            alive_for=self._alive_for,
        )
        return self._start

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
            running=[RunningJob(one.id, moment(one.delivery.claimed_at_ms)) for one in running[:SHOWN_JOBS]],
            busy=len(running),
            started_at=started_at,
            seen_at=started_at,  # Redis notes when it was
            version=self._release,
            state="draining" if self._is_draining else "active",
            host=self._host,
            rss_bytes=round(rss_bytes()),
            loop_lag_ms=self._loop_lag_ms(),
        )


def _beats(number: int, interval_s: float) -> timedelta:
    return timedelta(seconds=max(COUNTS_FOR_AT_LEAST_S, number * interval_s))
