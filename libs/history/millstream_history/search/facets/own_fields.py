"""Counts the values of the fields that a query has a condition on, in what it finds without that condition.

A person who has chosen `state:dead` sees beside it how many jobs have expired. Each such field is a search of its own:
they share what is left of the time for facets, and a field for which none is left has the values of what was found.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from millstream_history.search.facets.exact_counts import Exact, count_exactly
from millstream_history.search.facets.sample import FIELDS, MAX_VALUES, TAG, Counted, count_values
from millstream_history.search.language.filters import IndexName
from millstream_history.search.language.query_editor import QueryEditor
from millstream_history.search.paging.page_finder import LAST_RESORT_S, PageFinder
from millstream_history.search.paging.timed_session import OutOfTimeError, TimedSession
from millstream_history.search.paging.worker_window import first_place
from millstream_history.search.plan import JobQuery, Plan, plan_of

OWN_SAMPLE = 2_000
"""The newest jobs that are looked at for one field."""

MAX_OWN_FIELDS = 4
LEAST_S = 0.15
"""With less time left no further field is looked for."""


class OwnCounts(Struct, frozen=True):
    """The values of one field among the jobs that a query finds without its condition on that field."""

    field: str
    key: str | None
    """The name of a tag."""
    counted: Sequence[Counted]
    exact: Exact
    is_complete: bool


async def count_own_fields(
    session: TimedSession, query: JobQuery, known_types: Sequence[str] | None, indexes: frozenset[IndexName]
) -> list[OwnCounts]:
    """Return what there is time for."""
    editor, found = QueryEditor(query.q), []
    wanted = list(_own_fields(editor))[:MAX_OWN_FIELDS]
    for place, (field, key) in enumerate(wanted):
        if session.left_s < LEAST_S:
            break
        plan = plan_of(replace(query, q=editor.without(field, key)), known_types)
        try:
            found.append(await _count(session, plan, field, key, indexes, session.left_s / (len(wanted) - place)))
        except OutOfTimeError:
            continue
    return found


async def _count(
    session: TimedSession, plan: Plan, field: str, key: str | None, indexes: frozenset[IndexName], within_s: float
) -> OwnCounts:
    """Return the values of a field, found in half of the time and counted in the rest. Raises: OutOfTimeError."""
    kept_s = session.left_s - within_s / 2 - LAST_RESORT_S
    finder = PageFinder(session, plan, limit=OWN_SAMPLE, indexes=indexes, kept_s=kept_s)
    found = await finder.find(await first_place(session, plan))
    counted = await count_values(session, plan.tenant, found.ids, within_s / 4)
    is_complete = found.is_complete and found.next is None
    exact = {} if is_complete else await count_exactly(session, plan, within_s / 4, MAX_VALUES, (field,))
    mine = [one for one in counted if (one.field, one.key) == (field, key)]
    return OwnCounts(field, key, mine, exact, is_complete)


def _own_fields(editor: QueryEditor) -> Iterator[tuple[str, str | None]]:
    yield from ((field, None) for field in FIELDS if field != TAG and editor.has(field))
    yield from ((TAG, key) for key in editor.tags)
