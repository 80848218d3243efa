"""Projects events of jobs into the history database. Run by every dispatcher; each event goes to one of them.

An event is acknowledged once it is stored. So it is stored at least once, and storing it again changes nothing.
"""

import math
import time
from collections.abc import Awaitable

import anyio
import structlog
from msgspec import Struct
from msgspec.structs import replace

from millstream_contracts import Event, Queue, QueueEvents
from millstream_dispatcher.event_reader import EventReader
from millstream_dispatcher.kept_parts import KeptParts
from millstream_dispatcher.stored_versions import StoredVersions, Versions, versions_of
from millstream_dispatcher.worker_releases import WorkerReleases
from millstream_history import History, HistoryError, Rows, Schema, as_kept, rows_of, with_releases
from millstream_runtime import DutyResult, HealthCheck
from millstream_streams import HISTORY_GROUP, Broker, EventFeed
from millstream_telemetry import HistoryMetrics

GROUP = HISTORY_GROUP
NEED = "history"
"""Name of the database in the list of readiness checks."""
ENTRIES_AT_ONCE = 400
"""The number of entries in one read of all queues together, but at least :data:`ENTRIES_AT_LEAST` of each."""
ENTRIES_AT_LEAST = 4
MOST_MOVES_AT_ONCE = 4_000
"""The most transitions in one transaction; beyond this its own cost no longer shows beside that of the rows."""
FEWEST_MOVES_AT_ONCE = 100
LARGE_BYTES, SMALL_BYTES = 16 << 20, 4 << 20
"""Payloads may be large: a transaction that holds less than SMALL_BYTES grows, one above LARGE_BYTES shrinks."""
QUEUES_EVERY_S = 1.0
PROBE_EVERY_S = 15.0
"""How often the database is probed while there is nothing to store, for readiness."""


class Projection(DutyResult, frozen=True):
    """The result of one pass."""

    stored: int = 0


class Batch(Struct, frozen=True):
    """Events that are stored in one transaction, and their rows."""

    batches: list[QueueEvents]
    entries: int
    moves: int
    rows: Rows
    versions: Versions
    """The states of jobs that it stores."""


class Projector:
    """A duty. Its name on dashboards is `historian`."""

    name = "historian"
    interval_s = 1.0

    def __init__(self, feed: EventFeed, broker: Broker, history: History, metrics: HistoryMetrics) -> None:
        self._feed = feed
        self._kept = KeptParts(broker.registry)
        self._releases = WorkerReleases(broker.registry)
        self._events = EventReader(feed)
        self._broker = broker
        self._history = history
        self._metrics = metrics
        self._queues: list[Queue] = []
        self._queues_at = self._probed_at = float("-inf")
        self._database = HealthCheck(NEED, ok=False, detail="not asked yet")
        """Whether the database accepted the last write or probe."""
        self._is_newer = False
        self._log = structlog.get_logger().bind(duty=self.name)
        self._held: list[tuple[Queue, Event]] = []
        """Events that were read and not acknowledged yet."""
        self._next: Batch | None = None
        """The batch of the oldest held events, if it is composed already."""
        self._stored = StoredVersions()
        self._moves_at_once = FEWEST_MOVES_AT_ONCE

    async def run_once(self) -> Projection:
        """Store one batch; wait for events when there are none. Returns: to come back at once."""
        if not self._held:
            await self._read()
        self._show_lag()
        batch, self._next = self._next or await self._compose(0, {}), None
        if batch is None:
            await self._probe()
            return Projection(more=True)
        # One batch a pass: a database that is slow is no reason to take this dispatcher for dead.
        self._next = await self._store(batch)
        return Projection(more=True, stored=batch.moves)

    def check(self) -> HealthCheck:
        """Return whether the database takes events. Any thread may call it."""
        return self._database

    async def _read(self) -> None:
        """Read events to store."""
        now = time.monotonic()
        if now >= self._queues_at + QUEUES_EVERY_S:
            await self._broker.look_at_clock()
            self._queues = await self._broker.registry.queues()
            self._queues_at = now
        entries = max(ENTRIES_AT_LEAST, ENTRIES_AT_ONCE // max(1, len(self._queues)))
        batches = await self._events.read(self._queues, entries=entries)
        self._held += ((batch.queue, event) for batch in batches for event in batch.events)

    async def _compose(self, start: int, before: Versions) -> Batch | None:
        """Return the next batch of the held events, from this place on; None when there are no more.

        `before` are the states of jobs that are stored before it.
        """
        entries = moves = 0
        events: dict[Queue, list[Event]] = {}
        for queue, event in self._held[start:]:
            if entries and moves + len(event.jobs) > self._moves_at_once:
                break
            events.setdefault(queue, []).append(event)
            entries, moves = entries + 1, moves + len(event.jobs)
        if not entries:
            return None
        batches = [QueueEvents(queue, some) for queue, some in events.items()]
        kept = await self._kept.of(events)
        whole = {queue for queue, keeps in kept.items() if keeps == "everything"}
        told = {one.queue: self._stored.told_by(one, before) for one in batches if one.queue in whole}
        found = {one.queue: await self._feed.jobs_of(one, without=told.get(one.queue, ())) for one in batches}
        self._adapt(sum(one.size_bytes for one in found.values()))
        jobs = {queue: one.jobs for queue, one in found.items()}
        rows = rows_of(batches, jobs, {queue: one.waited_ms for queue, one in found.items()}, told)
        rows = as_kept(rows, batches, jobs, kept)
        workers = {event.worker for one in batches for event in one.events if event.worker}
        rows = replace(rows, spans=with_releases(rows.spans, await self._releases.of(workers)))
        versions = {queue: versions_of(some) for queue, some in jobs.items() if queue in whole}
        return Batch(batches, entries, moves, rows, versions)

    async def _store(self, batch: Batch) -> Batch | None:
        """Store a batch and acknowledge it. Returns: the next one, composed while the database works."""
        following: Batch | None = None

        async def compose() -> None:
            nonlocal following
            following = await self._compose(batch.entries, batch.versions)

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(compose)
                await self._asking(self._history.store(batch.rows))
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        self._show_lag()
        self._stored.add(batch.versions)
        await self._feed.acknowledge(batch.batches)
        del self._held[: batch.entries]
        return following

    async def _probe(self) -> None:
        """Probe the database every :data:`PROBE_EVERY_S`: with nothing to store, no write tells whether it answers."""
        if not self._database.ok or time.monotonic() >= self._probed_at + PROBE_EVERY_S:
            try:
                await self._asking(self._history.look())
            finally:
                self._show_lag()

    async def _asking(self, call: Awaitable[Schema]) -> None:
        """Await a write or a probe, and keep its result for readiness. Raises: HistoryError."""
        try:
            schema = await call
        except HistoryError as error:
            self._database = HealthCheck(NEED, ok=False, detail=str(error))
            self._stored.clear()
            raise
        self._database = HealthCheck(NEED, ok=True)
        self._probed_at = time.monotonic()
        if schema.newer and not self._is_newer:
            self._log.info("history is of a newer release, written as far as this one can", revision=schema.revision)
        self._is_newer = schema.newer

    def _adapt(self, size_bytes: int) -> None:
        if size_bytes > LARGE_BYTES:
            self._moves_at_once = max(FEWEST_MOVES_AT_ONCE, self._moves_at_once // 2)
        elif size_bytes < SMALL_BYTES:
            self._moves_at_once = min(MOST_MOVES_AT_ONCE, self._moves_at_once * 2)

    def _show_lag(self) -> None:
        """Show the age of the oldest held event; without one 0, or NaN while the database does not answer."""
        oldest_ms = min((event.at_ms for _, event in self._held), default=None)
        if oldest_ms is not None:
            self._metrics.show_lag(max(0.0, self._broker.clock.now_s() - oldest_ms / 1000))
        else:
            self._metrics.show_lag(0.0 if self._database.ok else math.nan)
