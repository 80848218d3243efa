"""Brings the tables of a history database to those of this release.

Two releases may run side by side: a migration leaves what the release before it needs, and a database that is ahead of
us is no reason not to work.
"""

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from millstream_history.database import open_engine, transaction
from millstream_history.errors import HistorySchemaError

# Any number that nobody else takes in this database.
_LOCK = 0x6D696C6C


async def migrate(url: str) -> str:
    """Make the tables, or change them, in one transaction; who comes second waits, and finds it done.

    Returns: the revision that they have now. Raises: HistoryError.
    """
    async with open_engine(url) as engine, transaction(engine) as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        await connection.run_sync(_upgrade)
        return await connection.run_sync(revision_of) or ""


def revision_of(connection: Connection) -> str | None:
    """Return the revision of the tables; None when there are none yet."""
    return MigrationContext.configure(connection).get_current_revision()


def require_current(connection: Connection) -> None:
    """Refuse tables older than this release. Raises: HistorySchemaError."""
    script = ScriptDirectory.from_config(_config())
    found, known = revision_of(connection), {one.revision for one in script.walk_revisions()}
    if found is None or (found in known and found != script.get_current_head()):
        raise HistorySchemaError(
            f"the history database is at revision {found or 'none'}, this release needs {script.get_current_head()}: "
            "run `millstream migrate`"
        )


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "millstream_history:migrations")
    return config
