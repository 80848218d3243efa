"""Makes the indexes that a database may lack: searches do without them, and are slower then.

`migrate` makes or drops them each time, so a changed wish takes effect with the next migration.
"""

from collections.abc import Mapping

from msgspec import Struct
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

TEXT_INDEX, PAYLOAD_INDEX = "jobs_by_error_text", "jobs_by_payload"
WITH_TYPE = "_and_type"
"""Ends the name of an index that has the type too: so a search within a type reads no jobs of others (ADR 83)."""

_MAKING: Mapping[str, str] = {
    TEXT_INDEX: "gin (error_text gin_trgm_ops{}) WHERE error_text IS NOT NULL",
    PAYLOAD_INDEX: "gin (payload jsonb_path_ops{})",
}


class OptionalIndexes(Struct, frozen=True):
    """Which of the optional indexes there are."""

    payload: bool
    """Of every path and value in payloads: a third of what a job costs PostgreSQL."""
    error_text: bool
    """Of parts of words in errors. It needs the extension pg_trgm."""


def apply_optional_indexes(connection: Connection, *, payload: bool) -> OptionalIndexes:
    """Make or drop the optional indexes. Returns: those that there are now."""
    has_trigrams, has_types = _make_extension(connection, "pg_trgm"), _make_extension(connection, "btree_gin")
    for name, wanted in ((TEXT_INDEX, has_trigrams), (PAYLOAD_INDEX, payload)):
        for ending, column, is_it in ((WITH_TYPE, ", type", has_types), ("", "", not has_types)):
            made = f"CREATE INDEX IF NOT EXISTS {name}{ending} ON jobs USING {_MAKING[name].format(column)}"
            connection.execute(text(made if wanted and is_it else f"DROP INDEX IF EXISTS {name}{ending}"))
    return OptionalIndexes(payload=payload, error_text=has_trigrams)


def optional_indexes(connection: Connection) -> OptionalIndexes:
    """Return which optional indexes there are."""
    return OptionalIndexes(payload=_exists(connection, PAYLOAD_INDEX), error_text=_exists(connection, TEXT_INDEX))


def _make_extension(connection: Connection, name: str) -> bool:
    """Make an extension. Returns: False, where it is not installed or not allowed."""
    try:
        with connection.begin_nested():
            connection.execute(text(f"CREATE EXTENSION IF NOT EXISTS {name}"))
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        return False
    return True


def _exists(connection: Connection, index: str) -> bool:
    names = {"plain": index, "with_type": f"{index}{WITH_TYPE}"}
    exists = "SELECT to_regclass(:plain) IS NOT NULL OR to_regclass(:with_type) IS NOT NULL"
    return bool(connection.execute(text(exists), names).scalar_one())
