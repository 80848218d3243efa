"""Servers on loopback for the client and the built-in handlers."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sdk.scripted_api import Connect, Either, ScriptedApi
from sdk.smtp_sink import SmtpSink

from millstream import Client, SyncClient
from millstream.handlers import SmtpSettings


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Serve the API on a port of its own."""
    server = ScriptedApi()
    yield server
    server.close()


@pytest.fixture(params=["async", "sync"])
async def connect(request: pytest.FixtureRequest, api: ScriptedApi) -> AsyncIterator[Connect]:
    """Make clients of the server, async or sync, and close them."""
    is_sync = request.param == "sync"
    made: list[Either] = []

    def make(url: str = api.url, **options: Any) -> Either:
        made.append(Either((SyncClient if is_sync else Client)(url, **options), is_sync))
        return made[-1]

    yield make
    for client in made:
        await (client.close() if is_sync else client.aclose())


@pytest.fixture
def sink() -> SmtpSink:
    """Return a mail server that is not yet serving."""
    return SmtpSink()


@pytest.fixture
async def smtp(sink: SmtpSink) -> AsyncIterator[SmtpSettings]:
    """Return settings that lead to the serving sink."""
    async with sink.serving() as port:
        yield SmtpSettings(port=port, sender="shop@example.org", timeout_s=10)
