"""Places for a test to put its workers; what they leave in Redis is checked when it ends."""

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
    """Let lease keepers look up more often: a test waits for each at its end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("millstream_workers.keeping.lease_keeper.POLL_S", 0.02)
        yield


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[FaultProxy]:
    """Yield a way to the Redis of the run that can be broken."""
    (address,) = parse_redis_url(redis_url).hosts
    async with FaultProxy(address) as proxy:
        yield proxy


@pytest.fixture
async def floor(broker: Broker, redis_url: str) -> AsyncIterator[Floor]:
    """Yield a floor. At the end every job of every queue has to be in exactly one place."""
    async with open_floor(broker, redis_url) as opened:
        yield opened
    for queue in await broker.registry.queues():
        await audit(broker, queue)


@pytest.fixture
def plant(floor: Floor, redis_url: str, tmp_path: Path) -> Iterator[Plant]:
    """Yield a plant beside the floor."""
    with open_plant(floor, redis_url, tmp_path) as opened:
        yield opened


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Return where the spans of the test end up."""
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> Iterator[JobTracer]:
    """Yield a tracer whose spans the test can read, made as that of the service is."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield JobTracer(provider, not_errors=(Snooze, Discard))
    provider.shutdown()
