"""Compares the history with Redis in both directions, and repairs what differs."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import anyio
from msgspec import Struct

from millstream_contracts import Job, JobId, Queue, made_at
from millstream_dispatcher.kept_parts import KeptParts
from millstream_dispatcher.unrecorded_ends import unrecorded_ends
from millstream_history import History, kept_jobs
from millstream_streams import Broker

What = Literal["missing or behind", "end not recorded"]


class Difference(Struct, frozen=True):
    """A job of which the history says something else than Redis."""

    id: JobId
    what: What


class Verification(Struct, frozen=True):
    """The result of a comparison."""

    compared: int
    """Jobs that Redis has."""
    differences: list[Difference]
    fixed: bool = False


class Verifier:
    """Compares the jobs of some queues that were made since a time. Methods may raise HistoryError and StoreError."""

    def __init__(self, broker: Broker, history: History, queues: Iterable[Queue], *, begin: datetime) -> None:
        self._broker = broker
        self._history = history
        self._queues = list(queues)
        self._begin = begin
        self._kept = KeptParts(broker.registry)

    async def verify(self, *, grace_s: float, fix: bool = False) -> Verification:
        """Return what differs, and still does after `grace_s`: what is only not stored yet is no difference."""
        compared, behind = await self._behind()
        unrecorded = await self._unrecorded()
        if any(behind.values()) or any(unrecorded.values()):
            await anyio.sleep(grace_s)
            behind = {queue: await self._still_behind(queue, ids) for queue, ids in behind.items()}
            again = await self._unrecorded()
            unrecorded = {queue: ids & again.get(queue, set()) for queue, ids in unrecorded.items()}
        if fix:
            await self._fix(behind, unrecorded)
        return Verification(compared, _differences(behind, unrecorded), fixed=fix)

    async def store_all(self) -> int:
        """Store every job that Redis has. Returns: how many."""
        stored, now = 0, await self._broker.now()
        async for found in self._broker.stored_jobs.walk(self._queues):
            for queue, ids in found.items():
                stored += await self._store(queue, ids, now)
        return stored

    async def _behind(self) -> tuple[int, dict[Queue, set[JobId]]]:
        """Return how many jobs Redis has, and those that the history lacks or knows in an older version."""
        compared = 0
        behind: dict[Queue, set[JobId]] = {}
        async for found in self._broker.stored_jobs.walk(self._queues):
            for queue, ids in found.items():
                jobs = await self._jobs(queue, [job_id for job_id in ids if made_at(job_id) >= self._begin])
                compared += len(jobs)
                behind.setdefault(queue, set()).update(await self._history.repairer.behind(queue, jobs))
        return compared, behind

    async def _still_behind(self, queue: Queue, ids: Iterable[JobId]) -> set[JobId]:
        jobs = await self._jobs(queue, list(ids))
        return set(await self._history.repairer.behind(queue, jobs))

    async def _jobs(self, queue: Queue, ids: list[JobId]) -> dict[JobId, Job]:
        """Return those of these jobs that Redis has and the history is to have."""
        kept = (await self._kept.of([queue]))[queue]
        return kept_jobs((await self._broker.stored_jobs.snapshots(queue, ids)).jobs, kept)

    async def _store(self, queue: Queue, ids: list[JobId], now: datetime) -> int:
        """Store jobs as they are now. Returns: how many."""
        kept = (await self._kept.of([queue]))[queue]
        snapshots = await self._broker.stored_jobs.snapshots(queue, ids)
        await self._history.repairer.resync(queue, snapshots.jobs, snapshots.waited_ms, now, kept=kept)
        return len(kept_jobs(snapshots.jobs, kept))

    async def _unrecorded(self) -> dict[Queue, set[JobId]]:
        now = await self._broker.now()
        found: dict[Queue, set[JobId]] = {}
        for queue in self._queues:
            async for ids in unrecorded_ends(
                self._history, self._broker.stored_jobs, queue, begin=self._begin, end=now
            ):
                found.setdefault(queue, set()).update(ids)
        return found

    async def _fix(self, behind: dict[Queue, set[JobId]], unrecorded: dict[Queue, set[JobId]]) -> None:
        now = await self._broker.now()
        for queue, ids in behind.items():
            await self._store(queue, list(ids), now)
        for queue, ids in unrecorded.items():
            await self._history.repairer.end_unknown(queue, ids)


def _differences(behind: dict[Queue, set[JobId]], unrecorded: dict[Queue, set[JobId]]) -> list[Difference]:
    kinds: tuple[tuple[What, dict[Queue, set[JobId]]], ...] = (
        ("missing or behind", behind),
        ("end not recorded", unrecorded),
    )
    return [Difference(job_id, what) for what, found in kinds for ids in found.values() for job_id in sorted(ids)]
