"""Replies about streams, in one form, whichever client has read them."""

from typing import Any


def streams_of(reply: Any) -> list[tuple[bytes, list[Any]]]:
    """Return what XREADGROUP found: for each stream that has any, its key and entries."""
    if not reply:
        return []
    return list(reply.items()) if isinstance(reply, dict) else reply


def fields_of(fields: Any) -> dict[bytes, bytes]:
    """Return the fields of an entry or a hash: redis-py makes a dict of what Redis sends as one list."""
    if isinstance(fields, dict):
        return fields
    values = iter(fields)
    return dict(zip(values, values, strict=True))
