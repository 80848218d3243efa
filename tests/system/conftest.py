"""One system for all of these tests, and one that a test may take its Redis from."""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from otlp_receiver import OtlpReceiver
from system.readme import programs
from system.running import APPS, EXAMPLES, EXAMPLES_FOLDER, README, System, running_system

from millstream import Client


@pytest.fixture(scope="session")
def receiver() -> Iterator[OtlpReceiver]:
    """Yield where all processes send their spans."""
    with OtlpReceiver() as listening:
        yield listening


@pytest.fixture(scope="session")
def system(receiver: OtlpReceiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Yield a running system: ingest, dispatcher, reaper, two workers, an embedded Redis."""
    folder = tmp_path_factory.mktemp("system")
    handler, *_ = programs(README)
    (folder / "shop.py").write_text(handler)
    for name in EXAMPLES:
        (folder / f"{name}.py").write_text((EXAMPLES_FOLDER / f"{name}.py").read_text())
    apps = (*APPS, "shop:app", *(f"{name}:app" for name in EXAMPLES))
    with running_system(folder, apps=apps, environ=receiver.environment("always_on")) as running:
        yield running


@pytest.fixture
async def client(system: System) -> AsyncIterator[Client]:
    """Yield a client of the running system."""
    async with system.client() as open_client:
        yield open_client


@pytest.fixture
async def http(system: System) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield what speaks plain HTTP with the running system."""
    async with system.http() as open_http:
        yield open_http


@pytest.fixture
def trace_id() -> str:
    """Return the trace that the caller is in."""
    return secrets.token_hex(16)


@pytest.fixture
def traceparent(trace_id: str) -> str:
    """Return the header with which the caller's trace goes on."""
    return f"00-{trace_id}-{secrets.token_hex(8)}-01"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where the handlers of this test leave their notes."""
    place = tmp_path / "notes"
    place.mkdir()
    return place
