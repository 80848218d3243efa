"""Fixtures of the tests of the console: one over an ingest of the test, and one of a whole town with a real browser."""

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest
from console.browsing import Chromium, chromium_program, open_chromium
from console.serving import Browser, running_console
from console.town import Town, open_town
from history_databases import empty_all_tables, new_database
from ingest.serving import Ingest, patient, remembering_ingest, running_ingest

from millstream_console.settings import ConsoleSettings
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker

# An ingest takes longer to start than most tests take: the tests of a module share two, and each test finds them empty.
# An ingest remembers for some seconds which types and queues there are, so a test that depends on what it submits
# through one uses types that no other test of its module submits.


@pytest.fixture(scope="module")
def namespace() -> str:
    """Return a prefix of keys that no other module has; `broker` removes the keys after each test."""
    return f"t{secrets.token_hex(6)}"


@pytest.fixture(scope="module")
async def ingest(redis_url: str, namespace: str) -> AsyncIterator[Ingest]:
    """Yield a running ingest without a history."""
    async with running_ingest(patient(IngestSettings(redis_url=redis_url, namespace=namespace, port=0))) as running:
        yield running


@pytest.fixture(scope="module")
async def database(postgres_url: str, migrated_database: str) -> AsyncIterator[str]:
    """Yield the URL of the database of the module."""
    async with new_database(postgres_url, migrated_database) as url:
        yield url


@pytest.fixture
async def history_url(database: str) -> AsyncIterator[str]:
    """Yield the URL of the database, and empty its tables after the test."""
    yield database
    await empty_all_tables(database)


@pytest.fixture(scope="module")
async def remembering(redis_url: str, namespace: str, database: str) -> AsyncIterator[Ingest]:
    """Yield a running ingest with a history."""
    settings = patient(IngestSettings(redis_url=redis_url, namespace=namespace, port=0))
    async with remembering_ingest(settings, database) as running:
        yield running


@pytest.fixture
async def console(ingest: Ingest, broker: Broker) -> AsyncIterator[Browser]:
    """Yield a console over the ingest without a history."""
    async with running_console(ConsoleSettings(url=str(ingest.http.base_url))) as running:
        yield running


@pytest.fixture
async def archive(remembering: Ingest, broker: Broker, history_url: str) -> AsyncIterator[Browser]:
    """Yield a console over the ingest with a history, both of which are empty."""
    async with running_console(ConsoleSettings(url=str(remembering.http.base_url))) as running:
        yield running


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Yield a whole system with jobs in every state, names of every length, and hostile texts in every field."""
    if chromium_program() is None:
        pytest.skip("no Chromium on this machine")
    with open_town(tmp_path_factory.mktemp("town")) as running:
        yield running


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Chromium]:
    """Yield a real browser; each of its tabs has cookies and a storage of its own."""
    async with open_chromium() as browser:
        yield browser
