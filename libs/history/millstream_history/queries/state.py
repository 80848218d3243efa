"""Reads how the tables are: their revision, the days that have partitions, their size. It needs no right to write."""

from datetime import date

from msgspec import Struct
from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from millstream_history.migrating import Schema, require_usable
from millstream_history.optional_indexes import OptionalIndexes, optional_indexes
from millstream_history.partitions.days import FIND_DAYS, days_ahead
from millstream_history.tables import METADATA

# Of partitions too, for one that has them takes no room itself.
_SIZE = text(
    "WITH whole AS (SELECT to_regclass(name)::oid AS oid FROM unnest(CAST(:names AS text[])) AS name) "
    "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM ("
    "SELECT oid FROM whole WHERE oid IS NOT NULL UNION ALL "
    "SELECT inhrelid FROM pg_inherits JOIN whole ON inhparent = whole.oid) parts"
).bindparams(bindparam("names"))


class HistoryState(Struct, frozen=True):
    """The tables of a history database."""

    schema: Schema
    days: list[date]
    """Those that have partitions, in order."""
    indexes: OptionalIndexes
    size_bytes: int
    """Of all tables with their indexes."""

    def days_ahead(self, today: date) -> int:
        """Return how many days from tomorrow on have partitions without a gap; -1 when today has none."""
        return days_ahead(self.days, today)


async def find_state(connection: AsyncConnection) -> HistoryState:
    """Return how the tables are. Raises: HistorySchemaError, when this release cannot use them."""
    schema = await connection.run_sync(require_usable)
    days = list((await connection.execute(FIND_DAYS)).scalars())
    indexes = await connection.run_sync(optional_indexes)
    names = [table.name for table in METADATA.sorted_tables]
    size = (await connection.execute(_SIZE, {"names": names})).scalar_one()
    return HistoryState(schema, days, indexes, int(size))
