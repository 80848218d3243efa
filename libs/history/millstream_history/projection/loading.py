"""Loads batches of rows into the tables: by COPY into a temporary table, and from there in one statement.

COPY handles no conflicts, but loads rows at a third of the cost of parameters, in Python and on the wire.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, Table, text
from sqlalchemy.dialects.postgresql import dialect
from sqlalchemy.ext.asyncio import AsyncConnection

from millstream_history.projection.columns import FORGOTTEN_ROWS, JOB_ROWS, KEPT, TRANSITION_ROWS, UNCHANGING, Row
from millstream_history.tables import JOBS, TRANSITIONS

_DIALECT = dialect()  # type: ignore[no-untyped-call]


class Loader:
    """Loads rows into a table, with values in the order of `columns`."""

    def __init__(self, table: Table, columns: Iterable[str], *, staging: str, on_conflict: str) -> None:
        """Take `staging`, the name of a temporary table that no other loader has."""
        self._columns = tuple(columns)
        self.staging = staging
        """The name of the temporary table, which holds the rows until the end of the transaction."""
        names = ", ".join(self._columns)
        # It stays for as long as the connection does, and is empty after each transaction. It has these columns alone:
        # those that a newer release has added to the table ask nothing of this one.
        self._prepare = text(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {self.staging} ON COMMIT DELETE ROWS "  # noqa: S608
            f"AS SELECT {names} FROM {table.name} WITH NO DATA"
        )
        self._insert = text(
            f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {self.staging} ON CONFLICT {on_conflict}"  # noqa: S608
        )

    async def load(self, connection: AsyncConnection, rows: Sequence[Row]) -> int:
        """Load rows, in the transaction of this connection. Returns: how many rows were inserted or changed."""
        if not rows:
            return 0
        await connection.execute(self._prepare)
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.copy_records_to_table(self.staging, records=rows, columns=self._columns)
        return (await connection.execute(self._insert)).rowcount

    async def load_nothing(self, connection: AsyncConnection) -> None:
        """Run all statements without rows: this fails where rows could not be loaded."""
        await connection.execute(self._prepare)
        await connection.execute(self._insert)


def _replace_older(columns: Iterable[str]) -> str:
    assignments = ", ".join(f"{name} = {_newer(name)}" for name in columns if not JOBS.c[name].primary_key)
    return f"(tenant, id, created_at) DO UPDATE SET {assignments} WHERE jobs.version < excluded.version"


def _newer(name: str) -> str:
    if name in KEPT:
        return f"coalesce(excluded.{name}, jobs.{name})"
    if name in UNCHANGING:
        return f"CASE WHEN jobs.{name} = excluded.{name} THEN jobs.{name} ELSE excluded.{name} END"
    return f"excluded.{name}"


class ArrayLoader:
    """Loads few rows into a table, as one statement with an array a column: COPY takes four round trips."""

    def __init__(self, table: Table, *, on_conflict: str) -> None:
        names = table.columns.keys()
        self._names = names
        arrays = ", ".join(f"CAST(:{column.name} AS {_type_of(column)}[])" for column in table.columns)
        self._insert = text(
            f"INSERT INTO {table.name} ({', '.join(names)}) SELECT * FROM unnest({arrays}) ON CONFLICT {on_conflict}"  # noqa: S608
        )

    async def load(self, connection: AsyncConnection, rows: Sequence[Row]) -> None:
        """Load rows, in the transaction of this connection."""
        if rows:
            columns = map(list, zip(*rows, strict=True))
            await connection.execute(self._insert, dict(zip(self._names, columns, strict=True)))

    async def load_nothing(self, connection: AsyncConnection) -> None:
        """Run the statement without rows: this fails where rows could not be loaded."""
        await connection.execute(self._insert, {name: [] for name in self._names})


def _type_of(column: Column[Any]) -> str:
    """Return the type of a column without its collation, as a cast names it."""
    return column.type.compile(dialect=_DIALECT).partition(" COLLATE")[0]


_REPLACED = ("kind", "state", "at", "worker", "detail", "error", "attempt", "waited_ms", "ran_ms", "log_lines")
_REPLACE_GUESSES = (
    "(tenant, job_id, version, created_at) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _REPLACED)
    + " WHERE transitions.kind = 'resynced' AND excluded.kind <> 'resynced'"
)
"""Of a transition that was read from the state of its job only the true one is told, when it comes late."""

JOB_LOADER = Loader(JOBS, JOB_ROWS.names, staging="new_jobs", on_conflict=_replace_older(JOB_ROWS.names))
FORGOTTEN_LOADER = Loader(
    JOBS, FORGOTTEN_ROWS.names, staging="forgotten_jobs", on_conflict=_replace_older(FORGOTTEN_ROWS.names)
)
"""Leaves alone what is known of a job in this database only."""
TRANSITION_LOADER = Loader(TRANSITIONS, TRANSITION_ROWS.names, staging="new_transitions", on_conflict=_REPLACE_GUESSES)
