"""Queues for the tests of duties, which are audited when a test ends."""

from collections.abc import AsyncIterator

import pytest
from streams.audit import audit

from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_streams import Broker
from millstream_telemetry import MetricRegistry


@pytest.fixture
async def queues(broker: Broker) -> AsyncIterator[list[Queue]]:
    """Yield three registered queues, two of one type."""
    queues = [
        Queue(DEFAULT_TENANT, JobType("email.send"), 0),
        Queue(DEFAULT_TENANT, JobType("email.send"), 1),
        Queue(DEFAULT_TENANT, JobType("report"), 0),
    ]
    await broker.registry.add_queues(queues)
    yield queues
    for queue in queues:
        await audit(broker, queue)


@pytest.fixture
def metrics() -> MetricRegistry:
    """Return an empty registry of metrics that knows the types."""
    registry = MetricRegistry()
    registry.register_types(["email.send", "report"])
    return registry
