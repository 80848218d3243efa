"""The connections to the history database, and transactions on them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from millstream_history.connection.address import Address, parse_history_url
from millstream_history.connection.connecting import ANSWER_WITHIN_S, CONNECT_WITHIN_S, connect
from millstream_history.connection.faults import ERRORS, translate

# Of the URL only the name of the driver: where to connect says the address.
_DRIVER = "postgresql+asyncpg://"

CONNECTIONS = 2
"""Of one process that writes: one writes, and one looks."""


def make_engine(address: Address, *, answer_within_s: float | None = ANSWER_WITHIN_S, **options: Any) -> AsyncEngine:
    """Return an engine for this address. Nothing is sent before the first use."""
    return create_async_engine(
        _DRIVER,
        async_creator=lambda: connect(address, answer_within_s=answer_within_s),
        # Else payloads would stand in the text of errors.
        hide_parameters=True,
        **options,
    )


@asynccontextmanager
async def open_engine(
    url: str, *, answer_within_s: float | None = ANSWER_WITHIN_S, connections: int = CONNECTIONS, pre_ping: bool = False
) -> AsyncIterator[AsyncEngine]:
    """Open a history database by URL, with this many connections at most. Nothing is sent before the first use.

    With `pre_ping` a connection that broke while it was idle costs no call. Raises: HistoryUrlError.
    """
    engine = make_engine(
        parse_history_url(url),
        answer_within_s=answer_within_s,
        pool_size=connections,
        pool_pre_ping=pre_ping,
        max_overflow=0,
        pool_timeout=CONNECT_WITHIN_S,
    )
    try:
        yield engine
    finally:
        await engine.dispose()


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
