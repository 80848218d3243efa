"""Finds the facets of a search, in a time that is bounded whatever is searched for.

It looks at the newest jobs, :data:`SAMPLE` at most. If these are all, each count is exact. If not, a count is the least
that there are; those that an index alone can tell of all jobs are exact all the same.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from millstream_contracts import Facet, FacetValue, JobCount, JobError, Tenant, place_of
from millstream_history.search.facets.exact_counts import Exact, count_exactly
from millstream_history.search.facets.sample import MAX_VALUES, Counted, count_values
from millstream_history.search.language.filters import IndexName
from millstream_history.search.language.query_editor import QueryEditor
from millstream_history.search.language.writing import written_key
from millstream_history.search.paging.found_rows import rows_of_ids
from millstream_history.search.paging.page_finder import PageFinder
from millstream_history.search.paging.places import Found, FoundId
from millstream_history.search.paging.timed_session import OutOfTimeError, TimedSession
from millstream_history.search.paging.worker_window import first_place
from millstream_history.search.plan import Plan
from millstream_history.search.secret_names import is_secret
from millstream_history.search.statement import Statement

SAMPLE = 5_000
SMALL_SAMPLE = 500
"""What is looked at where the rows of :data:`SAMPLE` come too slowly."""

COUNT_WITHIN_S = 0.12
"""The time that is kept for counting, once the jobs are found."""

FIELDS = ("state", "type", "worker", "fingerprint", "tag")
"""In the order in which they are shown."""


class FoundFacets(msgspec.Struct, frozen=True):
    """What the jobs of a search have in common."""

    facets: list[Facet]
    count: JobCount
    """How many jobs were looked at."""
    is_complete: bool
    """Whether these are all."""


async def find_facets(session: TimedSession, plan: Plan, q: str, indexes: frozenset[IndexName]) -> FoundFacets:
    """Return the facets of a query, whose text is `q`. Raises: OutOfTimeError."""
    finder = PageFinder(session, plan, limit=SAMPLE, indexes=indexes, kept_s=COUNT_WITHIN_S)
    found = await finder.find(await first_place(session, plan))
    ids, counted = await _count(session, plan.tenant, found)
    is_complete = found.is_complete and found.next is None and len(ids) == len(found.ids)
    exact = {} if is_complete else await count_exactly(session, plan, session.left_s * 0.7, MAX_VALUES)
    errors = await _errors(session, plan.tenant, counted)
    return FoundFacets(
        _FacetWriter(QueryEditor(q), counted, exact, errors, is_complete=is_complete).facets(),
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


class _FacetWriter:
    """Puts facets together from what was counted."""

    def __init__(
        self,
        editor: QueryEditor,
        counted: Sequence[Counted],
        exact: Exact,
        errors: Mapping[str, JobError],
        *,
        is_complete: bool,
    ) -> None:
        self._editor = editor
        self._counted = counted
        self._exact = exact
        self._errors = errors
        self._is_complete = is_complete

    def facets(self) -> list[Facet]:
        """Return the facets, in their order."""
        values: dict[tuple[str, str | None], list[FacetValue]] = {(name, None): [] for name in FIELDS[:-1]}
        for one in self._counted:
            if one.key is None or not is_secret(one.key):
                values.setdefault((one.field, one.key), []).append(self._value(one))
        for field in ("state", "type"):
            values[field, None] = self._with_exact(field, values[field, None])
        return [
            Facet(field=field if key is None else f"{field}.{written_key(key)}", values=found)
            for (field, key), found in values.items()
            if found
        ]

    def _value(self, one: Counted) -> FacetValue:
        toggled = self._editor.toggled(one.field, one.value, one.key)
        error = self._errors.get(one.value) if one.field == "fingerprint" else None
        return FacetValue(
            value=one.value,
            label=error.type if error else None,
            place=place_of(error.traceback) if error else None,
            count=one.count,
            relation="exact" if self._is_complete else "at_least",
            is_selected=toggled.was_there,
            q=toggled.q,
        )

    def _with_exact(self, field: str, found: Sequence[FacetValue]) -> list[FacetValue]:
        """Return the values of a field with the exact counts, also of those that no newest job has."""
        by_value = {one.value: one for one in found}
        for (name, value), count in self._exact.items():
            if name == field:
                known = by_value.get(value) or self._value(Counted(field, None, value, count))
                by_value[value] = replace(known, count=count, relation="exact")
        return sorted(by_value.values(), key=lambda one: (-one.count, one.value))[:MAX_VALUES]
