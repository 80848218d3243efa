"""The connection to the history database, and what its errors mean."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from millstream_history.errors import HistoryError, HistorySchemaError, HistoryUnavailableError, HistoryUrlError

CONNECT_WITHIN_S = 5.0
ANSWER_WITHIN_S = 30.0

# The driver's own where it is used without SQLAlchemy, to copy.
_ERRORS = (DBAPIError, PoolTimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
_DRIVER = "postgresql+asyncpg"
_NO_SUCH_TABLE_OR_COLUMN = ("42P01", "42703")
# Connections, resources, an operator's word, the system: all of it passes without a change on our side. As do a
# deadlock, and a server that is read-only for a while.
_PASSING = ("08", "53", "57", "58", "40", "25006")


def parse_history_url(url: str) -> URL:
    """Read the URL of a PostgreSQL. Raises: HistoryUrlError, without the text of the URL: it may hold a password."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise HistoryUrlError("the history URL cannot be read; use postgresql://user:password@host/database") from None
    if parsed.drivername not in {"postgresql", "postgres"}:
        raise HistoryUrlError(f"`{parsed.drivername}` is no history database; use postgresql://user:password@host/name")
    return parsed.set(drivername=_DRIVER)


@asynccontextmanager
async def open_engine(url: str) -> AsyncIterator[AsyncEngine]:
    """Open a history database by URL. Nothing is sent before the first use. Raises: HistoryUrlError."""
    engine = create_async_engine(
        parse_history_url(url),
        pool_size=2,
        max_overflow=0,
        pool_timeout=CONNECT_WITHIN_S,
        # Else payloads would stand in the text of errors.
        hide_parameters=True,
        connect_args={
            "timeout": CONNECT_WITHIN_S,
            "command_timeout": ANSWER_WITHIN_S,
            "server_settings": {"application_name": "millstream"},
        },
    )
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Yield a connection in a transaction, committed at the end. Raises: HistoryError, whatever goes wrong with it."""
    try:
        async with engine.begin() as connection:
            yield connection
    except _ERRORS as error:
        raise translate(error) from error


def translate(error: Exception) -> HistoryError:
    """Return what an error means, without a word of what was to be stored."""
    cause = (error.orig and error.orig.__cause__) or error if isinstance(error, DBAPIError) else error
    code = str(getattr(cause, "sqlstate", None) or "")
    what = " ".join(filter(None, [type(cause).__name__, code]))
    if code in _NO_SUCH_TABLE_OR_COLUMN:
        return HistorySchemaError(f"the history database has other tables ({what}): run `millstream migrate`")
    # Without a code it comes from this side: there is no connection, or no way to send such a value.
    if code.startswith(_PASSING) if code else not isinstance(cause, ValueError | TypeError):
        return HistoryUnavailableError(f"the history database is not available: {what}")
    return HistoryError(f"the history database refused: {what}")
