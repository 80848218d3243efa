"""Fills a history database with jobs as years of use would: skewed types, customers and errors, over several days."""

from datetime import UTC, datetime, time, timedelta

from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from millstream_history.dead_counts import DeadCounts

TYPES = ("email.send", "report.generate", "image.resize", "http.request", "order.charge", "sms.send", "file.process")
USERS = 1_000_000
ERRORS = 60
WORKERS = 30
_CHUNK = 100_000

_ID_TIME = """
CREATE OR REPLACE FUNCTION bench_digits(ms bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', ((ms >> shift) & 31)::int + 1, 1), ''
                      ORDER BY shift DESC)
    FROM generate_series(0, 45, 5) AS shift
$$
"""

# One job a row. A draw each for type, variant, end, error, user, worker; r is uniform in [0, 1).
_INSERT = """
INSERT INTO jobs (tenant, id, created_at, type, partition, state, version, priority, attempts, max_attempts, deliveries,
                  crashes, handbacks, started_at, finished_at, worker, payload, result, error, reason, tags, trace_id,
                  outcome, fingerprint, error_text, workflow_id, waited_ms, ran_ms, payload_bytes)
SELECT 'default', type || '_00' || bench_digits(ms) || '7' || translate(left(md5(i || :day), 15), 'abcdef', 'ABCDEF'),
    to_timestamp(ms / 1000.0), type, 0, state, CASE state WHEN 'dead' THEN 7 ELSE 3 END, 'normal',
    CASE state WHEN 'dead' THEN 3 ELSE 1 END, 3, CASE state WHEN 'dead' THEN 3 ELSE 1 END, 0, 0,
    to_timestamp(ms / 1000.0 + 0.02), to_timestamp(ms / 1000.0 + 0.05), 'worker-' || worker,
    jsonb_build_object(
        'user', jsonb_build_object('id', person, 'email', 'user' || person || '@example.com'),
        'order', 'ord_' || left(md5(i::text), 12), 'amount', i * 7 % 10000,
        'items', jsonb_build_array(jsonb_build_object('sku', 'SKU-' || person * 31 % 5000, 'n', i % 5)),
        'note', left(md5(person::text) || md5(i::text), 40)),
    CASE state WHEN 'succeeded' THEN jsonb_build_object('ok', true, 'ref', left(md5(i || 'r'), 16)) END,
    CASE WHEN error IS NOT NULL THEN jsonb_build_object('type', kind, 'message', message, 'attempt', 3) END,
    CASE state WHEN 'dead' THEN 'attempts' END,
    CASE WHEN i % 5 < 3 THEN jsonb_build_object('env', CASE WHEN i % 100 < 97 THEN 'prod' ELSE 'staging' END,
                                                'customer', 'c' || person % 20000) END,
    md5(i || :day || 't'), CASE WHEN state <> 'succeeded' THEN state END,
    CASE WHEN error IS NOT NULL THEN left(md5(type || error), 12) END, kind || ': ' || message,
    CASE WHEN i % 50 = 0 THEN 'wf_' || i / 500 END, 20, 30, 220
FROM (
    SELECT *, (ARRAY['TimeoutError', 'ConnectionError', 'ValueError', 'KeyError'])[1 + error % 4] AS kind,
        'upstream mail' || error % 17 || '.example.com refused order ord_' || left(md5(i::text), 12) AS message
    FROM (
        SELECT i, :first_ms + (i - 1) * 86400000 / :of_day AS ms,
            (CAST(:types AS text[]))[1 + floor(:kinds * power(r1, 3))::int]
                || CASE WHEN r2 < 0.5 THEN '' ELSE '.v' || floor(r2 * 10) END AS type,
            CASE WHEN r3 < 0.965 THEN 'succeeded' WHEN r3 < 0.985 THEN 'dead' WHEN r3 < 0.995 THEN 'cancelled'
                 ELSE 'expired' END AS state,
            CASE WHEN r3 < 0.03 OR r3 >= 0.965 AND r3 < 0.985 THEN floor(:errors * power(r4, 4))::int END AS error,
            floor(exp(r5 * ln(:users)))::bigint AS person, floor(:workers * r6)::int AS worker
        FROM (SELECT i, random() AS r1, random() AS r2, random() AS r3, random() AS r4, random() AS r5, random() AS r6
              FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS i) AS draws
    ) AS jobs_of_day
) AS named
"""


class Filled(Struct, frozen=True):
    """What the database holds."""

    jobs: int
    days: int
    bytes: int
    """Of the table of jobs with its indexes."""


async def fill_history(engine: AsyncEngine, jobs: int, days: int) -> Filled:
    """Fill the tables with ended jobs, equally many on each of the last days, and gather their statistics."""
    of_day = jobs // days
    today = datetime.now(UTC).date()
    async with engine.connect() as connection:
        await connection.execute(text(_ID_TIME))
        for ago in range(days, 0, -1):
            day = datetime.combine(today - timedelta(days=ago), time(), UTC)
            await connection.execute(text("SELECT history_make_day(:day)"), {"day": day.date()})
            await _fill_day(connection, day, of_day)
        # As dispatchers do every ten seconds.
        await DeadCounts(engine).fold()
        await connection.execute(text("VACUUM ANALYZE jobs, dead_counts, dead_changes"))
        size = "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('jobs')"
        (found,) = (await connection.execute(text(size))).one()
    return Filled(of_day * days, days, int(found))


async def _fill_day(connection: AsyncConnection, day: datetime, of_day: int) -> None:
    for first in range(1, of_day + 1, _CHUNK):
        values = {
            "day": day.date().isoformat(),
            "first_ms": round(day.timestamp() * 1000),
            "of_day": of_day,
            "types": list(TYPES),
            "kinds": len(TYPES),
            "errors": ERRORS,
            "users": USERS,
            "workers": WORKERS,
            "first": first,
            "last": min(first + _CHUNK - 1, of_day),
        }
        await connection.execute(text(_INSERT), values)
