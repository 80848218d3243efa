"""Searches the jobs of the history: `History.search`.

For a page of jobs, `page`. For an operation on all jobs that a query finds, freeze the query once, and then page
through the ids at any pace, from any process, over days if need be:

    query = history.search.freeze(JobQuery(tenant=tenant, asked_at=now, q="state:dead since:1d"))
    stored = msgspec.json.encode(query)                      # texts and times: it can be kept in a table
    page = await history.search.ids(query, cursor=None)      # then cursor=page.next_cursor, until that is None
    for job_id in page.ids: ...

A frozen query means the same jobs for ever: relative times count from `asked_at`, and jobs that were submitted later
are left out. What changes about the jobs themselves is not frozen: a job that was dead and runs again is not found any
more, so an action has to look at the state and the version of each. A page of ids may be empty and have a cursor: then
its time was over. The cursor is a place and no job: what was done with earlier jobs does not move it.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from millstream_contracts import JobCount, JobId, Tenant, limits
from millstream_history.connection.reading import Reader
from millstream_history.projection.columns import StoredJob
from millstream_history.search.dead_groups import FoundGroups, find_dead_groups
from millstream_history.search.facets.finder import FoundFacets, find_facets
from millstream_history.search.hints.recent_jobs import NO_JOBS, RecentJobs, look_at_recent
from millstream_history.search.language.filters import IndexName
from millstream_history.search.paging.counter import count_jobs
from millstream_history.search.paging.cursors import read_cursor, write_cursor
from millstream_history.search.paging.index_finder import find_indexes
from millstream_history.search.paging.job_reader import read_jobs
from millstream_history.search.paging.page_finder import PageFinder
from millstream_history.search.paging.places import Found, Place, Way
from millstream_history.search.paging.timed_session import TimedSession
from millstream_history.search.paging.worker_window import first_place
from millstream_history.search.plan import BEGINNING, JobQuery, Plan, plan_of

T = TypeVar("T")

BUDGET_S = 0.8
"""How long a page is searched for. What was found by then is the page. A history that is given longer for its reads
stretches this and all other times of a search alike."""

READ_WITHIN_S = 0.1
"""The time that is kept for reading the jobs of a page, once their ids are found."""
READ_AT_MOST_S = 0.4

COUNT_WITHIN_S = 0.2
INDEXES_FOR_S = 60.0
"""How long it is taken for true which indexes there are."""

RECENT_FOR_S = 30.0
MAX_RECENT = 200
"""For how long, and of how many sets of types, it is known what their newest jobs have in them."""

HINTS_WITHIN_S = 0.3

FACETS_WITHIN_S = 0.35
"""How long facets are looked for: they stand beside a page, which comes by itself."""


class SearchedJobs(Struct, frozen=True, kw_only=True):
    """A page of a search."""

    jobs: list[StoredJob]
    """Newest first, without payload and result."""
    next_cursor: str | None
    searched_until: datetime | None
    """Down to which time the range has been searched; None once all of an unbounded one has."""
    is_complete: bool
    """Whether the page holds all that it can: False when its time was over, and then it may be empty."""
    count: JobCount | None = None
    hint: str = ""
    """Why probably nothing is found."""
    way: Way
    states: frozenset[str] | None = None
    """The states that the query accepts; None for all. A job that was read anew may be in another one."""


class SearchedIds(Struct, frozen=True, kw_only=True):
    """A page of the ids that a query finds."""

    ids: list[JobId]
    """Newest first."""
    next_cursor: str | None


class Search:
    """Searches in one history database. Every method may raise HistoryError."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._stretch = max(1.0, (reader.within_s or 0.0) / BUDGET_S)
        self._indexes: frozenset[IndexName] = frozenset()
        self._indexes_until = float("-inf")
        self._recent: dict[tuple[Tenant, frozenset[str] | None], tuple[RecentJobs, float]] = {}

    @staticmethod
    def freeze(query: JobQuery) -> JobQuery:
        """Return a query that finds no job which was submitted after it was asked."""
        end = query.asked_at if query.created_before is None else min(query.created_before, query.asked_at)
        return replace(query, created_before=end)

    async def page(
        self,
        query: JobQuery,
        *,
        cursor: str | None = None,
        limit: int = 50,
        known_types: Sequence[str] | None = None,
        counted: bool = False,
        budget_s: float = BUDGET_S,
    ) -> SearchedJobs:
        """Return a page of jobs, newest first. Raises: QueryError, SearchCursorError."""
        query, place, way = _begin(query, cursor)
        plan = plan_of(query, known_types)

        async def search(session: TimedSession) -> SearchedJobs:
            indexes = await self._known_indexes(session)
            count_s = COUNT_WITHIN_S if counted else 0.0
            finder = PageFinder(session, plan, limit=limit, indexes=indexes, kept_s=READ_WITHIN_S + count_s)
            found = await finder.find(place or await first_place(session, plan), way)
            jobs = await read_jobs(session, plan.tenant, found.ids, _time_to_read(session.left_s - count_s))
            count = await count_jobs(session, plan, len(jobs), COUNT_WITHIN_S) if counted else None
            return SearchedJobs(
                jobs=jobs,
                next_cursor=write_cursor(query, found.next, found.way) if found.next else None,
                searched_until=_searched_until(plan, found),
                is_complete=found.is_complete,
                count=count,
                hint=plan.hint,
                way=found.way,
                states=plan.states,
            )

        return await self._read(search, budget_s)

    async def ids(
        self,
        query: JobQuery,
        *,
        cursor: str | None = None,
        limit: int = 100,
        known_types: Sequence[str] | None = None,
        budget_s: float = BUDGET_S,
    ) -> SearchedIds:
        """Return a page of the ids that a frozen query finds, newest first.

        Raises: QueryError, SearchCursorError.
        """
        query, place, way = _begin(query, cursor)
        plan = plan_of(query, known_types)

        async def search(session: TimedSession) -> SearchedIds:
            indexes = await self._known_indexes(session)
            finder = PageFinder(session, plan, limit=limit, indexes=indexes)
            found = await finder.find(place or await first_place(session, plan), way)
            next_cursor = write_cursor(query, found.next, found.way) if found.next else None
            return SearchedIds(ids=[JobId(one.id) for one in found.ids], next_cursor=next_cursor)

        return await self._read(search, budget_s)

    async def dead_groups(
        self,
        tenant: Tenant,
        job_type: str | None,
        since: datetime | None,
        now: datetime,
        *,
        limit: int = limits.MAX_DEAD_GROUPS,
        with_live: bool = False,
        with_releases: bool = False,
        types: Sequence[str] = (),
    ) -> FoundGroups:
        """Return dead jobs in the `limit` largest groups that died of the same; of all, or submitted since then.

        `with_live` also counts what else failed in the same way and has not ended, which takes longest of all;
        `with_releases` also finds which releases their first and last jobs died with. `types` are patterns of the types
        that count, where not all do.
        """

        async def find(session: TimedSession) -> FoundGroups:
            return await find_dead_groups(
                session,
                tenant,
                job_type,
                since or BEGINNING,
                now,
                limit=limit,
                with_live=with_live,
                with_releases=with_releases,
                types=types,
            )

        return await self._read(find, BUDGET_S)

    async def facets(
        self, query: JobQuery, *, known_types: Sequence[str] | None = None, budget_s: float = FACETS_WITHIN_S
    ) -> FoundFacets:
        """Return what the jobs that a query finds have in common, counted in the newest of them. Raises: QueryError."""
        plan_of(query, known_types)  # before a connection is taken for a query that means nothing

        async def find(session: TimedSession) -> FoundFacets:
            return await find_facets(session, query, known_types, await self._known_indexes(session))

        return await self._read(find, budget_s, default_s=FACETS_WITHIN_S)

    async def recent(self, tenant: Tenant, job_types: Collection[str] | None) -> RecentJobs:
        """Return what the newest jobs of some types, or of all, have in them; it is taken for true for a while."""
        key = (tenant, None if job_types is None else frozenset(job_types))
        known, until = self._recent.get(key, (NO_JOBS, float("-inf")))
        if time.monotonic() < until:
            return known

        async def look(session: TimedSession) -> RecentJobs:
            return await look_at_recent(session, tenant, job_types)

        found = await self._read(look, HINTS_WITHIN_S, default_s=HINTS_WITHIN_S)
        if len(self._recent) >= MAX_RECENT:
            self._recent.clear()
        self._recent[key] = found, time.monotonic() + RECENT_FOR_S
        return found

    async def _read(
        self, work: Callable[[TimedSession], Awaitable[T]], budget_s: float, *, default_s: float = BUDGET_S
    ) -> T:
        async def search(connection: AsyncConnection) -> T:
            async with TimedSession(connection, budget_s, stretch=self._stretch) as session:
                return await work(session)

        # A test may allow less than the default, which a database needs to say that its time is over.
        return await self._reader.read(search, budget_s=max(budget_s, default_s) * self._stretch)

    async def _known_indexes(self, session: TimedSession) -> frozenset[IndexName]:
        if time.monotonic() >= self._indexes_until:
            self._indexes = await find_indexes(session)
            self._indexes_until = time.monotonic() + INDEXES_FOR_S
        return self._indexes


def _begin(query: JobQuery, cursor: str | None) -> tuple[JobQuery, Place | None, Way | None]:
    return read_cursor(cursor, query) if cursor else (query, None, None)


def _time_to_read(left_s: float) -> float:
    return min(max(left_s, READ_WITHIN_S), READ_AT_MOST_S)


def _searched_until(plan: Plan, found: Found) -> datetime | None:
    if found.next is not None:
        return found.next.at
    return plan.begin if plan.begin > BEGINNING else None
