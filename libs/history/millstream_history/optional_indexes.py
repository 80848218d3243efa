"""Makes the indexes that a database may lack: searches do without them, and are slower then.

`migrate` makes or drops them each time, so a changed wish takes effect with the next migration.
"""

from collections.abc import Mapping

from msgspec import Struct
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

TEXT_INDEX, PAYLOAD_INDEX = "jobs_by_error_text", "jobs_by_payload"

_MAKING: Mapping[str, str] = {
    TEXT_INDEX: "ON jobs USING gin (error_text gin_trgm_ops) WHERE error_text IS NOT NULL",
    PAYLOAD_INDEX: "ON jobs USING gin (payload jsonb_path_ops)",
}


class OptionalIndexes(Struct, frozen=True):
    """Which of the optional indexes there are."""

    payload: bool
    """Of every path and value in payloads: a third of what a job costs PostgreSQL."""
    error_text: bool
    """Of parts of words in errors. It needs the extension pg_trgm."""


def apply_optional_indexes(connection: Connection, *, payload: bool) -> OptionalIndexes:
    """Make or drop the optional indexes. Returns: those that there are now."""
    has_trigrams = _make_trigrams(connection)
    for name, wanted in ((TEXT_INDEX, has_trigrams), (PAYLOAD_INDEX, payload)):
        connection.execute(
            text(f"CREATE INDEX IF NOT EXISTS {name} {_MAKING[name]}" if wanted else f"DROP INDEX IF EXISTS {name}")
        )
    return OptionalIndexes(payload=payload, error_text=has_trigrams)


def optional_indexes(connection: Connection) -> OptionalIndexes:
    """Return which optional indexes there are."""
    return OptionalIndexes(payload=_exists(connection, PAYLOAD_INDEX), error_text=_exists(connection, TEXT_INDEX))


def _make_trigrams(connection: Connection) -> bool:
    """Make the extension that indexes parts of words. Returns: False, where it is not installed or not allowed."""
    try:
        with connection.begin_nested():
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        return False
    return True


def _exists(connection: Connection, index: str) -> bool:
    return bool(connection.execute(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": index}).scalar_one())
