"""Finds the facets of a search, in a time that is bounded whatever is searched for.

It looks at the newest jobs, :data:`SAMPLE` at most. If these are all, each count is exact. If not, a count is the least
that there are; those that an index alone can tell of all jobs are exact all the same. The values of a field that the
query has a condition on are those of its jobs without that condition, while there is time to look for them.
"""

from collections.abc import Mapping, Sequence

import msgspec

from millstream_contracts import Facet, JobCount, JobError, Tenant
from millstream_history.search.facets.exact_counts import count_exactly
from millstream_history.search.facets.own_fields import count_own_fields
from millstream_history.search.facets.sample import MAX_VALUES, Counted, count_values
from millstream_history.search.facets.writer import Counts, FacetWriter
from millstream_history.search.language.filters import IndexName
from millstream_history.search.language.query_editor import QueryEditor
from millstream_history.search.paging.found_rows import rows_of_ids
from millstream_history.search.paging.page_finder import PageFinder
from millstream_history.search.paging.places import Found, FoundId
from millstream_history.search.paging.timed_session import OutOfTimeError, TimedSession
from millstream_history.search.paging.worker_window import first_place
from millstream_history.search.plan import JobQuery, plan_of
from millstream_history.search.statement import Statement

SAMPLE = 5_000
SMALL_SAMPLE = 500
"""What is looked at where the rows of :data:`SAMPLE` come too slowly."""

COUNT_WITHIN_S = 0.12
"""The time that is kept for counting, once the jobs are found."""


class FoundFacets(msgspec.Struct, frozen=True):
    """What the jobs of a search have in common."""

    facets: list[Facet]
    count: JobCount
    """How many jobs were looked at."""
    is_complete: bool
    """Whether these are all."""


async def find_facets(
    session: TimedSession, query: JobQuery, known_types: Sequence[str] | None, indexes: frozenset[IndexName]
) -> FoundFacets:
    """Return the facets of a query. Raises: QueryError, OutOfTimeError."""
    plan = plan_of(query, known_types)
    finder = PageFinder(session, plan, limit=SAMPLE, indexes=indexes, kept_s=COUNT_WITHIN_S)
    found = await finder.find(await first_place(session, plan))
    ids, counted = await _count(session, plan.tenant, found)
    is_complete = found.is_complete and found.next is None and len(ids) == len(found.ids)
    exact = {} if is_complete else await count_exactly(session, plan, session.left_s * 0.7, MAX_VALUES)
    own = await count_own_fields(session, query, known_types, indexes)
    errors = await _errors(session, plan.tenant, [*counted, *(value for one in own for value in one.counted)])
    return FoundFacets(
        FacetWriter(QueryEditor(query.q), errors).facets(Counts(counted, exact, is_complete), own),
        JobCount(len(ids), "exact" if is_complete else "at_least"),
        is_complete,
    )


async def _count(session: TimedSession, tenant: Tenant, found: Found) -> tuple[Sequence[FoundId], list[Counted]]:
    """Return the jobs that were looked at, and what they have."""
    try:
        return found.ids, await count_values(session, tenant, found.ids, session.left_s * 0.7)
    except OutOfTimeError:
        fewer = found.ids[:SMALL_SAMPLE]
    try:
        return fewer, await count_values(session, tenant, fewer, max(session.left_s, COUNT_WITHIN_S / 2))
    except OutOfTimeError:
        return (), []


async def _errors(session: TimedSession, tenant: Tenant, counted: Sequence[Counted]) -> Mapping[str, JobError]:
    """Return an error of each fingerprint; without time, of none."""
    wanted = {one.newest: one.value for one in counted if one.newest}
    if not wanted:
        return {}
    statement = Statement()
    rows_of_wanted = rows_of_ids(statement, tenant, list(wanted))
    sql = f"SELECT jobs.id, jobs.error FROM {rows_of_wanted} AND jobs.error IS NOT NULL"  # noqa: S608
    try:
        rows = await session.fetch(sql, statement, session.left_s)
    except OutOfTimeError:
        return {}
    values = {one.id: value for one, value in wanted.items()}
    return {values[row["id"]]: msgspec.convert(row["error"], JobError) for row in rows}
