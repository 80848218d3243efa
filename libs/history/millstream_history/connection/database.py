"""The connections to the history database, and transactions on them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from millstream_history.connection.address import Address, parse_history_url
from millstream_history.connection.connecting import ANSWER_WITHIN_S, CONNECT_WITHIN_S, connect
from millstream_history.connection.connector import Connector
from millstream_history.connection.faults import ERRORS, translate

# Of the URL only the name of the driver: where to connect says the address.
_DRIVER = "postgresql+asyncpg://"

CONNECTIONS = 2
"""Of one process that writes: one writes, and one looks."""


def make_engine(address: Address, *, answer_within_s: float | None = ANSWER_WITHIN_S, **options: Any) -> AsyncEngine:
    """Return an engine for this address. Nothing is sent before the first use."""
    return _engine(lambda: connect(address, answer_within_s=answer_within_s), **options)


@asynccontextmanager
async def open_engine(
    url: str, *, answer_within_s: float | None = ANSWER_WITHIN_S, connections: int = CONNECTIONS
) -> AsyncIterator[AsyncEngine]:
    """Open a history database by URL, with this many connections at most. Nothing is sent before the first use.

    Raises: HistoryUrlError.
    """
    connector = Connector(parse_history_url(url), answer_within_s=answer_within_s)
    engine = _engine(connector.connect, pool_size=connections, max_overflow=0, pool_timeout=CONNECT_WITHIN_S)
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    try:
        yield engine
    finally:
        await engine.dispose()
        await connector.aclose()


def _engine(connect_one: Callable[[], Awaitable[Any]], **options: Any) -> AsyncEngine:
    return create_async_engine(
        _DRIVER,
        async_creator=connect_one,
        # Else payloads would stand in the text of errors.
        hide_parameters=True,
        **options,
    )


def _refuse_closed(connection: Any, *_: object) -> None:
    """Have the pool make another connection in place of one that was closed while it was idle.

    The driver hears of it at once, so there is no need to ask.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError


@asynccontextmanager
async def transaction(engine: AsyncEngine, *, newer_revision: str | None = None) -> AsyncIterator[AsyncConnection]:
    """Yield a connection in a transaction, committed at the end. Raises: HistoryError for every failure.

    `newer_revision` is that of tables which a newer release has made, if one has.
    """
    try:
        async with engine.begin() as connection:
            yield connection
    except ERRORS as error:
        # Without the error itself: its text may hold values of a row.
        raise translate(error, newer_revision=newer_revision) from None
