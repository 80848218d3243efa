"""Migrates the tables of a history database to this release, and leaves those of a newer one as they are.

Releases run side by side in a rolling upgrade and after a rollback, so a newer release's tables still accept the rows
of an older one; docs/adr/0019 has the rules for a migration.
"""

import re
from functools import cache

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from msgspec import Struct
from sqlalchemy import Connection, text

from millstream_history.connection import locks
from millstream_history.connection.database import open_engine, transaction
from millstream_history.errors import HistorySchemaError
from millstream_history.optional_indexes import apply_optional_indexes

_REVISION = re.compile(r"\d{4}")


class Schema(Struct, frozen=True):
    """The revision of the tables."""

    revision: str
    newer: bool = False
    """Whether a newer release has made them."""


async def migrate(url: str, *, index_payload: bool = True) -> Schema:
    """Make or change the tables, in one transaction; a concurrent migration waits, and finds it done.

    A database of a newer release is left as it is. `index_payload` makes the index of payloads, or drops it. Returns:
    the present schema. Raises: HistoryError.
    """
    # A change of a large table takes as long as it takes, and so does waiting for another's.
    async with open_engine(url, answer_within_s=None) as engine, transaction(engine) as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": locks.MIGRATIONS})
        found = await connection.run_sync(schema_of)
        if found is not None and found.newer:
            return found
        await connection.run_sync(_upgrade)
        await connection.run_sync(lambda sync: apply_optional_indexes(sync, payload=index_payload))
    return Schema(current_revision())


def schema_of(connection: Connection) -> Schema | None:
    """Return the schema; None without tables. Raises: HistorySchemaError, when they are those of another program."""
    found = MigrationContext.configure(connection).get_current_heads()
    if not found:
        return None
    revision, *others = found
    if others or not _REVISION.fullmatch(revision):
        raise HistorySchemaError(
            "the tables in this schema of the history database are another program's (alembic_version): give the "
            "history a database or a schema of its own",
        )
    return Schema(revision, newer=revision > current_revision())


def require_usable(connection: Connection) -> Schema:
    """Return the schema, and refuse tables of an older release. Raises: HistorySchemaError."""
    found = schema_of(connection)
    if found is None or found.revision < current_revision():
        revision = found.revision if found else "none"
        raise HistorySchemaError(
            f"the history database is at revision {revision}, this release needs {current_revision()}: "
            "run `millstream migrate`",
        )
    return found


@cache
def current_revision() -> str:
    """Return the revision of the tables of this release."""
    return ScriptDirectory.from_config(alembic_config()).get_current_head() or ""


def _upgrade(connection: Connection) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise HistorySchemaError(f"the history database cannot be brought to this release: {error}") from None


def alembic_config() -> Config:
    """Return the configuration of alembic; the connection goes into its attributes."""
    config = Config()
    config.set_main_option("script_location", "millstream_history:migrations")
    return config
