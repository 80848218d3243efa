"""Counts what the newest jobs of a search have in them, in one statement: each value of each facet is a row."""

from collections.abc import Sequence

from msgspec import Struct

from millstream_contracts import Tenant
from millstream_history.search.paging.found_rows import rows_of_ids
from millstream_history.search.paging.places import FoundId
from millstream_history.search.paging.timed_session import Record, TimedSession
from millstream_history.search.statement import Statement

MAX_VALUES = 10
"""The most frequent values of each field; there are no more states than that."""
MAX_TAGS = 5
"""The most frequent tags."""

LEAST_SHARE = 0.05
"""Of the jobs that have a tag, so many have one of the values that are shown; else the tag is left out."""

TAG = "tag"
FIELDS = ("state", "type", "worker", "fingerprint", TAG)
"""In the order in which they are shown."""

_STATE = "CASE WHEN outcome = 'unknown' THEN outcome ELSE state END"
"""The state as queries know it."""


class Counted(Struct, frozen=True):
    """How many jobs have a value."""

    field: str
    key: str | None
    """The name of a tag."""
    value: str
    count: int
    newest: FoundId | None = None
    """The newest of these jobs, of a fingerprint."""


async def count_values(session: TimedSession, tenant: Tenant, ids: Sequence[FoundId], within_s: float) -> list[Counted]:
    """Return the most frequent values of these jobs, newest first as they are, by field and then by number.

    Raises: OutOfTimeError.
    """
    if not ids:
        return []
    statement = Statement()
    values, tags = statement.bind(MAX_VALUES), statement.bind(MAX_TAGS)
    sql = (
        f"WITH found AS MATERIALIZED (SELECT jobs.id, jobs.created_at, {_STATE} AS state, type, worker, fingerprint, "  # noqa: S608
        f"tags FROM {rows_of_ids(statement, tenant, ids)}), "
        "facts AS (SELECT id, created_at, field, key, value FROM found CROSS JOIN LATERAL ("
        "VALUES ('state', NULL, state), ('type', NULL, type), ('worker', NULL, worker), "
        "('fingerprint', NULL, fingerprint)) AS of_job(field, key, value) WHERE value IS NOT NULL "
        f"UNION ALL SELECT id, created_at, '{TAG}', one.key, one.value FROM found "
        "CROSS JOIN LATERAL jsonb_each_text(CASE jsonb_typeof(tags) WHEN 'object' THEN tags END) AS one), "
        "counted AS (SELECT field, key, value, count(*) AS n, max(created_at) AS newest_at, "
        "(array_agg(id ORDER BY created_at DESC, id DESC) FILTER (WHERE field = 'fingerprint'))[1] AS newest_id, "
        "sum(count(*)) OVER (PARTITION BY field, key) AS of_key, "
        "count(*) OVER (PARTITION BY field, key) AS values_of_key, "
        "row_number() OVER (PARTITION BY field, key ORDER BY count(*) DESC, value) AS place "
        "FROM facts GROUP BY field, key, value), "
        f"ranked AS (SELECT *, sum(n) FILTER (WHERE place <= {values}) OVER (PARTITION BY field, key) AS of_shown "
        "FROM counted), "
        # A tag of which hardly two jobs have the same value, such as the number of an order, groups nothing.
        "shown AS (SELECT *, dense_rank() OVER (PARTITION BY field ORDER BY of_key DESC, key) AS key_place "
        f"FROM ranked WHERE field <> '{TAG}' OR values_of_key <= {values} OR of_shown >= {LEAST_SHARE} * of_key) "
        f"SELECT field, key, value, n, newest_at, newest_id FROM shown WHERE place <= {values} AND key_place <= {tags} "
        "ORDER BY field, key_place, place"
    )
    return [_counted(row) for row in await session.fetch(sql, statement, within_s)]


def _counted(row: Record) -> Counted:
    newest = None if row["newest_id"] is None else FoundId(row["newest_at"], row["newest_id"])
    return Counted(row["field"], row["key"], row["value"], row["n"], newest)
