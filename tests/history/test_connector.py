"""A connection that takes longer to make than a read may last is made for a later read."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from chaos.fault_proxy import FaultProxy
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, JobId
from millstream_history import History, HistoryUnavailableError, open_history

SOON_S = 0.05
"""The time of a read, which ends within it where nothing answers."""
NONE = JobId("none")


@pytest.fixture
async def proxy(history_url: str) -> AsyncIterator[FaultProxy]:
    """Yield a proxy in front of the history database."""
    parts = urlsplit(history_url)
    async with FaultProxy((parts.hostname or "127.0.0.1", parts.port or 5432)) as running:
        yield running


def behind(proxy: FaultProxy, history_url: str) -> str:
    """Return the URL of the database behind the proxy."""
    parts = urlsplit(history_url)
    return parts._replace(netloc=f"{parts.username}@127.0.0.1:{proxy.port}").geturl()


async def read_in_vain(history: History) -> None:
    """Read, and be refused for want of time."""
    with pytest.raises(HistoryUnavailableError, match="no answer within"):
        await history.transitions(DEFAULT_TENANT, NONE)


async def read(history: History) -> None:
    """Read, as soon as there is time enough: the machine may be busy."""

    async def is_read() -> bool:
        try:
            return await history.transitions(DEFAULT_TENANT, NONE) == []
        except HistoryUnavailableError:
            return False

    await wait_until(is_read, "the history is read")


async def test_reads_that_are_given_up_leave_their_connection_to_the_next(proxy: FaultProxy, history_url: str) -> None:
    """Three reads that end before they have a connection begin one, which serves the fourth."""
    proxy.swallow()
    async with open_history(behind(proxy, history_url), read_within_s=SOON_S) as history:
        for _ in range(3):
            await read_in_vain(history)
        # Counted here: on a busy machine a read may be given up later on too, and close its connection.
        assert proxy.traffic.connections == 1
        proxy.heal()
        await read(history)


async def test_an_attempt_that_failed_meanwhile_is_not_taken(proxy: FaultProxy, history_url: str) -> None:
    """A read whose connection was reset after it had given up leaves no error to the next."""
    proxy.swallow()
    async with open_history(behind(proxy, history_url), read_within_s=SOON_S) as history:
        await read_in_vain(history)
        proxy.refuse()
        await wait_until(lambda: proxy.open_connections == 0, "the connection was reset")
        proxy.heal()
        await read(history)


async def test_attempts_end_with_the_history(proxy: FaultProxy, history_url: str) -> None:
    """A history that is closed leaves no connection that it had begun."""
    proxy.swallow()
    async with open_history(behind(proxy, history_url), read_within_s=SOON_S) as history:
        await read_in_vain(history)
        assert proxy.open_connections == 1
    await wait_until(lambda: proxy.open_connections == 0, "the connection was closed")
