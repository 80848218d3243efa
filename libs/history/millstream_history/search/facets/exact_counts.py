"""Counts states and types of all that a search finds, where an index alone can tell: by type, time and outcome."""

from collections.abc import Collection, Iterator

from millstream_history.search.paging.counter import rows_of_plan
from millstream_history.search.paging.timed_session import OutOfTimeError, TimedSession
from millstream_history.search.plan import Plan
from millstream_history.search.statement import Statement

_INDEXED = frozenset({"type", "outcome"})

Exact = dict[tuple[str, str], int]
"""By field and value the number of jobs."""

_COLUMNS = (("state", "outcome", " AND outcome IS NOT NULL"), ("type", "type", ""))


async def count_exactly(
    session: TimedSession, plan: Plan, within_s: float, most: int, fields: Collection[str] = ("state", "type")
) -> Exact:
    """Return the number of jobs of the states that are no success, and of the `most` frequent types.

    What takes longer than its share of the time is left out.
    """
    found: Exact = {}
    if plan.filters or not _INDEXED.issuperset(key.column for key in plan.keys):
        return found
    for share, (field, column, condition) in zip(_shares(within_s), _COLUMNS, strict=True):
        if field not in fields:
            continue
        statement = Statement()
        sql = (
            f"SELECT {column} AS value, count(*) AS n FROM jobs WHERE {rows_of_plan(plan, statement)}{condition} "  # noqa: S608
            f"GROUP BY 1 ORDER BY n DESC, value LIMIT {statement.bind(most)}"
        )
        try:
            rows = await session.fetch(sql, statement, share)
        except OutOfTimeError:
            continue
        found |= {(field, row["value"]): row["n"] for row in rows}
    return found


def _shares(within_s: float) -> Iterator[float]:
    yield from (within_s * 0.6, within_s * 0.4)
