"""What routes ask about backfills: the occasions of a range of time, run again."""

import hashlib
import secrets
from datetime import datetime, timedelta

from millstream_contracts import (
    Backfill,
    BackfillPage,
    BackfillRequest,
    BackfillState,
    FieldError,
    Tenant,
    limits,
    moment,
    ms_of,
)
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import INVALID_REQUEST, SCHEDULE_NOT_FOUND, WRONG_STATE
from millstream_ingest.schedules.shown_schedule import ReadSchedule
from millstream_ingest.submission.idempotency import IdempotencyKey
from millstream_schedules import END_OF_TIME, EPOCH, Occasion
from millstream_streams import (
    Broker,
    IndexLine,
    ScheduleChange,
    StoredSchedule,
    backfill_name,
    is_backfill,
    schedule_of,
)

FIRST_SHOWN = 20
"""Occasions that a dry run names."""

TRIES = 5
"""How often a change is decided about that dispatchers overtake."""


class BackfillDesk:
    """The backfills of schedules. Every method may raise StoreError."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def add(
        self, tenant: Tenant, schedule: ReadSchedule, asked: BackfillRequest, key: IdempotencyKey | None
    ) -> Backfill:
        """Start a backfill, or say what it would do. Raises: IngestError (422)."""
        occasions = _occasions(schedule, asked)
        if asked.dry_run:
            return _planned(schedule, asked, occasions)
        name = backfill_name(schedule.stored.name, _id(key))
        now_ms = self._broker.clock.now_ms()
        change = _new(name, schedule, asked, occasions, now_ms)
        await self._broker.schedules.make_known(tenant, name)
        # One that is there was made by an earlier request with the same key.
        await self._broker.schedules.change(tenant, [change])
        return _shown(await self._found(tenant, name))

    async def list(self, tenant: Tenant, schedule: str) -> BackfillPage:
        """Return the backfills of a schedule, latest first."""
        index = await self._broker.schedules.index(tenant)
        names = [name for name in index if is_backfill(name) and schedule_of(name) == schedule]
        found = (await self._broker.schedules.read(tenant, names)).values()
        return BackfillPage(items=[_shown(one) for one in sorted(found, key=lambda one: -one.created_ms)])

    async def find(self, tenant: Tenant, schedule: str, backfill_id: str) -> Backfill:
        """Return a backfill. Raises: IngestError (404)."""
        return _shown(await self._found(tenant, backfill_name(schedule, backfill_id)))

    async def cancel(self, tenant: Tenant, schedule: str, backfill_id: str) -> Backfill:
        """End a backfill: no further job of it starts. Raises: IngestError (404, 409)."""
        name = backfill_name(schedule, backfill_id)
        for _ in range(TRIES):
            held = await self._found(tenant, name)
            if held.state != BackfillState.RUNNING:
                raise IngestError(WRONG_STATE, f"the backfill is {held.state}")
            [is_made] = await self._broker.schedules.change(tenant, [_cancelled(held, self._broker.clock.now_ms())])
            if is_made:
                return _shown(await self._found(tenant, name))
        raise IngestError(WRONG_STATE, "the backfill was changed at the same time: repeat the request")

    async def _found(self, tenant: Tenant, name: str) -> StoredSchedule:
        stored = (await self._broker.schedules.read(tenant, [name])).get(name)
        if stored is None or not stored.parallel:
            raise IngestError(SCHEDULE_NOT_FOUND, "there is no such backfill of this schedule")
        return stored


def _occasions(schedule: ReadSchedule, asked: BackfillRequest) -> list[Occasion]:
    if asked.from_ >= asked.to:
        raise IngestError(INVALID_REQUEST, errors=[FieldError("/to", "is not after `from`")])
    if asked.from_ < EPOCH:
        raise IngestError(INVALID_REQUEST, errors=[FieldError("/from", "is before 1970")])
    if asked.to > END_OF_TIME:
        raise IngestError(INVALID_REQUEST, errors=[FieldError("/to", f"is after {END_OF_TIME.year - 1}")])
    most = limits.MAX_BACKFILL_OCCASIONS
    found = schedule.timing.between(asked.from_, asked.to, most + 1)
    if len(found) > most:
        raise IngestError(INVALID_REQUEST, errors=[FieldError("/to", f"there are more than {most:,} occasions")])
    if not found and not asked.dry_run:
        raise IngestError(INVALID_REQUEST, errors=[FieldError("/from", "there is no occasion in this range")])
    return found


def _new(
    name: str, schedule: ReadSchedule, asked: BackfillRequest, occasions: list[Occasion], now_ms: int
) -> ScheduleChange:
    stored = schedule.stored
    return ScheduleChange(
        name=name,
        turn="",
        tick_ms=now_ms,
        line=IndexLine(BackfillState.RUNNING, stored.owner, stored.type).text(),
        fields={
            "state": BackfillState.RUNNING.value,
            "rules": stored.rules,
            "job": stored.job,
            "type": stored.type,
            "created_ms": str(now_ms),
            "from_ms": str(ms_of(asked.from_)),
            "to_ms": str(_ms_not_before(asked.to)),
            "parallel": str(asked.parallel),
            "occasions": str(len(occasions)),
            "next_ms": str(ms_of(occasions[0].nominal)),
        },
    )


def _cancelled(held: StoredSchedule, now_ms: int) -> ScheduleChange:
    return ScheduleChange(
        name=held.name,
        turn=held.turn,
        tick_ms=now_ms + limits.DONE_SCHEDULE_TTL_S * 1000,
        line=IndexLine(BackfillState.CANCELLED, held.owner, held.type).text(),
        fields={"state": BackfillState.CANCELLED.value, "finished_ms": str(now_ms)},
    )


def _planned(schedule: ReadSchedule, asked: BackfillRequest, occasions: list[Occasion]) -> Backfill:
    return Backfill(
        schedule=schedule.stored.name,
        state=BackfillState.PLANNED,
        from_=asked.from_,
        to=asked.to,
        parallel=asked.parallel,
        occasions=len(occasions),
        first=[one.nominal for one in occasions[:FIRST_SHOWN]],
    )


def _shown(stored: StoredSchedule) -> Backfill:
    schedule, _, backfill_id = stored.name.partition(" ")
    return Backfill(
        id=backfill_id,
        schedule=schedule,
        state=BackfillState(stored.state),
        from_=moment(stored.from_ms),
        to=moment(stored.to_ms),
        parallel=stored.parallel,
        occasions=stored.occasions,
        started=stored.fired,
        refused=stored.failed,
        running=list(stored.jobs),
        created_at=moment(stored.created_ms),
        finished_at=moment(stored.finished_ms) if stored.finished_ms else None,
    )


def _ms_not_before(end: datetime) -> int:
    """Return the first Unix ms that is not before a moment: an occasion that is before the one is before the other."""
    return -((EPOCH - end) // timedelta(milliseconds=1))


def _id(key: IdempotencyKey | None) -> str:
    """Return the id of a new backfill; the same one for the same key of the same client."""
    if key is None:
        return f"bf_{secrets.token_hex(12)}"
    text = f"{key.tenant}\0{key.text}".encode()
    return f"bf_{hashlib.blake2b(text, digest_size=12).hexdigest()}"
