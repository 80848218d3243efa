"""What routes ask about schedules: put, list, read, pause, resume, run, remove.

Each change is refused when another one was made since the schedule was read; then it is read and decided about again.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from millstream_contracts import (
    SCHEDULE_TAG,
    FieldError,
    JobState,
    Schedule,
    ScheduleDefinition,
    ScheduleOccasion,
    SchedulePage,
    SchedulePreview,
    ScheduleRun,
    ScheduleState,
    Tenant,
    limits,
    moment,
    ms_of,
    queue_of,
)
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.negotiation import Encoding
from millstream_ingest.http.problems import INVALID_REQUEST, SCHEDULE_NOT_FOUND, WRONG_STATE
from millstream_ingest.inspection.name_pages import page_of
from millstream_ingest.schedules.checked_definition import CheckedDefinition, checked, never_due
from millstream_ingest.schedules.preview import preview_of
from millstream_ingest.schedules.shown_schedule import ReadSchedule, read_stored, shown
from millstream_ingest.submission.idempotency import IdempotencyKey
from millstream_ingest.submission.single import Submitter
from millstream_ingest.tenants.quotas import Quotas, check_room
from millstream_schedules import Timing
from millstream_streams import Broker, IndexLine, ScheduleChange, StoredSchedule, is_backfill, schedule_of
from millstream_submission import Codec, Intake
from millstream_telemetry import TraceContext

NEXT_SHOWN = 5
"""Occasions that one schedule is shown with; in a list it is shown with the next one."""

TRIES = 5
"""How often a change is decided about that others overtake."""

_encode = msgspec.msgpack.Encoder().encode


class ScheduleDesk:
    """The schedules of all tenants. Every method may raise StoreError."""

    def __init__(self, broker: Broker, intake: Intake, submitter: Submitter, quotas: Quotas) -> None:
        self._quotas = quotas
        self._broker = broker
        self._intake = intake
        self._submitter = submitter

    async def check(self, tenant: Tenant, name: str, definition: ScheduleDefinition, codec: Codec) -> CheckedDefinition:
        """Return a definition that keeps its rules, with a job that may be submitted.

        Raises: IngestError (422), SubmissionError.
        """
        job = await self._intake.decode(tenant, definition.job, codec, "/job")
        asked = checked(name, definition, job)
        await self._intake.admit(tenant, job, "/job")
        return asked

    async def put(self, tenant: Tenant, name: str, asked: CheckedDefinition) -> tuple[Schedule, bool]:
        """Store a schedule. Returns: it, and whether it is new. Raises: IngestError (409, 422)."""
        now = moment(self._broker.clock.now_ms())
        for _ in range(TRIES):
            held = (await self._broker.schedules.read(tenant, [name])).get(name)
            if held is None:
                await self._make_room(tenant, name)
            change = put_change(name, asked, held, now)
            if change is None or await self._changed(tenant, change):
                return await self.find(tenant, name), held is None
        raise _overtaken()

    async def preview(self, tenant: Tenant, name: str, asked: CheckedDefinition, count: int) -> SchedulePreview:
        """Return what `put` would make, and store nothing. Raises: IngestError (409, 422)."""
        held = (await self._broker.schedules.read(tenant, [name])).get(name)
        if held is None:
            await self._check_room(tenant)
        now = moment(self._broker.clock.now_ms())
        return preview_of(name, asked, held, put_change(name, asked, held, now), now, count)

    async def page(
        self,
        tenant: Tenant,
        wanted: Callable[[IndexLine], bool],
        *,
        prefix: str,
        cursor: str | None,
        limit: int,
    ) -> SchedulePage:
        """Return a page of schedules by name. Raises: CursorError."""
        index = await self._broker.schedules.index(tenant)
        names = [
            name for name, line in index.items() if name.startswith(prefix) and not is_backfill(name) and wanted(line)
        ]
        page, next_cursor = page_of(names, str, cursor, limit)
        stored = await self._broker.schedules.read(tenant, page)
        return SchedulePage(items=await self._shown(tenant, stored.values(), 1), next_cursor=next_cursor)

    async def find(self, tenant: Tenant, name: str) -> Schedule:
        """Return a schedule. Raises: IngestError (404)."""
        [found] = await self._shown(tenant, [(await self.read(tenant, name)).stored], NEXT_SHOWN)
        return found

    async def read(self, tenant: Tenant, name: str) -> ReadSchedule:
        """Return what is stored of a schedule. Raises: IngestError (404)."""
        stored = (await self._broker.schedules.read(tenant, [name])).get(name) if not is_backfill(name) else None
        read = read_stored(stored) if stored else None
        if read is None:
            raise IngestError(SCHEDULE_NOT_FOUND, f"there is no schedule `{name}`")
        return read

    async def remove(self, tenant: Tenant, name: str) -> Schedule:
        """Remove a schedule with its backfills, and return it as it was. Raises: IngestError (404)."""
        found = await self.find(tenant, name)
        for one in await self._broker.schedules.index(tenant):
            if is_backfill(one) and schedule_of(one) == name:
                await self._broker.schedules.remove(tenant, one)
        await self._broker.schedules.remove(tenant, name)
        return found

    async def pause(self, tenant: Tenant, name: str) -> Schedule:
        """Pause a schedule: it has no occasions from now on. Raises: IngestError (404, 409)."""
        return await self._steer(tenant, name, paused_change)

    async def resume(self, tenant: Tenant, name: str) -> Schedule:
        """Let a schedule go on: its occasions from now on. Raises: IngestError (404, 409)."""
        return await self._steer(tenant, name, resumed_change)

    async def following(self, tenant: Tenant, name: str, count: int) -> list[ScheduleOccasion]:
        """Return the next occasions of a schedule, as if it was not paused. Raises: IngestError (404)."""
        read = await self.read(tenant, name)
        now = moment(self._broker.clock.now_ms())
        found = read.following(count) or read.timing.following(now, count)
        return [ScheduleOccasion(nominal=one.nominal, fires_at=one.fires_at) for one in found]

    async def run(
        self, tenant: Tenant, name: str, *, caller: TraceContext, key: IdempotencyKey | None, owner: str = ""
    ) -> tuple[ScheduleRun, bool]:
        """Submit the job of a schedule now. Returns: its id, and whether an earlier request with the key made it.

        `owner` is who asks for it, and not who has made the schedule.
        Raises: IngestError (404, 410, 422), SubmissionError, BacklogFullError.
        """
        submission = (await self.read(tenant, name)).submission
        content = _encode(replace(submission, tags={**(submission.tags or {}), SCHEDULE_TAG: name}))
        accepted = await self._submitter.submit(tenant, content, Encoding.MSGPACK, caller=caller, key=key, owner=owner)
        return ScheduleRun(schedule=name, job=accepted.job.id), accepted.replayed

    async def _steer(
        self, tenant: Tenant, name: str, change_of: Callable[[ReadSchedule, datetime], ScheduleChange | None]
    ) -> Schedule:
        now = moment(self._broker.clock.now_ms())
        for _ in range(TRIES):
            change = change_of(await self.read(tenant, name), now)
            if change is None or await self._changed(tenant, change):
                return await self.find(tenant, name)
        raise _overtaken()

    async def _changed(self, tenant: Tenant, change: ScheduleChange) -> bool:
        [is_made] = await self._broker.schedules.change(tenant, [change])
        return is_made

    async def _make_room(self, tenant: Tenant, name: str) -> None:
        await self._check_room(tenant)
        await self._broker.schedules.make_known(tenant, name)

    async def _check_room(self, tenant: Tenant) -> None:
        held = await self._broker.schedules.count(tenant)
        check_room(self._quotas.of(tenant).schedules, held, "schedules")
        if held >= limits.MAX_SCHEDULES:
            detail = f"there are as many schedules as there may be: {limits.MAX_SCHEDULES:,}"
            raise IngestError(INVALID_REQUEST, detail, [FieldError("", detail)])

    async def _shown(self, tenant: Tenant, stored: Iterable[StoredSchedule], count: int) -> list[Schedule]:
        read = [one for each in stored if (one := read_stored(each))]
        states = await self._states(tenant, [job_id for one in read for job_id in one.stored.jobs[-1:]])
        return [shown(one, states, count) for one in read]

    async def _states(self, tenant: Tenant, ids: Sequence[str]) -> dict[str, JobState]:
        asked = [(queue, job_id) for job_id in ids if (queue := queue_of(tenant, job_id))]
        jobs = await self._broker.views.jobs_anywhere(asked) if asked else []  # type: ignore[arg-type]
        return {job.id: job.state for job in jobs if job}


def put_change(
    name: str, asked: CheckedDefinition, held: StoredSchedule | None, now: datetime
) -> ScheduleChange | None:
    """Return the change that puts a schedule; None when it is there as it is asked for.

    With the same rules the next occasion stays, so that one that is due now is not lost. Raises: IngestError (422).
    """
    definition = asked.definition
    keeps_rules = held is not None and held.rules == asked.rules
    state = _state_after(held, definition.paused, keeps_rules=keeps_rules)
    fields: dict[str, str | bytes] = {
        "rules": asked.rules,
        "job": asked.submission,
        "type": asked.job.submission.type,
        "description": definition.description,
        "owner": "api",
        "app": "",
        "release": "",
        "started_ms": "0",
    }
    if held and held.state == state and _has(held, fields):
        return None
    now_ms = ms_of(now)
    if held is None:
        fields["created_ms"] = str(now_ms)
    if state == ScheduleState.ACTIVE and not (keeps_rules and held and held.state == state):
        fields |= _next_fields(asked.timing, held, now)
        if fields["next_ms"] == "0":
            raise never_due(definition)
    return _change(name, held, state, fields, now_ms)


def paused_change(read: ReadSchedule, now: datetime) -> ScheduleChange | None:
    """Return the change that pauses a schedule; None when it is paused. Raises: IngestError (409)."""
    stored = read.stored
    if stored.state == ScheduleState.PAUSED:
        return None
    if stored.state == ScheduleState.DONE:
        raise _done()
    return _change(stored.name, stored, ScheduleState.PAUSED, {}, ms_of(now))


def resumed_change(read: ReadSchedule, now: datetime) -> ScheduleChange | None:
    """Return the change that lets a schedule go on; None when it is active. Raises: IngestError (409)."""
    stored = read.stored
    if stored.state == ScheduleState.ACTIVE:
        return None
    fields = _next_fields(read.timing, stored, now)
    if stored.state == ScheduleState.DONE or fields["next_ms"] == "0":
        raise _done()
    return _change(stored.name, stored, ScheduleState.ACTIVE, fields, ms_of(now))


def _change(
    name: str, held: StoredSchedule | None, state: str, fields: dict[str, str | bytes], now_ms: int
) -> ScheduleChange:
    """Return a change that a client has asked for, which makes a new version."""
    is_paused = state == ScheduleState.PAUSED
    written: dict[str, str | bytes] = {
        "error": "",
        **fields,
        "state": state,
        "version": str(held.version + 1 if held else 1),
        "updated_ms": str(now_ms),
        "reason": "over the API" if is_paused else "",
        "paused_ms": str(now_ms) if is_paused else "0",
    }
    if is_paused and held and held.waiting_ms:
        written |= {"waiting_ms": "0", "skipped": str(held.skipped + 1)}
    fires_ms = int(written["fires_ms"]) if "fires_ms" in written else held.fires_ms if held else 0
    # One of which an occasion waits for the end of a job is looked at before its next occasion.
    is_waiting = held is not None and held.waiting_ms
    tick_ms = (0 if is_waiting else fires_ms) if state == ScheduleState.ACTIVE else None
    if state == ScheduleState.DONE:
        tick_ms = now_ms + limits.DONE_SCHEDULE_TTL_S * 1000
    job_type = fields.get("type", held.type if held else "")
    owner = fields.get("owner", held.owner if held else "api")
    line = IndexLine(state, str(owner), str(job_type)).text()
    turn = held.turn if held else ""
    return ScheduleChange(name=name, turn=turn, tick_ms=tick_ms, line=line, fields=written)


def _state_after(held: StoredSchedule | None, paused: object, *, keeps_rules: bool) -> str:
    if paused is True:
        return ScheduleState.PAUSED
    if held and held.state == ScheduleState.DONE and keeps_rules:
        return ScheduleState.DONE
    if held and held.state == ScheduleState.PAUSED and paused is not False:
        return ScheduleState.PAUSED
    return ScheduleState.ACTIVE


def _next_fields(timing: Timing, held: StoredSchedule | None, now: datetime) -> dict[str, str | bytes]:
    """Return the next occasion: after now, and after the last one that was decided on, which must not come again."""
    found = timing.next_after(max(now, moment(held.last_ms)) if held else now)
    return {
        "next_ms": str(ms_of(found.nominal)) if found else "0",
        "fires_ms": str(ms_of(found.fires_at)) if found else "0",
    }


def _has(held: StoredSchedule, fields: dict[str, str | bytes]) -> bool:
    return all(getattr(held, name) == (int(value) if name.endswith("_ms") else value) for name, value in fields.items())


def _done() -> IngestError:
    return IngestError(WRONG_STATE, "the schedule is done: it has no further occasion")


def _overtaken() -> IngestError:
    return IngestError(WRONG_STATE, "the schedule was changed by others at the same time: repeat the request")
