"""Finds one page of a search, newest first, in a time that is bounded whatever is searched for.

PostgreSQL is not left to choose between an index in the order of time and one that knows no order, because it guesses
how many rows a JSON filter lets through, and a wrong guess costs seconds. :class:`Way` has the ways out.

A page that runs out of time has what was found, and says how far it has looked.
"""

from datetime import UTC, datetime, timedelta
from math import ceil

from millstream_history.search.language.filters import IndexName, Key, fragment_of
from millstream_history.search.paging.places import Found, FoundId, Place, Way
from millstream_history.search.paging.timed_session import OutOfTimeError, Record, TimedSession
from millstream_history.search.plan import Plan
from millstream_history.search.statement import Statement

FIRST_WALK_ROWS = 2_000
KEYED_WALK_ROWS = 500
"""Of the first walk below a key and beside an index: the rows of a key are scattered over the table."""
FAR_WALK_ROWS = 20_000
KEYED_FAR_WALK_ROWS = 5_000
"""Of a far walk below a key and beside an index: from there on the index costs less (measured in 8 million jobs)."""
LEAST_WALK_ROWS = 100
LAST_RESORT_S = 0.1
"""The time that is kept for a walk of :data:`LEAST_WALK_ROWS`, so that each page gets on."""

_NEAR_DAYS = 8
"""Windows of days at most double up to this size, and then grow faster: what is kept may begin decades ago."""
_FAR_FUTURE = datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC)
_MICROSECOND = timedelta(microseconds=1)
_ORDER = "ORDER BY created_at DESC, id DESC"


def next_window(days: int, *, found: int, wanted: int) -> int:
    """Return how many days to look up in an index, when the last window had these days, and jobs that it found in them.

    As many as hold the jobs that are wanted yet, at the same rate, if these are few: a window is looked up as a whole,
    and one that is too large finds what no page shows.
    """
    most = days * (2 if days < _NEAR_DAYS else 8)
    return min(most, max(1, ceil(wanted * days / found))) if found else most


class PageFinder:
    """Finds one page. To be used once."""

    def __init__(
        self,
        session: TimedSession,
        plan: Plan,
        *,
        limit: int,
        indexes: frozenset[IndexName] = frozenset(),
        kept_s: float = 0.0,
    ) -> None:
        """Take the `indexes` without order that the database has, and the time that is to be left at the end."""
        self._session = session
        self._plan = plan
        self._limit = limit
        self._kept_s = kept_s + LAST_RESORT_S
        self._is_helped = plan.is_helped(indexes)
        self._ids: list[FoundId] = []
        self._place = Place(plan.end or _FAR_FUTURE)
        self._way = Way.WALK if plan.filters else Way.PLAIN
        is_keyed = self._is_helped and bool(plan.keys)
        self._rows = KEYED_WALK_ROWS if is_keyed else FIRST_WALK_ROWS
        self._far_rows = KEYED_FAR_WALK_ROWS if is_keyed else FAR_WALK_ROWS
        self._may_grow = True
        self._days = 1
        self._is_over = plan.is_empty

    async def find(self, place: Place | None = None, way: Way | None = None) -> Found:
        """Return the page that begins at a place, found in this way at first; without them the first page.

        Raises: OutOfTimeError, when it could not look at a single row.
        """
        self._place = place or self._place
        self._way = way or self._way
        start, is_complete = self._place, True
        try:
            while not self._is_over and len(self._ids) <= self._limit:
                await self._step()
        except OutOfTimeError:
            is_complete = False
            if self._place == start and not self._ids:
                await self._get_on()
        return self._found(is_complete=is_complete)

    def _found(self, *, is_complete: bool) -> Found:
        if len(self._ids) > self._limit:
            ids = self._ids[: self._limit]
            return Found(ids, Place(ids[-1].created_at, ids[-1].id), self._way, is_complete=True)
        return Found(self._ids, None if self._is_over else self._place, self._way, is_complete or self._is_over)

    async def _step(self) -> None:
        match self._way:
            case Way.PLAIN:
                await self._plain()
            case Way.INDEX:
                await self._look_up()
            case _:
                await self._walk()

    async def _get_on(self) -> None:
        """Look at a few rows in the time that was kept for it. Raises: OutOfTimeError."""
        way, self._way, self._rows = self._way, Way.SCAN, LEAST_WALK_ROWS
        await self._walk_rows(LAST_RESORT_S)
        # What could not be done in all of the time cannot be done in that of the next page either.
        self._way = way if way is not Way.PLAIN else Way.SCAN

    @property
    def _left_s(self) -> float:
        return self._session.left_s - self._kept_s

    @property
    def _wanted(self) -> int:
        """Return how many ids are wanted yet: one more than the page has shows that another page follows."""
        return self._limit + 1 - len(self._ids)

    # plain

    async def _plain(self) -> None:
        statement = Statement()
        lists = [
            f"unnest({statement.bind(list(key.values))}::text[]) AS k{n}(v)" for n, key in enumerate(self._plan.keys)
        ]
        keys = [f"{key.column} = k{n}.v" for n, key in enumerate(self._plan.keys)]
        wanted = statement.bind(self._wanted)
        found = (
            f"SELECT id, created_at FROM jobs WHERE {self._position(statement, self._plan.begin)}"  # noqa: S608
            f"{''.join(f' AND {key}' for key in keys)} {_ORDER} LIMIT {wanted}"
        )
        if lists:
            found = (
                f"SELECT id, created_at FROM (SELECT found.* FROM {' CROSS JOIN '.join(lists)} "  # noqa: S608
                f"CROSS JOIN LATERAL ({found}) found) of_all {_ORDER} LIMIT {wanted}"
            )
        try:
            rows = await self._session.fetch(found, statement, self._left_s * 0.6)
        except OutOfTimeError:
            self._way = Way.SCAN
            return
        self._take(rows)
        self._is_over = len(self._ids) <= self._limit

    # walk and scan

    async def _walk(self) -> None:
        # A walk that takes too long is tried again over fewer rows.
        share = 1.0 if self._rows <= LEAST_WALK_ROWS else 0.5
        try:
            await self._walk_rows(self._left_s * share)
        except OutOfTimeError:
            if self._rows <= LEAST_WALK_ROWS:
                raise
            self._rows, self._may_grow = max(LEAST_WALK_ROWS, self._rows // 4), False

    async def _walk_rows(self, within_s: float) -> None:
        statement, begin = Statement(), self._day_begin(self._place.at)
        inner = self._side_by_side
        others = [one for one in self._plan.conditions if one not in inner]
        hit = " AND ".join(statement.put(fragment_of(one)) for one in others) or "TRUE"
        where = " AND ".join([self._position(statement, begin), *(statement.put(fragment_of(key)) for key in inner)])
        sql = (
            f"WITH c AS MATERIALIZED (SELECT id, created_at, ({hit}) IS TRUE AS hit FROM jobs "  # noqa: S608
            f"WHERE {where} {_ORDER} LIMIT {statement.bind(self._rows)}) "
            f"(SELECT id, created_at, NULL::bigint AS walked FROM c WHERE hit {_ORDER} "
            f"LIMIT {statement.bind(self._wanted)}) "
            "UNION ALL (SELECT id, created_at, (SELECT count(*) FROM c) FROM c ORDER BY created_at, id LIMIT 1)"
        )
        rows = await self._session.fetch(sql, statement, within_s)
        hits_found, last = rows[:-1], rows[-1] if rows else None
        self._take(hits_found)
        if last is not None and last["walked"] == self._rows:
            self._place = Place(last["created_at"], last["id"])
            self._choose(len(hits_found))
        elif begin <= self._plan.begin:
            self._is_over = len(self._ids) <= self._limit
        elif last is None:
            await self._skip_to_next(begin, within_s)
        else:
            self._place = Place(begin)

    @property
    def _side_by_side(self) -> list[Key]:
        """Return the keys whose rows are walked over alone: those with one value have them side by side in an index."""
        return [] if self._way is Way.SCAN else [key for key in self._plan.keys if len(key.values) == 1]

    def _choose(self, hits: int) -> None:
        """Choose how to go on after a walk that was not the last of its day."""
        is_rich = hits * self._far_rows >= self._limit * self._rows
        if self._is_helped and self._way is Way.WALK and (not is_rich or self._rows >= self._far_rows):
            self._way = Way.INDEX
        elif self._may_grow:
            self._rows = self._far_rows

    async def _skip_to_next(self, before: datetime, within_s: float) -> None:
        """Go on at the next row that there is: between two may be years."""
        statement = Statement()
        self._place = Place(before)
        position, keys = self._position(statement, self._plan.begin), self._side_by_side
        where = " AND ".join([position, *(statement.put(fragment_of(key)) for key in keys)])
        sql = f"SELECT created_at FROM jobs WHERE {where} ORDER BY created_at DESC LIMIT 1"  # noqa: S608
        rows = await self._session.fetch(sql, statement, within_s)
        if rows:
            self._place = Place(rows[0]["created_at"] + _MICROSECOND)
        else:
            self._is_over = True

    # index

    async def _look_up(self) -> None:
        statement = Statement()
        begin = max(self._plan.begin, self._day_begin(self._place.at) - timedelta(days=self._days - 1))
        conditions = [statement.put(fragment_of(one)) for one in self._plan.conditions]
        sql = (
            "WITH m AS MATERIALIZED (SELECT id, created_at FROM jobs WHERE "  # noqa: S608
            f"{self._position(statement, begin)} AND {' AND '.join(conditions)}) "
            f"SELECT id, created_at FROM m {_ORDER} LIMIT {statement.bind(self._wanted)}"
        )
        try:
            rows = await self._session.fetch(sql, statement, self._left_s)
        except OutOfTimeError:
            if self._days == 1:
                self._way = Way.SCAN
            raise
        self._take(rows)
        self._place = Place(begin)
        self._days = next_window(self._days, found=len(rows), wanted=self._wanted)
        self._is_over = begin <= self._plan.begin and len(self._ids) <= self._limit

    # all

    def _position(self, statement: Statement, begin: datetime) -> str:
        """Return the condition on the place of rows: from a moment on up to the place, which is left out."""
        tenant, low = statement.bind(self._plan.tenant), statement.bind(begin)
        at, last_id = statement.bind(self._place.at), statement.bind(self._place.id)
        return (
            f"tenant = {tenant} AND created_at >= {low} AND created_at <= {at} AND (created_at, id) < ({at}, {last_id})"
        )

    def _day_begin(self, at: datetime) -> datetime:
        """Return where the day before a moment begins, in the range; what lies ahead of today is one with today."""
        latest = min(at - _MICROSECOND, self._plan.asked_at)
        return max(self._plan.begin, latest.replace(hour=0, minute=0, second=0, microsecond=0))

    def _take(self, rows: list[Record]) -> None:
        self._ids += [FoundId(row["created_at"], row["id"]) for row in rows]
