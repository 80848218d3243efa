"""Reads jobs into the history again, and ends those of which Redis and the events know nothing any more."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec.structs import replace
from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from millstream_contracts import Job, JobId, JobState, Keeps, Queue, made_at
from millstream_history.connection.database import transaction
from millstream_history.erasure.erasures import without_erased
from millstream_history.projection.columns import TRANSITION_ROWS, Transition
from millstream_history.projection.keeping import as_kept, kept_jobs
from millstream_history.projection.loading import JOB_LOADER, Loader
from millstream_history.projection.rows import rows_of
from millstream_history.tables import TRANSITIONS

RESYNCED = "resynced"
"""The kind of a transition of which only the state that it led to is known; the true one replaces it when it comes."""
UNKNOWN = "unknown"
UNKNOWN_REASON = "its end was not recorded"
UNSETTLED_AT_ONCE = 500

_SETTLED = tuple(state.value for state in JobState if state.is_settled)
_RESYNC_LOADER = Loader(TRANSITIONS, TRANSITION_ROWS.names, staging="resynced_transitions", on_conflict="DO NOTHING")
_FIND_UNSETTLED = text(
    "SELECT id, created_at FROM jobs WHERE tenant = :tenant AND type = :type AND partition = :partition "
    "AND created_at >= :begin AND created_at < :end AND (created_at, id) > (:after_at, :after_id) "
    "AND outcome IS NULL AND state NOT IN :settled ORDER BY created_at, id LIMIT :most"
).bindparams(bindparam("settled", expanding=True))
_END = text(
    "UPDATE jobs SET outcome = :outcome, reason = :reason WHERE tenant = :tenant AND id = :id "
    "AND created_at = :created_at AND outcome IS NULL AND state NOT IN :settled"
).bindparams(bindparam("settled", expanding=True))
_EMPTY = text("TRUNCATE jobs, transitions, stats_minutes, stats_hours, worker_spans, event_gaps")
_VERSIONS = text(
    "SELECT id, version FROM jobs WHERE tenant = :tenant AND id IN :ids AND created_at BETWEEN :first AND :last"
).bindparams(bindparam("ids", expanding=True))


class Repairer:
    """Repairs single jobs. Every method may raise HistoryError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def resync(
        self,
        queue: Queue,
        jobs: Mapping[JobId, Job],
        waited_ms: Mapping[JobId, int],
        at: datetime,
        *,
        kept: Keeps = "everything",
    ) -> None:
        """Store jobs as they are now, each with the transition that led to it if that is missing.

        `kept` says what is stored of the jobs of this queue.
        """
        jobs = kept_jobs(jobs, kept)
        steps = sorted(TRANSITION_ROWS.row(_resynced(queue, job, at)) for job in jobs.values())
        rows = as_kept(rows_of([], {queue: jobs}, {queue: waited_ms}), [], {queue: jobs}, {queue: kept})
        found = replace(rows, transitions=steps)
        async with transaction(self._engine) as connection:
            rows = await without_erased(connection, found)
            await JOB_LOADER.load(connection, rows.jobs)
            await _RESYNC_LOADER.load(connection, rows.transitions)

    async def empty(self) -> None:
        """Delete everything that was stored of jobs. It needs the rights of the owner of the tables."""
        async with transaction(self._engine) as connection:
            await connection.execute(_EMPTY)

    async def behind(self, queue: Queue, jobs: Mapping[JobId, Job]) -> list[JobId]:
        """Return those of these jobs that the history lacks, or knows in an older version."""
        if not jobs:
            return []
        times = [made_at(job_id) for job_id in jobs]
        asked = {"tenant": queue.tenant, "ids": list(jobs), "first": min(times), "last": max(times)}
        async with transaction(self._engine) as connection:
            versions = {row.id: row.version for row in await connection.execute(_VERSIONS, asked)}
        return [job_id for job_id, job in jobs.items() if versions.get(job_id, 0) < job.version]

    async def unsettled(
        self, queue: Queue, *, begin: datetime, end: datetime, after: JobId | None = None
    ) -> list[JobId]:
        """Return jobs of this time that have not ended as far as the history knows, oldest first.

        UNSETTLED_AT_ONCE at most; `after` is the last one of those that were returned before.
        """
        asked = {
            **_key(queue),
            "begin": begin,
            "end": end,
            "after_at": made_at(after) if after else begin,
            "after_id": after or "",
            "settled": _SETTLED,
            "most": UNSETTLED_AT_ONCE,
        }
        async with transaction(self._engine) as connection:
            return [JobId(row.id) for row in await connection.execute(_FIND_UNSETTLED, asked)]

    async def end_unknown(self, queue: Queue, ids: Iterable[JobId]) -> int:
        """Note that the end of these jobs was not recorded, unless it is known by now. Returns: of how many.

        A transition that comes late replaces it.
        """
        ended = 0
        async with transaction(self._engine) as connection:
            for job_id in sorted(ids):
                ended += await _end(connection, queue, job_id)
        return ended


async def _end(connection: AsyncConnection, queue: Queue, job_id: JobId) -> int:
    values = {
        "outcome": UNKNOWN,
        "reason": UNKNOWN_REASON,
        "tenant": queue.tenant,
        "id": job_id,
        "created_at": made_at(job_id),
        "settled": _SETTLED,
    }
    return (await connection.execute(_END, values)).rowcount


def _resynced(queue: Queue, job: Job, at: datetime) -> Transition:
    return Transition(
        queue.tenant,
        job.id,
        job.version,
        RESYNCED,
        job.state,
        job.finished_at or at,
        job.deliveries,
        job.worker,
        job.reason,
        job.error if job.state is JobState.DEAD else None,
        made_at(job.id),
    )


def _key(queue: Queue) -> dict[str, object]:
    return {"tenant": queue.tenant, "type": queue.type, "partition": queue.partition}
