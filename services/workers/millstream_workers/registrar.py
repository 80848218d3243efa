"""Tells the others about this worker: which types it handles, how it describes them, that it is alive."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import anyio

from millstream.handler import Handler
from millstream_contracts import JobType, Queue, RunningJob, Tenant, TypeRegistration, WorkerInfo, moment
from millstream_streams import Registry, StoreError
from millstream_telemetry import DutyResult
from millstream_workers.running import Running

SHOWN_JOBS = 100

LEAVE_WITHIN_S = 1.0
"""A worker that leaves does not wait longer than this to be taken off the list."""

REGISTER_EVERY_BEATS = 12
"""Registrations are written again now and then, so that a registry which was lost comes back."""


class Registrar:
    """A duty: registers at the first pass, then beats."""

    name = "heartbeat"

    def __init__(
        self,
        registry: Registry,
        *,
        name: str,
        tenant: Tenant,
        handlers: Mapping[JobType, Handler[..., Any]],
        queues: Sequence[Queue],
        concurrency: int,
        running: Callable[[], list[Running]],
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
        self._release = release
        self._started_at = datetime.now(UTC)
        self._beats = 0
        self.is_draining = False

    async def run_once(self) -> DutyResult:
        """Register, or just say that this worker is alive."""
        if self._beats % REGISTER_EVERY_BEATS == 0:
            await self.register()
        await self._registry.beat(self._info())
        self._beats += 1
        return DutyResult()

    async def register(self) -> None:
        """Publish the types and queues of this worker."""
        await self._registry.add_queues(self._queues)
        await self._registry.add_types(self._tenant, self._types)

    async def leave(self) -> None:
        """Take this worker off the list; when Redis is away, a reaper will."""
        with suppress(StoreError), anyio.move_on_after(LEAVE_WITHIN_S):
            await self._registry.leave(self._worker)

    def _info(self) -> WorkerInfo:
        running = sorted(self._running(), key=lambda one: one.begun_at)
        return WorkerInfo(
            name=self._worker,
            types=[registration.type for registration in self._types],
            concurrency=self._concurrency,
            running=[RunningJob(one.id, moment(one.delivery.claimed_at_ms)) for one in running[:SHOWN_JOBS]],
            busy=len(running),
            started_at=self._started_at,
            seen_at=datetime.now(UTC),
            version=self._release,
            state="draining" if self.is_draining else "active",
        )
