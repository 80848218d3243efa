"""Runs one system for all of these tests, and another whose Redis a test may stop."""

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
    """Yield the receiver of the spans of all processes."""
    with OtlpReceiver() as listening:
        yield listening


@pytest.fixture(scope="session")
def system(receiver: OtlpReceiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Yield a running system: ingest, dispatcher, reaper, two workers, an embedded Redis."""
    folder = tmp_path_factory.mktemp("system")
    (folder / "shop.py").write_text(programs(README)["shop.py"])
    for name in EXAMPLES:
        (folder / f"{name}.py").write_text((EXAMPLES_FOLDER / f"{name}.py").read_text())
    apps = (*APPS, "shop:app", *(f"{name}:app" for name in EXAMPLES))
    with running_system(folder, apps=apps, environ=receiver.environment("always_on"), has_console=True) as running:
        yield running


@pytest.fixture
async def client(system: System) -> AsyncIterator[Client]:
    """Yield a client of the running system."""
    async with system.client() as open_client:
        yield open_client


@pytest.fixture
async def http(system: System) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield a plain HTTP client of the running system."""
    async with system.http() as open_http:
        yield open_http


@pytest.fixture
def trace_id() -> str:
    """Return the trace id of the caller."""
    return secrets.token_hex(16)


@pytest.fixture
def traceparent(trace_id: str) -> str:
    """Return the traceparent of the caller."""
    return f"00-{trace_id}-{secrets.token_hex(8)}-01"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder in which the handlers of this test write their notes."""
    place = tmp_path / "notes"
    place.mkdir()
    return place
