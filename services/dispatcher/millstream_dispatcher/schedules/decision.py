"""What a dispatcher decides about one due name, and what both kinds of decisions have in common."""

import hashlib
from collections.abc import Mapping

from msgspec import Struct

from millstream_contracts import JobId, JobType, Queue, Tenant, derived_job_id, limits
from millstream_streams import IndexLine, ScheduleChange, StoredSchedule
from millstream_submission import Placing

LOOK_AGAIN_MS = 1_000
"""How soon a schedule is looked at again of which an occasion waits for the end of a job, and a running backfill."""

ERROR_AGAIN_MS = 60_000
"""How soon a schedule is looked at again that cannot be carried out."""

MAX_STARTS = 50
"""Due occasions for which one decision starts jobs at most. The rest is due at once."""


class Decision(Struct, frozen=True):
    """What is to be changed, and what it means."""

    changes: list[ScheduleChange]
    started: tuple[int, ...] = ()
    """The nominal times of the occasions that start a job, Unix ms."""
    skipped: int = 0
    missed: int = 0
    cancel: JobId | None = None
    """A running job that is to be cancelled."""


NOTHING = Decision([])


def job_id_of(tenant: Tenant, stored: StoredSchedule, nominal_ms: int, at_ms: int, placing: Placing) -> JobId:
    """Return the id of the job of an occasion, the same from every dispatcher that has read the same turn."""
    words = (tenant, stored.name, str(stored.created_ms), str(nominal_ms))
    digest = hashlib.blake2b("\0".join(words).encode(), digest_size=16).digest()
    partition = placing.partition_by(int.from_bytes(digest[12:]))
    return derived_job_id(Queue(tenant, JobType(stored.type), partition), at_ms, digest)


def change_of(
    stored: StoredSchedule,
    turn: str,
    fields: Mapping[str, object],
    tick_ms: int | None,
    *,
    state: str,
    job_id: str = "",
    nominal_ms: int = 0,
) -> ScheduleChange:
    """Return a change of a schedule or a backfill."""
    return ScheduleChange(
        name=stored.name,
        turn=turn,
        tick_ms=tick_ms,
        line=IndexLine(state, stored.owner, stored.type).text(),
        fields={name: str(value) for name, value in {**fields, "state": state}.items()},
        job_id=job_id,
        nominal_ms=nominal_ms,
    )


def done_until_ms(now_ms: int) -> int:
    """Return when a schedule or a backfill that is done is forgotten."""
    return now_ms + limits.DONE_SCHEDULE_TTL_S * 1000


def postponed(stored: StoredSchedule, now_ms: int, error: str) -> Decision:
    """Return the decision about one that cannot be carried out: it shows why, and is looked at again."""
    return Decision([change_of(stored, stored.turn, {"error": error}, now_ms + ERROR_AGAIN_MS, state=stored.state)])
