"""Counts what a query finds, as far as that can be done soon."""

from millstream_contracts import JobCount
from millstream_history.search.language.filters import fragment_of
from millstream_history.search.paging.timed_session import OutOfTimeError, TimedSession
from millstream_history.search.plan import Plan
from millstream_history.search.statement import Statement

MAX_EXACT = 10_000
"""Up to this number a count is exact."""


async def count_jobs(session: TimedSession, plan: Plan, seen: int, within_s: float) -> JobCount:
    """Return the count of a query, of whose jobs `seen` have been seen. It takes `within_s` at the most."""
    if plan.is_empty:
        return JobCount(0, "exact")
    statement = Statement()
    rows = rows_of_plan(plan, statement)
    sql = f"SELECT count(*) FROM (SELECT 1 FROM jobs WHERE {rows} LIMIT {MAX_EXACT + 1}) found"  # noqa: S608
    try:
        [[found]] = await session.fetch(sql, statement, within_s)
        if found <= MAX_EXACT:
            return JobCount(found, "exact")
        if not plan.filters:
            return JobCount(max(MAX_EXACT, await _estimate(session, plan, within_s)), "~")
    except OutOfTimeError:
        return JobCount(seen, "at_least")
    return JobCount(MAX_EXACT, "at_least")


async def _estimate(session: TimedSession, plan: Plan, within_s: float) -> int:
    """Return the number of rows that the planner expects, by keys alone: of those it has good statistics."""
    statement = Statement()
    sql = f"EXPLAIN (FORMAT JSON) SELECT 1 FROM jobs WHERE {rows_of_plan(plan, statement)}"  # noqa: S608
    [[explained]] = await session.fetch(sql, statement, within_s)
    return int(explained[0]["Plan"]["Plan Rows"])


def rows_of_plan(plan: Plan, statement: Statement) -> str:
    """Return the condition on the rows that a plan is about."""
    conditions = [f"tenant = {statement.bind(plan.tenant)}", f"created_at >= {statement.bind(plan.begin)}"]
    if plan.end is not None:
        conditions.append(f"created_at < {statement.bind(plan.end)}")
    conditions += [statement.put(fragment_of(one)) for one in plan.conditions]
    return " AND ".join(conditions)
