"""Reads members of batches for lists: pages of a hundred thousand, of which few may be asked for."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from millstream_contracts import BatchId, JobId, MemberState, Queue
from millstream_streams.batches.stored_batch import OPEN_RANKS, UNIT, Member, ranges_of, read_member
from millstream_streams.store.flow_shards import scores_of
from millstream_streams.store.keys import Keys

OPEN_AT_ONCE = 1_000

_Row = tuple[int, bytes]
"""Score and job id of a member: its place, which changes with its state."""


class MemberReader:
    """Reads members. `ask` returns the replies to commands of one slot."""

    def __init__(self, ask: Callable[[list[tuple[Any, ...]]], Awaitable[list[Any]]], keys: Keys) -> None:
        self._ask = ask
        self._keys = keys

    async def page(
        self, shard: Queue, batch_id: BatchId, states: frozenset[MemberState] | None, start: str | None, limit: int
    ) -> tuple[list[Member], str | None]:
        """Return members behind a start, and the start of the next page; None for no more. Raises: ValueError."""
        rows = await self._rows(shard, batch_id, ranges_of(states), _read_start(start), limit + 1)
        members = [found for score, job_id in rows[:limit] if (found := read_member(job_id, score))]
        return members, _start_of(rows[limit - 1]) if len(rows) > limit else None

    async def open(self, shard: Queue, batch_id: BatchId, start: str | None) -> tuple[list[JobId], str | None]:
        """Return members whose jobs are stored and have not ended, and the start of the next page."""
        ranges = [(OPEN_RANKS[0] * UNIT, (OPEN_RANKS[-1] + 1) * UNIT)]
        rows = await self._rows(shard, batch_id, ranges, _read_start(start), OPEN_AT_ONCE + 1)
        found = [JobId(job_id.decode(errors="replace")) for _, job_id in rows[:OPEN_AT_ONCE]]
        return found, _start_of(rows[OPEN_AT_ONCE - 1]) if len(rows) > OPEN_AT_ONCE else None

    async def _rows(
        self, shard: Queue, batch_id: BatchId, ranges: Sequence[tuple[int, int]], start: _Row | None, limit: int
    ) -> list[_Row]:
        key = self._keys.of_batches(shard).part(batch_id, "members")
        found: list[_Row] = []
        for first, end in ranges:
            if start is not None and start[0] >= end:
                continue
            behind = start if start is not None and start[0] >= first else None
            left = limit - len(found)
            found += await self._range(key, first if behind is None else behind[0], end, behind, left)
            if len(found) >= limit:
                break
        return found

    async def _range(self, key: str, first: int, end: int, behind: _Row | None, limit: int) -> list[_Row]:
        """Return members of these scores, those behind a place. Members of one score are in the order of their ids."""
        skipped = 0 if behind is None else await self._count_upto(key, behind)
        command = ("ZRANGEBYSCORE", key, first, f"({end}", "WITHSCORES", "LIMIT", skipped, limit)
        (reply,) = await self._ask([command])
        return [(int(score), job_id) for job_id, score in scores_of(reply or [])]

    async def _count_upto(self, key: str, place: _Row) -> int:
        """Return how many members of the score of a place are not behind it, by bisection."""
        score, job_id = place
        (count,) = await self._ask([("ZCOUNT", key, score, score)])
        low, high = 0, count or 0
        while low < high:
            middle = (low + high) // 2
            (reply,) = await self._ask([("ZRANGEBYSCORE", key, score, score, "LIMIT", middle, 1)])
            if reply and reply[0] <= job_id:
                low = middle + 1
            else:
                high = middle
        return low


def _start_of(row: _Row) -> str:
    return f"{row[0]} {row[1].decode(errors='replace')}"


def _read_start(start: str | None) -> _Row | None:
    """Return a start. Raises: ValueError."""
    if start is None:
        return None
    score, _, job_id = start.partition(" ")
    return int(score), job_id.encode()
