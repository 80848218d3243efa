"""Looks at conditions, opens and resolves incidents, and has people told. Run by every dispatcher.

Incidents lie in Redis, so that one of the database can be told too, and any number of dispatchers share them.
"""

import math
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog
from msgspec.structs import replace

from millstream_contracts import Incident
from millstream_dispatcher.notices.conditions import (
    HISTORY_BEHIND,
    OPERATION_PAUSED,
    PARTITIONS_MISSING,
    SCHEDULE_LATE,
    WEBHOOK_DISABLED,
    Condition,
    Limits,
    history_condition,
    operation_conditions,
    partition_condition,
    queue_conditions,
    schedule_conditions,
    webhook_conditions,
)
from millstream_dispatcher.notices.notice import Kind, notice_of
from millstream_dispatcher.notices.notice_desk import NoticeDesk
from millstream_dispatcher.notices.queue_board import QueueBoard
from millstream_dispatcher.webhooks.endpoint_book import EndpointBook
from millstream_history import History, HistoryError
from millstream_runtime import DutyResult
from millstream_streams import Broker
from millstream_telemetry import NoticeMetrics

REMIND_EVERY_MS = 4 * 3_600_000
"""How long after a notice the next one of the same incident is sent."""

RESOLVED_AFTER_MS = 60_000
"""How long no dispatcher may see a condition before its incident is resolved."""

SEEN_EVERY_MS = 20_000

PARTITIONS_MISSING_FOR_S = 300.0
"""How long partitions may be missing before people are told: in a new history they are made within seconds."""


_OF_TABLES = frozenset({PARTITIONS_MISSING, WEBHOOK_DISABLED, OPERATION_PAUSED})
"""The rules about what lies in the database."""


class Watch(DutyResult, frozen=True):
    """The result of one pass."""

    open: int = 0


class HistoryView:
    """What this dispatcher sees of the history."""

    def __init__(self, lag_s: Callable[[], float], history: History, book: EndpointBook) -> None:
        self._lag_s = lag_s
        self._days = history.days
        self._operations = history.operations
        self._book = book
        self._missing_since = math.inf
        """Since when partitions are missing; in the future when they are not."""

    async def conditions(self, limits: Limits) -> tuple[list[Condition], set[str]]:
        """Return what is wrong, and the rules that could be looked at."""
        lag_s = self._lag_s()
        found = list(history_condition(0.0 if math.isnan(lag_s) else lag_s, limits))
        seen = {HISTORY_BEHIND}
        try:
            found += await self._partitions()
            found += webhook_conditions([one.webhook for one in await self._book.look()])
            found += operation_conditions(await self._operations.paused())
        except HistoryError:
            return found, seen
        return found, seen | _OF_TABLES

    async def _partitions(self) -> list[Condition]:
        found = list(partition_condition(await self._days.ahead(datetime.now(UTC).date())))
        now = time.monotonic()
        self._missing_since = min(now, self._missing_since) if found else math.inf
        return found if now - self._missing_since >= PARTITIONS_MISSING_FOR_S else []


class Watchman:
    """A duty."""

    name = "watchman"

    def __init__(
        self,
        broker: Broker,
        board: QueueBoard,
        desk: NoticeDesk,
        metrics: NoticeMetrics,
        *,
        limits: Limits,
        history: Callable[[Limits], Awaitable[tuple[list[Condition], set[str]]]] | None = None,
        interval_s: float = 10.0,
    ) -> None:
        self.interval_s = interval_s
        self._broker = broker
        self._board = board
        self._desk = desk
        self._metrics = metrics
        self._limits = limits
        self._history = history
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> Watch:
        """Compare the conditions with the open incidents. Raises: StoreUnavailableError."""
        now_ms = self._broker.clock.now_ms()
        holding, unseen = await self._look()
        stored = await self._broker.registry.incidents()
        known = {incident.id: incident for incident in stored}
        for condition in holding.values():
            if condition.id not in known:
                known[condition.id] = await self._open(condition, now_ms)
        left: list[Incident] = []
        for incident in known.values():
            went_on = await self._follow(incident, holding.get(incident.id), unseen, now_ms)
            left += [incident] if went_on else []
        await self._desk.tidy(now_ms)
        self._metrics.show_incidents(incident.rule for incident in left)
        return Watch(open=len(left))

    async def _look(self) -> tuple[dict[str, Condition], Callable[[str], bool]]:
        """Return the conditions that hold, and what tells of a rule that it could not be looked at."""
        found: list[Condition] = []
        history_rules, seen = {HISTORY_BEHIND, *_OF_TABLES}, set[str]()
        if self._board.is_fresh:
            found += queue_conditions(self._board.queues, self._board.workers, self._limits)
        found += await self._schedules()
        if self._history is not None:
            of_history, seen = await self._history(self._limits)
            found += of_history

        def is_unseen(rule: str) -> bool:
            if rule == SCHEDULE_LATE:
                return False
            if rule in history_rules:
                return self._history is not None and rule not in seen
            return not self._board.is_fresh

        return {one.id: one for one in found}, is_unseen

    async def _schedules(self) -> list[Condition]:
        """Return the schedules that are late."""
        now_ms, found = self._broker.clock.now_ms(), dict[str, int]()
        for shard in await self._broker.schedules.shards():
            late_ms = round(self._limits.schedule_late_after_s * 1000)
            found |= await self._broker.schedules.late(shard, now_ms, late_ms)
        return list(schedule_conditions(found, now_ms))

    async def _open(self, condition: Condition, now_ms: int) -> Incident:
        fresh = Incident(
            rule=condition.rule, key=condition.key, summary=condition.summary, opened_ms=now_ms, seen_ms=now_ms
        )
        if await self._broker.registry.open_incident(fresh):
            self._log.warning("incident opened", rule=fresh.rule, about=fresh.key, summary=fresh.summary)
            return fresh
        # Another dispatcher was first: the notices have the time that it wrote.
        stored = await self._broker.registry.incidents()
        return next((one for one in stored if one.id == fresh.id), fresh)

    async def _follow(
        self, incident: Incident, condition: Condition | None, is_unseen: Callable[[str], bool], now_ms: int
    ) -> bool:
        """Send what is due of an incident. Returns: whether it goes on."""
        if condition is None:
            if is_unseen(incident.rule) or now_ms - incident.seen_ms < RESOLVED_AFTER_MS:
                return True
            await self._resolve(incident, now_ms)
            return False
        current = replace(incident, summary=condition.summary)
        if not current.notices or now_ms - current.noticed_ms >= REMIND_EVERY_MS:
            kind: Kind = "reminder" if current.notices else "opened"
            await self._desk.send(notice_of(current, kind, now_ms), now_ms)
            current = replace(current, notices=current.notices + 1, noticed_ms=now_ms, seen_ms=now_ms)
        elif now_ms - current.seen_ms >= SEEN_EVERY_MS:
            current = replace(current, seen_ms=now_ms)
        else:
            return True
        await self._broker.registry.note_incident(current)
        return True

    async def _resolve(self, incident: Incident, now_ms: int) -> None:
        await self._desk.send(notice_of(incident, "resolved", now_ms), now_ms)
        if await self._broker.registry.end_incident(incident):
            self._log.info("incident resolved", rule=incident.rule, about=incident.key)
