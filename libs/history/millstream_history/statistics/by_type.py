"""Sums statistics up by type: the totals of a time, and a number for each of its steps."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import func, select, tuple_

from millstream_contracts import EventKind, JobType, Tenant, TypeStats
from millstream_history.statistics.summary import Counts, summary_of
from millstream_history.statistics.windows import number_of_step, table_for
from millstream_history.type_conditions import among

_ENDS = (EventKind.SUCCEEDED.value, EventKind.DEAD.value)
_FAILURES = (EventKind.RETRYING.value, EventKind.DEAD.value)

_SERIES = 3
"""How many numbers a step has."""


class FoundTypes(Struct, frozen=True):
    """The busiest types, the busiest first."""

    types: list[TypeStats]
    is_complete: bool
    """Whether there are no others."""


def query_of_types(
    tenant: Tenant, begin: datetime, end: datetime, step: timedelta, limit: int, types: Sequence[str] = ()
) -> Any:
    """Return the statement: for each of the busiest types a row a kind and bucket, and one a step.

    Of a type beyond `limit` there are rows too, which tell that there are more.
    """
    columns = table_for(begin, step).c
    number = number_of_step(columns.at, begin, step)
    n = func.sum(columns.n)
    # Both in one pass over the rows: there are hundreds of thousands in an hour of many busy types.
    summed = (
        select(
            columns.type,
            columns.kind,
            columns.bucket,
            number,
            n.label("n"),
            n.filter(columns.kind == EventKind.SUBMITTED.value).label("submitted"),
            n.filter(columns.kind.in_(_ENDS)).label("ended"),
            n.filter(columns.kind.in_(_FAILURES)).label("failed"),
        )
        .where(columns.tenant == tenant, columns.at >= begin, columns.at < end, *among(columns.type, types))
        .group_by(func.grouping_sets(tuple_(columns.type, columns.kind, columns.bucket), tuple_(columns.type, number)))
        .cte("summed")
    )
    of = summed.c
    busiest = (
        select(of.type)
        .where(of.number.is_(None))
        .group_by(of.type)
        .order_by(func.sum(of.n).desc(), of.type)
        .limit(limit + 1)
        .subquery("busiest")
    )
    return select(summed).join(busiest, busiest.c.type == of.type)


def types_of(rows: Iterable[Sequence[Any]], *, steps: int, limit: int) -> FoundTypes:
    """Return the types that the rows of the statement tell of."""
    counts: dict[str, Counts] = {}
    series: dict[str, tuple[list[int], ...]] = {}
    for job_type, kind, bucket, number, n, *of_step in rows:
        if number is None:
            counts.setdefault(job_type, {})[kind, bucket] = int(n)
            continue
        of_type = series.setdefault(job_type, tuple([0] * steps for _ in range(_SERIES)))
        for values, value in zip(of_type, of_step, strict=True):
            values[int(number)] = int(value or 0)
    busiest = sorted(counts, key=lambda one: (-sum(counts[one].values()), one))
    found = [_type_stats(one, counts[one], *series[one]) for one in busiest[:limit]]
    return FoundTypes(found, len(busiest) <= limit)


def _type_stats(job_type: str, counts: Counts, submitted: list[int], ended: list[int], failed: list[int]) -> TypeStats:
    return TypeStats(
        type=JobType(job_type),
        **summary_of(counts),
        submitted_by_step=submitted,
        ended_by_step=ended,
        failed_by_step=failed,
    )
