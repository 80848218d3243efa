"""Pages of jobs by state, from the contents of Redis. Other searches are those of the history.

A list walks places one after the other: a place is one stream or sorted set of one queue. The cursor names the place
and the position in it, so that nothing is skipped or shown twice while jobs come and go behind it.
"""

import base64
import binascii
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from redis.exceptions import ResponseError

from millstream_contracts import DeadLetterPage, Job, JobId, JobState, Page, Priority, Queue
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import with_retries
from millstream_streams.connection.replies import ask_many, fields_of, is_of_wrong_type
from millstream_streams.errors import CursorError
from millstream_streams.reading.lanes import lane_names, read_singles
from millstream_streams.reading.views import JobViews
from millstream_streams.store.keys import GROUP, Keys, QueueKeys

_ENTRY_ID = re.compile(r"\d+-\d+")
_SCORE_AND_MEMBER = re.compile(r"-?(?:\d+|inf):.*", re.DOTALL)
_LANE_AND_JOB = re.compile(r"(?:[^\s:]{1,800}:)?[^\s:]{1,200}")
"""The key of a lane, percent-encoded, where it has one, and the id of a job."""
_TIES_AT_ONCE = 500

MAX_LANE = 100_000
"""How far a lane is searched for the job that ended the page before."""


T = TypeVar("T")
Renderer = Callable[[Queue, list[JobId]], Awaitable[list[T]]]

LISTABLE_STATES = (JobState.QUEUED, JobState.RUNNING, JobState.SCHEDULED, JobState.BLOCKED, JobState.DEAD)


# What a cursor calls a place. Cursors outlive a release, so these numbers never change.
_READY = {0: Priority.HIGH, 1: Priority.NORMAL, 2: Priority.LOW}
_DUE = 3
_DEAD = 4
_BLOCKED = 5
_LANES = {6: Priority.HIGH, 7: Priority.NORMAL, 8: Priority.LOW}
"""Where jobs wait that a limit holds back; only in queues with limits."""
_PLACES = {
    JobState.QUEUED: (*_READY, *_LANES),
    JobState.RUNNING: tuple(_READY),
    JobState.SCHEDULED: (_DUE,),
    JobState.DEAD: (_DEAD,),
    JobState.BLOCKED: (_BLOCKED,),
}


class Cursor(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The position at which a list continues."""

    tag: str
    """The queue."""
    place: int
    """The number of the stream or set of the queue in :data:`_PLACES`."""
    after: str
    """The last entry id, or score and member, that was shown; empty for the beginning."""

    @property
    def position(self) -> tuple[Queue, int]:
        """The queue and the place in it, in the order of the list.

        The tag is not used: as text, `-` sorts before `/`.
        """
        return Queue.from_tag(self.tag), self.place

    def encode(self) -> str:
        """Return an opaque text for a URL."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Read what :meth:`encode` wrote. Raises: CursorError."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            found = msgspec.msgpack.decode(raw, type=cls)
            Queue.from_tag(found.tag)
        except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
            raise CursorError("this is not a cursor of this list") from error
        if found.after and not _form_of(found.place).fullmatch(found.after):
            raise CursorError("this is not a cursor of this list")
        return found


class Found(Struct, frozen=True):
    """Ids at one place, and the position behind them; None when nothing follows."""

    ids: list[JobId]
    after: str | None


class Listing:
    """Pages over some queues. Every method may raise StoreUnavailableError and CursorError."""

    def __init__(self, client: Client, keys: Keys, views: JobViews, *, patience_s: float = 5.0) -> None:
        self._client = client
        self._keys = keys
        self._views = views
        self._patience_s = patience_s

    async def jobs(self, queues: Sequence[Queue], state: JobState, *, cursor: str | None, limit: int) -> Page:
        """Return jobs in one of :data:`LISTABLE_STATES`, by queue, priority and age; `queues` must be sorted.

        In a queue with limits, what these hold back stands behind what is ready.
        """

        async def render(queue: Queue, ids: list[JobId]) -> list[Job]:
            return [job for job in await self._views.jobs(queue, ids) if job.state is state]

        return Page(*await self._page(queues, state, cursor, limit, render))

    async def dead(self, queues: Sequence[Queue], *, cursor: str | None, limit: int) -> DeadLetterPage:
        """Return dead letters, by queue, newest first; `queues` must be sorted."""
        return DeadLetterPage(*await self._page(queues, JobState.DEAD, cursor, limit, self._views.dead_letters))

    async def _page(
        self, queues: Sequence[Queue], state: JobState, cursor: str | None, limit: int, render: Renderer[T]
    ) -> tuple[list[T], str | None]:
        start = Cursor.decode(cursor) if cursor else None
        items: list[T] = []
        for queue in queues:
            for place in _PLACES[state]:
                if start and (queue, place) < start.position:
                    continue
                after: str | None = start.after if start and (queue, place) == start.position else ""
                while after is not None:
                    if len(items) >= limit:
                        return items, Cursor(queue.tag, place, after).encode()
                    found = await self._find(queue, state, place, after, limit - len(items))
                    items += await render(queue, found.ids)
                    after = found.after
        return items, None

    async def _find(self, queue: Queue, state: JobState, place: int, after: str, count: int) -> Found:
        finders = {
            JobState.QUEUED: self._queued,
            JobState.RUNNING: self._running,
            JobState.SCHEDULED: self._by_score,
            JobState.DEAD: self._dead,
            JobState.BLOCKED: self._by_score,
        }
        key = _key_of(self._keys.of(queue), place)
        find = finders[state]
        try:
            if place in _LANES:
                return await with_retries(
                    lambda _: self._parked(queue, _LANES[place], after, count), self._patience_s, lambda: None
                )
            return await with_retries(lambda _: find(key, after, count), self._patience_s, lambda: None)
        except ResponseError as error:
            if is_of_wrong_type(error):
                return Found([], None)
            # A cursor that was tampered with can hold a position that Redis cannot read.
            raise CursorError("this is not a cursor of this list") from error

    async def _queued(self, key: str, after: str, count: int) -> Found:
        # What the group has been given is no longer queued, though it stays in the stream until it is acknowledged.
        after = after or await self._last_delivered(key)
        entries = await self._client.xrange(key, min=f"({after}", max="+", count=count)
        return _found(entries, count)

    async def _parked(self, queue: Queue, priority: Priority, after: str, count: int) -> Found:
        """Find jobs in the lanes of a priority: that of the jobs without a key first, then the others by their keys."""
        lane, _, job_id = after.rpartition(":")
        keys = self._keys.of(queue)
        singles = await read_singles(self._client, keys, priority)
        names = sorted({*await lane_names(self._client, keys, priority), *singles})
        ids: list[JobId] = []
        for name in (one for one in names if one >= lane):
            behind = job_id if name == lane else ""
            if name in singles and not behind:
                ids.append(JobId(singles[name]))
            if len(ids) < count:
                ids += await self._in_lane(keys.lane_of(priority, name), behind, count - len(ids))
            if len(ids) >= count:
                return Found(ids, f"{name}:{ids[-1]}" if name else ids[-1])
        return Found(ids, None)

    async def _in_lane(self, key: str, after: str, count: int) -> list[JobId]:
        start = 0
        if after:
            # One that was let in meanwhile was the first, and all before it are gone too.
            at = await self._client.lpos(key, after, maxlen=MAX_LANE)
            start = 0 if at is None else at + 1
        ids = [_text(raw) for raw in await self._client.lrange(key, start, start + count - 1)]
        return [JobId(one) for one in ids if one]

    async def _last_delivered(self, key: str) -> str:
        try:
            groups = await self._client.xinfo_groups(key)
        except ResponseError:
            return "0-0"  # no such stream: nothing was ever queued
        delivered = [group["last-delivered-id"].decode() for group in groups if group["name"] == GROUP.encode()]
        return delivered[0] if delivered else "0-0"

    async def _running(self, key: str, after: str, count: int) -> Found:
        try:
            pending = await self._client.xpending_range(
                key, GROUP, min=f"({after}" if after else "-", max="+", count=count
            )
        except ResponseError as error:
            if "NOGROUP" in str(error):
                return Found([], None)
            raise
        entries = [item["message_id"] for item in pending]
        found = await ask_many(self._client, [("XRANGE", key, entry, entry) for entry in entries]) if entries else []
        return Found(
            _ids(rows[0][1] for rows in found if rows),
            pending[-1]["message_id"].decode() if len(pending) == count else None,
        )

    async def _by_score(self, key: str, after: str, count: int) -> Found:
        score, _, member = after.partition(":")
        start, found = (float(score) if score else -math.inf), list[tuple[float, str]]()
        # Jobs with one and the same due time stand in the order of their ids; there may be more than a page of them.
        step, skip = max(count, _TIES_AT_ONCE), 0
        while len(found) < count:
            rows = await self._client.zrangebyscore(key, start, "+inf", start=skip, num=step, withscores=True)
            found += [(at, job_id) for raw, at in rows if (job_id := _text(raw)) and (at, job_id) > (start, member)]
            if len(rows) < step:
                break
            skip += step
        page = found[:count]
        following = f"{page[-1][0]:.0f}:{page[-1][1]}" if len(page) == count else None
        return Found([JobId(job_id) for _, job_id in page], following)

    async def _dead(self, key: str, after: str, count: int) -> Found:
        entries = await self._client.xrevrange(key, max=f"({after}" if after else "+", min="-", count=count)
        return _found(entries, count)


def _form_of(place: int) -> re.Pattern[str]:
    """Return what a position in a place looks like."""
    if place in _LANES:
        return _LANE_AND_JOB
    return _SCORE_AND_MEMBER if place in {_DUE, _BLOCKED} else _ENTRY_ID


def _key_of(keys: QueueKeys, place: int) -> str:
    if place in _READY:
        return keys.ready_of(_READY[place])
    if place in _LANES:
        return keys.lane_of(_LANES[place])
    return {_DUE: keys.due, _BLOCKED: keys.blocked}.get(place, keys.dlq)


def _found(entries: list[tuple[bytes, Any]], count: int) -> Found:
    return Found(_ids(fields for _, fields in entries), entries[-1][0].decode() if len(entries) == count else None)


def _ids(entries: Iterable[Any]) -> list[JobId]:
    """Return the ids in entries of a stream; an entry without an id was written by another program."""
    ids = (_text(fields_of(fields).get(b"id", b"")) for fields in entries)
    return [JobId(job_id) for job_id in ids if job_id]


def _text(raw: bytes) -> str:
    """Return the text of a possible job id, or an empty one."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return ""
