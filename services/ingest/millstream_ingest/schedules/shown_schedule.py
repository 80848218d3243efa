"""Makes of what is stored of a schedule what the API shows."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from millstream_contracts import (
    UNDECODABLE,
    JobState,
    LastOccasion,
    Schedule,
    ScheduleCounts,
    ScheduledJob,
    ScheduleRules,
    ScheduleState,
    Submission,
    moment,
)
from millstream_schedules import Occasion, ScheduleError, Timing, timing_of
from millstream_streams import StoredSchedule

TICK = timedelta(microseconds=1)

_decode_rules = msgspec.msgpack.Decoder(ScheduleRules).decode
_decode_job = msgspec.msgpack.Decoder(Submission).decode
_decode = msgspec.msgpack.Decoder().decode


class ReadSchedule(Struct, frozen=True):
    """A schedule that can be read."""

    stored: StoredSchedule
    rules: ScheduleRules
    timing: Timing
    submission: Submission

    def following(self, count: int) -> list[Occasion]:
        """Return the next occasions; none of one that is paused or done."""
        stored = self.stored
        if stored.state != ScheduleState.ACTIVE or not stored.next_ms:
            return []
        return self.timing.following(moment(stored.next_ms) - TICK, count)


def read_stored(stored: StoredSchedule) -> ReadSchedule | None:
    """Return a schedule; None for one that this release cannot read."""
    try:
        rules = _decode_rules(stored.rules)
        return ReadSchedule(stored, rules, timing_of(rules, stored.name), _decode_job(stored.job))
    except (ScheduleError, *UNDECODABLE):
        return None


def shown(read: ReadSchedule, states: Mapping[str, JobState], count: int) -> Schedule:
    """Return a schedule with its next `count` occasions. `states` are those of jobs, by their ids."""
    stored = read.stored
    return Schedule(
        **asdict(read.rules),
        name=stored.name,
        state=ScheduleState(stored.state),
        reason=stored.reason or None,
        paused_at=_moment(stored.paused_ms),
        owner="code" if stored.owner == "code" else "api",
        app=stored.app or None,
        release=stored.release or None,
        version=stored.version,
        created_at=moment(stored.created_ms),
        updated_at=moment(stored.updated_ms),
        description=stored.description,
        job=_job(read.submission),
        next=[one.fires_at for one in read.following(count)],
        last=_last(stored, states),
        waiting=_moment(stored.waiting_ms),
        counts=ScheduleCounts(fired=stored.fired, skipped=stored.skipped, missed=stored.missed, failed=stored.failed),
        error=stored.error or None,
    )


def _job(submission: Submission) -> ScheduledJob:
    fields = {name: getattr(submission, name) for name in ScheduledJob.__struct_fields__ if name != "payload"}
    payload = bytes(submission.payload)
    return ScheduledJob(payload=_decode(payload) if payload else None, **fields)


def _last(stored: StoredSchedule, states: Mapping[str, JobState]) -> LastOccasion | None:
    if not stored.jobs:
        return None
    job_id = stored.jobs[-1]
    return LastOccasion(nominal=moment(stored.last_fired_ms), job=job_id, state=states.get(job_id))


def _moment(ms: int) -> datetime | None:
    return moment(ms) if ms else None
