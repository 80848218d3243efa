"""Finds which indexes without order a database has: some of them are a choice of its operator."""

from collections.abc import Iterator

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from millstream_history.search.filters import IndexName

_INDEXES = text(
    "SELECT am.amname, att.attname FROM pg_index i "
    "JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am am ON am.oid = c.relam "
    "JOIN pg_attribute att ON att.attrelid = i.indrelid AND att.attnum = i.indkey[0] "
    "WHERE i.indrelid = to_regclass('jobs') AND i.indisvalid"
)

_METHODS: dict[IndexName, str] = {"tags": "gin", "payload": "gin", "error_text": "gin", "trace_id": "hash"}


async def find_indexes(connection: AsyncConnection) -> frozenset[IndexName]:
    """Return the columns of `jobs` that have an index without order."""
    found = {(row.attname, row.amname) for row in await connection.execute(_INDEXES)}
    return frozenset(_helpful(found))


def _helpful(found: set[tuple[str, str]]) -> Iterator[IndexName]:
    for name, method in _METHODS.items():
        if (name, method) in found:
            yield name
