"""Decides about due occasions. Run by every dispatcher; of two that decide about the same one, one is heard.

It sleeps until the next occasion, and is woken by a hint when an earlier one arrives.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache

import msgspec
import structlog

from millstream_contracts import UNDECODABLE, JobId, JobType, Queue, ScheduleRules, Tenant, moment, ms_of, queue_of
from millstream_dispatcher.schedules.backfill_decider import decide_backfill
from millstream_dispatcher.schedules.decision import Decision, postponed
from millstream_dispatcher.schedules.occasion_decider import Due, decide
from millstream_dispatcher.tenants.tenant_book import TenantBook
from millstream_runtime import DutyResult, Wake
from millstream_schedules import ScheduleError, Timing, timing_of
from millstream_streams import Broker, DueSchedule, StoredSchedule, for_each_queue, is_backfill, schedule_of
from millstream_submission import KnownTypes, Placing, SubmissionError, SystemSubmitter, TypeCatalogue
from millstream_telemetry import ScheduleMetrics

LIMIT = 100
"""Names that are taken at a time."""

CLOCK_TOLERANCE_S = 60.0
"""By how much the clock of Redis may be before that of the dispatcher: what it says beyond that is not believed."""

_RUNNING = ("active", "running")
"""The states of a schedule and of a backfill that go on."""

_ENDED = ("done", "cancelled")

_decode_rules = msgspec.msgpack.Decoder(ScheduleRules).decode


class Scheduled(DutyResult, frozen=True):
    """The result of one pass."""

    started: int = 0


class Scheduler:
    """A duty. `starts` is woken when a job was decided on."""

    name = "scheduler"

    def __init__(
        self,
        broker: Broker,
        catalogue: TypeCatalogue,
        submitter: SystemSubmitter,
        metrics: ScheduleMetrics,
        *,
        interval_s: float,
        starts: Wake,
        tenants: TenantBook,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.interval_s = interval_s
        self.wake = Wake()
        self._broker = broker
        self._catalogue = catalogue
        self._submitter = submitter
        self._metrics = metrics
        self._starts = starts
        self._tenants = tenants
        self._wall = wall
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> Scheduled:
        """Decide about what is due in every shard. Returns: when to come back."""
        started, waits_ms, is_full = 0, list[int](), False

        async def look(shard: Queue) -> None:
            nonlocal started, is_full
            due = await self._broker.schedules.lease_due(shard, LIMIT)
            is_full = is_full or len(due.found) >= LIMIT
            waits_ms.extend([] if due.next_in_ms is None else [due.next_in_ms])
            if due.found:
                decided = await self._decide(shard.tenant, due.found, self._trusted(due.now_ms))
                started += sum(len(one.started) for one in decided)
                ticks = (change.tick_ms for one in decided for change in one.changes[-1:])
                waits_ms.extend(max(0, tick - due.now_ms) for tick in ticks if tick is not None)

        # What falls due while a tenant is suspended is decided on when it goes on, by the rules for late occasions.
        inactive = await self._tenants.inactive()
        shards = await self._broker.schedules.shards()
        await for_each_queue((shard for shard in shards if shard.tenant not in inactive), look)
        if started:
            self._starts.set()
        return Scheduled(more=is_full, next_in_s=min(waits_ms) / 1000 if waits_ms else None, started=started)

    def _trusted(self, now_ms: int) -> datetime:
        """Return the time of Redis, or what the own clock allows of it: a step of one clock fires nothing early."""
        return min(moment(now_ms), moment(round((self._wall() + CLOCK_TOLERANCE_S) * 1000)))

    async def _decide(self, tenant: Tenant, found: Sequence[DueSchedule], now: datetime) -> list[Decision]:
        """Decide about names that are due, and make the changes. Returns: the decisions that were heard."""
        under_way = await self._under_way(tenant, found)
        known = await self._catalogue.of(tenant)
        pairs = []
        for one in found:
            if one.stored is None:
                self._log.warning("schedule cannot be read", schedule=one.name)
                continue
            if one.stored.state in _ENDED:
                # Its time is over: one that has ended has no other.
                await self._broker.schedules.remove(tenant, one.name, one.stored.turn)
            if one.stored.state not in _RUNNING:
                continue
            placing = await self._placing(tenant, one.stored, known)
            pairs.append((one.stored, self._decision(tenant, one.stored, under_way, now, placing)))
        return await self._carry_out(tenant, pairs, now)

    async def _placing(self, tenant: Tenant, stored: StoredSchedule, known: KnownTypes) -> Placing:
        """Return where the jobs of a schedule lie. All jobs of a key are in one partition, whatever submits them."""
        registered = known.get(JobType(stored.type))
        partitions = registered.registration.policy.partitions if registered else 1
        if partitions == 1:
            return Placing()
        read = (await self._broker.schedules.read(tenant, [stored.name])).get(stored.name)
        try:
            chosen = await self._submitter.partition_of(tenant, read.job) if read else None
        except (SubmissionError, *UNDECODABLE):
            chosen = None  # the starter refuses it, and says why
        return Placing(partitions, chosen)

    def _decision(
        self, tenant: Tenant, stored: StoredSchedule, under_way: frozenset[JobId], now: datetime, placing: Placing
    ) -> Decision:
        """Return the decision about a name."""
        now_ms = ms_of(now)
        try:
            rules, timing = read_rules(stored.rules, schedule_of(stored.name))
        except (ScheduleError, *UNDECODABLE) as error:
            self._log.warning("schedule cannot be carried out", schedule=stored.name, reason=str(error))
            return postponed(stored, now_ms, str(error))
        if is_backfill(stored.name):
            jobs = [job_id for job_id in stored.jobs if job_id in under_way]
            return decide_backfill(tenant, stored, timing, jobs, now, placing)
        is_under_way = any(job_id in under_way for job_id in stored.jobs)
        return decide(Due(tenant, stored, rules, timing, now, is_under_way, placing))

    async def _under_way(self, tenant: Tenant, found: Iterable[DueSchedule]) -> frozenset[JobId]:
        """Return those jobs of due names that have not ended: decided on and not stored yet, or not settled."""
        unstored = {JobId(job_id) for one in found for job_id in one.unstored}
        asked = [
            (queue, job_id)
            for one in found
            if one.stored
            for job_id in one.stored.jobs
            if job_id not in unstored and (queue := queue_of(tenant, job_id))
        ]
        jobs = await self._broker.views.jobs_anywhere(asked) if asked else []
        return frozenset(unstored | {job.id for job in jobs if job and not job.state.is_settled})

    async def _carry_out(
        self, tenant: Tenant, pairs: Sequence[tuple[StoredSchedule, Decision]], now: datetime
    ) -> list[Decision]:
        changes = [change for _, decision in pairs for change in decision.changes]
        made = iter(await self._broker.schedules.change(tenant, changes) if changes else [])
        heard = [pair for pair in pairs if pair[1].changes and {next(made) for _ in pair[1].changes} == {True}]
        for stored, decision in heard:
            self._note(stored, decision, now)
            if decision.cancel and (queue := queue_of(tenant, decision.cancel)):
                await self._broker.store.cancel(queue, [decision.cancel])
        return [decision for _, decision in heard]

    def _note(self, stored: StoredSchedule, decision: Decision, now: datetime) -> None:
        if not is_backfill(stored.name):
            offset_ms = stored.fires_ms - stored.next_ms if stored.next_ms else 0
            for nominal_ms in decision.started:
                late_s = now.timestamp() - (nominal_ms + offset_ms) / 1000
                self._metrics.observe_lateness(max(0.0, late_s))
        self._metrics.count("fired", len(decision.started))
        self._metrics.count("skipped", decision.skipped)
        self._metrics.count("missed", decision.missed)
        if decision.skipped or decision.missed:
            self._log.info("occasions dropped", schedule=stored.name, skipped=decision.skipped, missed=decision.missed)


# To read an expression takes as long as to follow it.
@lru_cache(maxsize=16_384)
def read_rules(rules: bytes, name: str) -> tuple[ScheduleRules, Timing]:
    """Return the rules of a schedule, and its times. Raises: ScheduleError, UNDECODABLE."""
    read = _decode_rules(rules)
    return read, timing_of(read, name)
