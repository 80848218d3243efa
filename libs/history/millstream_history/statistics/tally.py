"""Counts the transitions of a batch by minute and by hour, and loads the counts.

A transition counts once: only those count that are new in the table `transitions`, in the same transaction.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from millstream_contracts import EventKind
from millstream_history.projection.columns import TRANSITION_ROWS, Row
from millstream_history.projection.loading import TRANSITION_LOADER, ArrayLoader
from millstream_history.statistics.buckets import NONE, bucket_of
from millstream_history.tables import STATS_HOURS, STATS_MINUTES

SHARDS = 8
"""Dispatchers count in different rows of one minute: else each would wait for the transactions of the others."""

_TENANT, _JOB, _VERSION, _KIND, _AT, _WAITED, _RAN = (
    TRANSITION_ROWS.names.index(name) for name in ("tenant", "job_id", "version", "kind", "at", "waited_ms", "ran_ms")
)
_RUNS = frozenset({EventKind.SUCCEEDED.value, EventKind.RETRYING.value, EventKind.DEAD.value})
"""The kinds of transitions whose durations are those of attempts."""

# Nested loops: a hash of the whole table would read all of its partitions.
_NO_HASHES = text("SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)")
_HASHES = text("SELECT set_config('enable_hashjoin', 'on', true), set_config('enable_mergejoin', 'on', true)")
_FIND_NEW = text(
    f"SELECT DISTINCT step.tenant, step.job_id, step.version FROM {TRANSITION_LOADER.staging} "  # noqa: S608
    "JOIN transitions AS step USING (tenant, job_id, version, created_at) "
    "WHERE step.xmin = pg_current_xact_id()::xid"
)


def _loader(table: Table) -> ArrayLoader:
    keys = ", ".join(column.name for column in table.primary_key)
    sums = ", ".join(f"{name} = {table.name}.{name} + excluded.{name}" for name in ("n", "sum_ms"))
    return ArrayLoader(table, on_conflict=f"({keys}) DO UPDATE SET {sums}")


MINUTE_LOADER, HOUR_LOADER = _loader(STATS_MINUTES), _loader(STATS_HOURS)


async def count(
    connection: AsyncConnection,
    transitions: Sequence[Row],
    *,
    inserted: int,
    shard: int,
    beside: Sequence[Row] = (),
) -> None:
    """Count the transitions of a batch, of which this many rows were inserted by this transaction.

    Those of `beside` are not stored, and count each time: a batch that is stored twice counts them twice.
    """
    new: Iterable[Row] = transitions
    if inserted != len(transitions):
        new = await _new_ones(connection, transitions)
    minutes, hours = _tallies(chain(new, beside))
    await MINUTE_LOADER.load(connection, _rows(minutes, shard))
    await HOUR_LOADER.load(connection, _rows(hours, shard))


async def _new_ones(connection: AsyncConnection, transitions: Sequence[Row]) -> list[Row]:
    """Return those of a batch that this transaction has inserted, each once: the others were stored before."""
    await connection.execute(_NO_HASHES)
    new = {tuple(row) for row in await connection.execute(_FIND_NEW)}
    await connection.execute(_HASHES)
    found = {(row[_TENANT], row[_JOB], row[_VERSION]): row for row in transitions}
    return [row for key, row in found.items() if key in new]


Key = tuple[str, str, datetime, str, int]
"""Tenant, type, time, kind, bucket."""
Tally = dict[Key, list[int]]
"""By key the number of transitions, and the sum of their durations in milliseconds."""


def _tallies(transitions: Iterable[Row]) -> tuple[Tally, Tally]:
    """Return transitions by minute and by hour."""
    minutes: Tally = {}
    for row in transitions:
        kind = row[_KIND]
        ms = row[_WAITED] if kind == EventKind.STARTED else row[_RAN] if kind in _RUNS else None
        bucket = NONE if ms is None else bucket_of(ms)
        key = (row[_TENANT], row[_JOB].rpartition("_")[0], _minute_of(row[_AT]), kind, bucket)
        found = minutes.get(key)
        if found is None:
            found = minutes[key] = [0, 0]
        found[0] += 1
        found[1] += ms or 0
    return minutes, _by_hour(minutes)


def _by_hour(minutes: Tally) -> Tally:
    hours: Tally = {}
    for (tenant, job_type, at, kind, bucket), (number, sum_ms) in minutes.items():
        found = hours.setdefault((tenant, job_type, at.replace(minute=0), kind, bucket), [0, 0])
        found[0] += number
        found[1] += sum_ms
    return hours


@lru_cache(maxsize=4096)
def _minute_of(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _rows(tally: Tally, shard: int) -> list[Row]:
    """Return the rows of a tally in the order of the primary key, or two writers would wait for each other."""
    return [(*key, shard, *sums) for key, sums in sorted(tally.items())]
