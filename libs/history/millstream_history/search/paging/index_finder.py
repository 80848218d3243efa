"""Finds which indexes without order a database has: some of them are a choice of its operator."""

from collections.abc import Iterator

from millstream_history.search.language.filters import IndexName
from millstream_history.search.paging.timed_session import TimedSession
from millstream_history.search.statement import Statement

WITHIN_S = 0.2

_INDEXES = (
    "SELECT am.amname::text, att.attname::text FROM pg_index i "
    "JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am am ON am.oid = c.relam "
    "JOIN pg_attribute att ON att.attrelid = i.indrelid AND att.attnum = i.indkey[0] "
    "WHERE i.indrelid = to_regclass('jobs') AND i.indisvalid"
)

_METHODS: dict[IndexName, str] = {"tags": "gin", "payload": "gin", "error_text": "gin", "trace_id": "hash"}


async def find_indexes(session: TimedSession) -> frozenset[IndexName]:
    """Return the columns of `jobs` that have an index without order. Raises: OutOfTimeError."""
    rows = await session.fetch(_INDEXES, Statement(), WITHIN_S)
    return frozenset(_helpful({(row["attname"], row["amname"]) for row in rows}))


def _helpful(found: set[tuple[str, str]]) -> Iterator[IndexName]:
    for name, method in _METHODS.items():
        if (name, method) in found:
            yield name
