"""Counts what a query finds, as far as that can be done soon."""

from typing import Literal

from msgspec import Struct

from millstream_history.search.filters import fragment_of
from millstream_history.search.plan import Plan
from millstream_history.search.statement import Statement
from millstream_history.search.timed_session import OutOfTimeError, TimedSession

MAX_EXACT = 10_000
"""Up to this number a count is exact."""

Relation = Literal["exact", "~", "at_least"]
"""How a count relates to what there is: the same, about the same, or a lower bound of it."""


class Count(Struct, frozen=True):
    """The number of jobs that a query finds."""

    value: int
    relation: Relation


async def count_jobs(session: TimedSession, plan: Plan, seen: int, within_s: float) -> Count:
    """Return the count of a query, of whose jobs `seen` have been seen. It takes `within_s` at the most."""
    if plan.is_empty:
        return Count(0, "exact")
    statement = Statement()
    rows = _rows(plan, statement)
    sql = f"SELECT count(*) FROM (SELECT 1 FROM jobs WHERE {rows} LIMIT {MAX_EXACT + 1}) found"  # noqa: S608
    try:
        [[found]] = await session.fetch(sql, statement, within_s)
        if found <= MAX_EXACT:
            return Count(found, "exact")
        if not plan.filters:
            return Count(max(MAX_EXACT, await _estimate(session, plan, within_s)), "~")
    except OutOfTimeError:
        return Count(seen, "at_least")
    return Count(MAX_EXACT, "at_least")


async def _estimate(session: TimedSession, plan: Plan, within_s: float) -> int:
    """Return the number of rows that the planner expects, by keys alone: of those it has good statistics."""
    statement = Statement()
    sql = f"EXPLAIN (FORMAT JSON) SELECT 1 FROM jobs WHERE {_rows(plan, statement)}"  # noqa: S608
    [[explained]] = await session.fetch(sql, statement, within_s)
    return int(explained[0]["Plan"]["Plan Rows"])


def _rows(plan: Plan, statement: Statement) -> str:
    conditions = [f"tenant = {statement.bind(plan.tenant)}", f"created_at >= {statement.bind(plan.begin)}"]
    if plan.end is not None:
        conditions.append(f"created_at < {statement.bind(plan.end)}")
    conditions += [statement.put(fragment_of(one)) for one in plan.conditions]
    return " AND ".join(conditions)
