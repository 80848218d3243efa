"""Writes the audit trail: no action begins without its record, and refusals are recorded within bounds.

An action is noted before it begins and recorded when it has ended. Where ingest ends between the two, a dispatcher
records it with an unknown outcome.
"""

import time
from collections.abc import Callable

import structlog

from millstream_contracts import AuditEntry
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import STORE_FULL
from millstream_streams import AuditTrail, StoreError
from millstream_telemetry import IngestMetrics

REFUSALS_EVERY_S = 60.0
"""Of equal refusals the first in this time is recorded."""
MAX_REFUSALS = 100
"""Refusals that one ingest records in this time, so that many addresses do not fill the trail."""

_FULL = (
    "as many audit records wait in Redis as there may be, because the history does not take them: nothing can be "
    "changed until it does"
)


class AuditRecorder:
    """Records what principals do."""

    def __init__(
        self,
        audit_trail: AuditTrail,
        metrics: IngestMetrics,
        *,
        is_stored: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take whether there is a history that takes the records."""
        self._audit_trail = audit_trail
        self._metrics = metrics
        self._is_stored = is_stored
        self._clock = clock
        self._refused: set[tuple[str, ...]] = set()
        self._refused_until = 0.0
        self._log = structlog.get_logger()

    async def begin(self, entry: AuditEntry) -> None:
        """Note that an action begins; one that cannot be noted must not. Raises: IngestError (503), StoreError."""
        if not await self._audit_trail.begin_action(entry, is_stored=self._is_stored):
            raise IngestError(STORE_FULL, _FULL)

    async def end(self, entry: AuditEntry) -> None:
        """Record how an action ended. What it did is done, so a failure to record it is logged and counted."""
        try:
            is_recorded = await self._audit_trail.end_action(entry, is_stored=self._is_stored)
        except StoreError as error:
            is_recorded = False
            # Its begin is in Redis: the outcome will be told as unknown.
            self._log.warning("outcome of an action not recorded", action=entry.action, id=entry.id, error=str(error))
        self._metrics.count_audit_record(str(entry.outcome) if is_recorded else "unrecorded")

    async def refuse(self, entry: AuditEntry, *source: str) -> None:
        """Record a refusal, if it is the first from its source in :data:`REFUSALS_EVERY_S`."""
        now = self._clock()
        if now >= self._refused_until:
            self._refused.clear()
            self._refused_until = now + REFUSALS_EVERY_S
        if source in self._refused or len(self._refused) >= MAX_REFUSALS:
            return
        self._refused.add(source)
        try:
            is_recorded = await self._audit_trail.record_refusal(entry)
        except StoreError:
            is_recorded = False  # the request is refused all the same
        self._metrics.count_audit_record(str(entry.outcome) if is_recorded else "unrecorded")
