"""Fixtures that run workers in tests; each checks at the end what its workers left in Redis."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from chaos.fault_proxy import FaultProxy
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from streams.audit import audit
from workers.floor import Floor, open_floor
from workers.plant import Plant, open_plant

from millstream import Discard, Snooze
from millstream_streams import Broker, parse_redis_url
from millstream_telemetry import JobTracer


@pytest.fixture(scope="session", autouse=True)
def short_steps() -> Iterator[None]:
    """Let lease keepers look more often, because each test waits for a lease keeper to end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("millstream_workers.keeping.lease_keeper.POLL_S", 0.02)
        yield


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[FaultProxy]:
    """Yield a proxy to the Redis of the run that a test can break."""
    (address,) = parse_redis_url(redis_url).hosts
    async with FaultProxy(address) as proxy:
        yield proxy


@pytest.fixture
async def floor(broker: Broker, redis_url: str) -> AsyncIterator[Floor]:
    """Yield a floor of workers, and check at the end that every job of every queue is in exactly one place."""
    async with open_floor(broker, redis_url) as opened:
        yield opened
    for queue in await broker.registry.queues():
        await audit(broker, queue)


@pytest.fixture
def plant(floor: Floor, redis_url: str, tmp_path: Path) -> Iterator[Plant]:
    """Yield a plant, which runs workers as processes, on the namespace of the floor."""
    with open_plant(floor, redis_url, tmp_path) as opened:
        yield opened


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Return the exporter that receives the spans."""
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> Iterator[JobTracer]:
    """Yield a tracer that exports to `exporter` and takes the same exceptions as the service for no errors."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield JobTracer(provider, not_errors=(Snooze, Discard))
    provider.shutdown()
