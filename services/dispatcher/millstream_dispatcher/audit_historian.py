"""Moves audit records from Redis into the history, and ends those of actions that were lost. Run by every dispatcher.

A record stays in Redis until the history has it. So it is stored at least once, and storing it again changes nothing.
"""

import math
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import structlog
from msgspec.structs import replace

from millstream_contracts import AuditLink, AuditOutcome, Tenant
from millstream_history import AuditRecords, History
from millstream_runtime import HOUR_S, DutyResult
from millstream_streams import Broker, WaitingRecords
from millstream_telemetry import AuditMetrics

LOST_AFTER_S = 600.0
"""An action that began longer ago has lost its ingest: no request takes as long."""
RECORDS_AT_ONCE = 500


class AuditRecorded(DutyResult, frozen=True):
    """The result of one pass."""

    stored: int = 0
    lost: int = 0


class AuditHistorian:
    """A duty. Without a history the records wait in Redis."""

    name = "audit-historian"
    interval_s = 1.0

    def __init__(self, broker: Broker, history: History | None, metrics: AuditMetrics, *, kept_days: int) -> None:
        self._broker = broker
        self._audit_trail = broker.audit_trail
        self._records: AuditRecords | None = history.audit if history else None
        self._metrics = metrics
        self._kept = timedelta(days=kept_days)
        self._months_at = float("-inf")
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> AuditRecorded:
        """Record lost actions, and store what waits. Raises: StoreError, HistoryError."""
        await self._broker.look_at_clock()
        lost = await self._end_lost()
        if self._records is None:
            self._metrics.show(await self._audit_trail.count_waiting(), math.nan)
            return AuditRecorded(lost=lost)
        await self._keep_months(self._records)
        waiting = await self._audit_trail.waiting(RECORDS_AT_ONCE)
        await self._show(waiting)
        await self._store(self._records, waiting)
        is_full = len(waiting.places) == RECORDS_AT_ONCE
        if not is_full:
            self._metrics.show(0, 0.0)
        return AuditRecorded(more=is_full, stored=len(waiting.entries), lost=lost)

    async def _store(self, records: AuditRecords, waiting: WaitingRecords) -> None:
        if waiting.unreadable:
            # A newer release only adds fields, so these are no records of ours.
            self._log.error("audit records cannot be read, and are dropped", records=waiting.unreadable)
        if waiting.entries:
            await self._look_for_losses(records, {Tenant(entry.tenant) for entry in waiting.entries})
            await self._note(await records.store(waiting.entries))
        await self._audit_trail.forget(waiting.places)

    async def _note(self, heads: dict[Tenant, AuditLink]) -> None:
        """Note in Redis how far the chains are; a head that is further already stays."""
        known = {tenant: await self._audit_trail.head(tenant) for tenant in heads}
        further = {tenant: link for tenant, link in heads.items() if _is_further(link, known[tenant])}
        await self._audit_trail.note_heads(further)

    async def _look_for_losses(self, records: AuditRecords, tenants: Iterable[Tenant]) -> None:
        """Log where the history has lost records: `verify` finds that too, until the chain is as long again."""
        for tenant in tenants:
            noted, (cut, last) = await self._audit_trail.head(tenant), await records.ends(tenant)
            reached = last or cut
            if noted and noted.seq > (reached.seq if reached else 0):
                self._log.error(
                    "the history has lost audit records", tenant=tenant, known=noted.seq, hash=noted.hash,
                    found=reached.seq if reached else 0,
                )  # fmt: skip

    async def _end_lost(self) -> int:
        """Record the actions whose ingest has ended in the middle of them."""
        before = datetime.fromtimestamp(self._broker.clock.now_s() - LOST_AFTER_S, UTC)
        lost = [entry for entry in await self._audit_trail.begun() if entry.at < before]
        for entry in lost:
            ended = replace(entry, outcome=AuditOutcome.UNKNOWN)
            if await self._audit_trail.end_action(ended, is_stored=self._records is not None):
                self._log.warning("an action has no known outcome", action=entry.action, id=entry.id)
        return len(lost)

    async def _keep_months(self, records: AuditRecords) -> None:
        if time.monotonic() < self._months_at + HOUR_S:
            return
        today = datetime.fromtimestamp(self._broker.clock.now_s(), UTC).date()
        await records.make_months(today)
        for month, dropped in (await records.drop_months(today - self._kept)).items():
            self._log.info("a month of audit records is dropped", month=f"{month:%Y-%m}", records=dropped)
        self._months_at = time.monotonic()

    async def _show(self, waiting: WaitingRecords) -> None:
        now, oldest = self._broker.clock.now_s(), min((entry.at for entry in waiting.entries), default=None)
        lag_s = 0.0 if oldest is None else max(0.0, now - oldest.timestamp())
        self._metrics.show(await self._audit_trail.count_waiting(), lag_s)


def _is_further(link: AuditLink, known: AuditLink | None) -> bool:
    return known is None or link.seq > known.seq
