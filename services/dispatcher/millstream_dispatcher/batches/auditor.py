"""Looks up promised members, closes batches whose time has come, and forgets those that ended long ago.

Run by every dispatcher. Members whose submitter has died before it stored their jobs are dropped: their jobs will never
be there, because a start is refused after the promise. What has been still for a while is compared with its jobs, which
repairs what a failover has lost.
"""

from collections.abc import Iterable

import structlog

from millstream_contracts import BatchEvent, BatchId, JobId, Queue, ids_by_queue
from millstream_dispatcher.flow_audit import LIMIT, absent_jobs, audit_shards
from millstream_runtime import DutyResult
from millstream_streams import CHECK_AGAIN_S, MAX_PROMISED, BatchCheck, Broker
from millstream_telemetry import BatchMetrics


class BatchAuditor:
    """A duty."""

    name = "batch-auditor"

    def __init__(self, broker: Broker, metrics: BatchMetrics, *, interval_s: float) -> None:
        self.interval_s = interval_s
        self._broker = broker
        self._metrics = metrics
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> DutyResult:
        """Look at what is to be looked at in every shard, and count the batches."""
        return await audit_shards(self._broker.batches, self._look, self._metrics.show)

    async def _look(self, shard: Queue) -> bool:
        found, next_in_ms = await self._broker.batches.take_checks(shard, LIMIT)
        for one in found:
            await self._check(shard, one)
        # There may be more promises that have run out than a call returns.
        return next_in_ms == 0 or any(len(one.run_out) >= MAX_PROMISED for one in found)

    async def _check(self, shard: Queue, one: BatchCheck) -> None:
        """Look at one batch. Raises: StoreError."""
        await self._look_up(shard, one)
        lost_callbacks: list[BatchEvent] = []
        if one.still_ms >= CHECK_AGAIN_S * 1000:
            await self._compare(shard, one.id)
            lost_callbacks = await self._lost_callbacks(shard, one.id)
        restarted = await self._broker.batches.end_check(shard, one.id, lost_callbacks)
        if restarted:
            self._metrics.count_repair("restarted", restarted)
            self._log.warning("lost jobs of callbacks submitted again", batch=one.id, jobs=restarted)

    async def _look_up(self, shard: Queue, one: BatchCheck) -> None:
        """See whether the jobs of promised members are there, whose submitter has not said so."""
        until = dict(one.run_out)
        absent = await self._absent(shard, until)
        stored = [job_id for job_id in until if job_id not in absent]
        run_out = [(job_id, until[job_id]) for job_id in absent]
        await self._broker.batches.confirm(shard.tenant, one.id, stored=stored, run_out=run_out)
        self._metrics.count_promises(found=len(stored), dropped=len(run_out))

    async def _compare(self, shard: Queue, batch_id: BatchId) -> None:
        """Compare the members that are pending with their jobs."""
        start: str | None = None
        while True:
            ids, start = await self._broker.batches.open_members(shard, batch_id, start)
            lost = list(await self._absent(shard, ids))
            if lost:
                count = await self._broker.batches.confirm(shard.tenant, batch_id, lost=lost)
                self._metrics.count_repair("lost", count)
                self._log.warning("jobs of members lost", batch=batch_id, jobs=count)
            if start is None:
                return

    async def _lost_callbacks(self, shard: Queue, batch_id: BatchId) -> list[BatchEvent]:
        for found in (await self._broker.batches.read(shard.tenant, [batch_id])).values():
            ids = {found.callbacks[event]: event for event in found.unsettled if event in found.callbacks}
            return [ids[one] for one in await self._absent(shard, ids)]
        return []

    async def _absent(self, shard: Queue, ids: Iterable[JobId]) -> set[JobId]:
        """Return those of these jobs that are not there; have their batch told again of those that have settled."""
        known = list(ids)
        by_queue = ids_by_queue(shard.tenant, known)
        # What is no id of a job is no job either.
        absent = set(known).difference(*by_queue.values())
        for queue, of_queue in by_queue.items():
            absent.update(await absent_jobs(self._broker, queue, of_queue))
        return absent
