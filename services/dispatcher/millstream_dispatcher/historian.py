"""Projects what happens to jobs into the history database. Run by every dispatcher; each event goes to one of them.

An event is acknowledged once it is stored. So whatever fails, it is stored at least once, and storing it again changes
nothing.
"""

import math
import time
from collections.abc import Awaitable, Sequence

import anyio
import structlog
from msgspec import Struct

from millstream_contracts import Event, Queue, QueueEvents
from millstream_history import History, HistoryError, Rows, Schema, rows_of
from millstream_runtime import DutyResult, HealthCheck
from millstream_streams import Broker, EventFeed
from millstream_telemetry import HistoryMetrics

GROUP = "history"
NEED = "history"
"""The database, among what readiness lists."""
ENTRIES_AT_ONCE = 400
"""Read at once, of all queues together, but no fewer than :data:`ENTRIES_AT_LEAST` of each."""
ENTRIES_AT_LEAST = 4
MOST_MOVES_AT_ONCE = 4_000
"""Stored in one transaction: by then its own cost is nothing beside that of the rows."""
FEWEST_MOVES_AT_ONCE = 100
LARGE_BYTES, SMALL_BYTES = 16 << 20, 4 << 20
"""What is held in memory at once: payloads may be large, so a transaction grows only while what it holds is small."""
QUEUES_EVERY_S = 1.0
TAKE_OVER_EVERY_S = 30.0
LOOK_EVERY_S = 15.0
"""How often the database is looked at while there is nothing to store: it is said to be well by what it answers."""
ABANDONED_S = 60.0
"""After how long others store what a dispatcher has read and not acknowledged."""


class Projection(DutyResult, frozen=True):
    """What one pass did."""

    stored: int = 0


class Chapter(Struct, frozen=True):
    """Events that are stored together, and what with them."""

    batches: list[QueueEvents]
    entries: int
    moves: int
    rows: Rows


class Historian:
    """A duty."""

    name = "historian"
    interval_s = 1.0

    def __init__(self, feed: EventFeed, broker: Broker, history: History, metrics: HistoryMetrics) -> None:
        self._feed = feed
        self._broker = broker
        self._history = history
        self._metrics = metrics
        self._queues: list[Queue] = []
        self._queues_at = self._taken_at = self._looked_at = float("-inf")
        self._database = HealthCheck(NEED, ok=False, detail="not asked yet")
        """Whether it has taken what it was last given, be it nothing."""
        self._is_newer = False
        self._log = structlog.get_logger().bind(duty=self.name)
        self._held: list[tuple[Queue, Event]] = []
        """Read and not acknowledged yet."""
        self._next: Chapter | None = None
        """The oldest of them, when it has been composed."""
        self._moves_at_once = FEWEST_MOVES_AT_ONCE

    async def run_once(self) -> Projection:
        """Store some of what has happened; wait a while when nothing has. Returns: to come back at once."""
        if not self._held:
            await self._read()
        self._show_lag()
        chapter, self._next = self._next or await self._compose(0), None
        if chapter is None:
            await self._look()
            return Projection(more=True)
        # One chapter a pass: a database that is slow is no reason to take this dispatcher for dead.
        self._next = await self._store(chapter)
        return Projection(more=True, stored=chapter.moves)

    def check(self) -> HealthCheck:
        """Return whether the database takes what happens. Any thread may call it."""
        return self._database

    async def _read(self) -> None:
        """Hold what there is to store."""
        now = time.monotonic()
        if now >= self._queues_at + QUEUES_EVERY_S:
            await self._broker.look_at_clock()
            self._queues = await self._broker.registry.queues()
            self._queues_at = now
        if now >= self._taken_at + TAKE_OVER_EVERY_S:
            self._hold(await self._feed.take_over(self._queues, idle_ms=round(ABANDONED_S * 1000)))
            self._taken_at = now
        if not self._held:
            entries = max(ENTRIES_AT_LEAST, ENTRIES_AT_ONCE // max(1, len(self._queues)))
            self._hold(await self._feed.read(self._queues, entries=entries))

    def _hold(self, batches: Sequence[QueueEvents]) -> None:
        self._held += ((batch.queue, event) for batch in batches for event in batch.events)

    async def _compose(self, start: int) -> Chapter | None:
        """Return what to store next of what is held, from this place on; None when that is all."""
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
        found = [await self._feed.jobs_of(batch) for batch in batches]
        self._adapt(sum(one.size_bytes for one in found))
        rows = rows_of(batches, {batch.queue: one.jobs for batch, one in zip(batches, found, strict=True)})
        return Chapter(batches, entries, moves, rows)

    async def _store(self, chapter: Chapter) -> Chapter | None:
        """Store a chapter and acknowledge it. Returns: the next one, for it is composed while the database works."""
        following: Chapter | None = None

        async def compose() -> None:
            nonlocal following
            following = await self._compose(chapter.entries)

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(compose)
                await self._asking(self._history.store(chapter.rows))
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        self._show_lag()
        await self._feed.acknowledge(chapter.batches)
        del self._held[: chapter.entries]
        return following

    async def _look(self) -> None:
        """Look at the database now and then: with nothing to store, nothing else would tell that it is well."""
        if not self._database.ok or time.monotonic() >= self._looked_at + LOOK_EVERY_S:
            try:
                await self._asking(self._history.look())
            finally:
                self._show_lag()

    async def _asking(self, call: Awaitable[Schema]) -> None:
        """Note whether the database took what it was given. Raises: HistoryError, when it did not."""
        try:
            schema = await call
        except HistoryError as error:
            self._database = HealthCheck(NEED, ok=False, detail=str(error))
            raise
        self._database = HealthCheck(NEED, ok=True)
        self._looked_at = time.monotonic()
        if schema.newer and not self._is_newer:
            self._log.info("history is of a newer release, written as far as this one can", revision=schema.revision)
        self._is_newer = schema.newer

    def _adapt(self, size_bytes: int) -> None:
        if size_bytes > LARGE_BYTES:
            self._moves_at_once = max(FEWEST_MOVES_AT_ONCE, self._moves_at_once // 2)
        elif size_bytes < SMALL_BYTES:
            self._moves_at_once = min(MOST_MOVES_AT_ONCE, self._moves_at_once * 2)

    def _show_lag(self) -> None:
        """Show how far the history is behind: not at all when nothing waits and the database is well, else unknown."""
        oldest_ms = min((event.at_ms for _, event in self._held), default=None)
        if oldest_ms is not None:
            self._metrics.show_lag(max(0.0, self._broker.clock.now_s() - oldest_ms / 1000))
        else:
            self._metrics.show_lag(0.0 if self._database.ok else math.nan)
