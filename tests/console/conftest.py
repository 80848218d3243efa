"""Fixtures of the tests of the console: one over an ingest of the test, and one of a whole town with a real browser."""

from collections.abc import AsyncIterator, Iterator

import pytest
from console.browsing import Chromium, chromium_program, open_chromium
from console.serving import Browser, running_console
from console.town import Town, open_town
from ingest.serving import Ingest, patient, remembering_ingest, running_ingest

from millstream_console.settings import ConsoleSettings
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker


@pytest.fixture
async def ingest(broker: Broker, redis_url: str, namespace: str) -> AsyncIterator[Ingest]:
    """Yield a running ingest without a history."""
    with patient():
        async with running_ingest(IngestSettings(redis_url=redis_url, namespace=namespace, port=0)) as running:
            yield running


@pytest.fixture
async def remembering(broker: Broker, redis_url: str, namespace: str, history_url: str) -> AsyncIterator[Ingest]:
    """Yield a running ingest with an empty history."""
    settings = IngestSettings(redis_url=redis_url, namespace=namespace, port=0)
    async with remembering_ingest(settings, history_url) as running:
        yield running


@pytest.fixture
async def console(ingest: Ingest) -> AsyncIterator[Browser]:
    """Yield a console over the ingest without a history."""
    async with running_console(ConsoleSettings(url=str(ingest.http.base_url))) as running:
        yield running


@pytest.fixture
async def archive(remembering: Ingest) -> AsyncIterator[Browser]:
    """Yield a console over the ingest with a history."""
    async with running_console(ConsoleSettings(url=str(remembering.http.base_url))) as running:
        yield running


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Yield a whole system with jobs in every state, names of every length, and hostile texts in every field."""
    if chromium_program() is None:
        pytest.skip("no Chromium on this machine")
    with open_town(tmp_path_factory.mktemp("town")) as running:
        yield running


@pytest.fixture
async def chromium() -> AsyncIterator[Chromium]:
    """Yield a real browser."""
    async with open_chromium() as browser:
        yield browser
