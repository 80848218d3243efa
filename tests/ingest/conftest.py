"""Fixtures that run an ingest on the namespace of the test."""

from collections.abc import AsyncIterator

import pytest
from chaos.fault_proxy import FaultProxy
from ingest.serving import DOORS, Ingest, patient, running_ingest

from millstream_cli.embedded import EmbeddedRedis
from millstream_contracts import DEFAULT_TENANT, JobType, Queue, TypePolicy, TypeRegistration
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker, open_broker

EMAIL_SCHEMA = {
    "type": "object",
    "properties": {"to": {"type": "string"}, "copies": {"type": "integer", "minimum": 0}},
    "required": ["to"],
    "additionalProperties": False,
}


@pytest.fixture
def settings(redis_url: str, namespace: str) -> IngestSettings:
    """Return the settings of an ingest on keys of its own."""
    return IngestSettings(redis_url=redis_url, namespace=namespace, port=0)


@pytest.fixture
def door() -> str:
    """Return the door, fast path or router, through which submissions go; tests of submissions override it."""
    return DOORS[0]


@pytest.fixture
async def ingest(broker: Broker, settings: IngestSettings, door: str) -> AsyncIterator[Ingest]:
    """Yield a running ingest, whose jobs `broker` sees."""
    async with running_ingest(patient(settings), door=door) as running:
        yield running


@pytest.fixture
def queue() -> Queue:
    """Return the queue that submissions of `email.send` go to."""
    return Queue(DEFAULT_TENANT, JobType("email.send"))


@pytest.fixture
async def registered(broker: Broker) -> TypeRegistration:
    """Register `email.send` with a schema of its payload, as a worker does."""
    registration = TypeRegistration(
        type=JobType("email.send"), policy=TypePolicy(max_attempts=7), payload_schema=EMAIL_SCHEMA
    )
    await broker.registry.add_types(DEFAULT_TENANT, [registration])
    return registration


@pytest.fixture
async def link(own_redis: EmbeddedRedis) -> AsyncIterator[FaultProxy]:
    """Yield a proxy for a Redis of this test's own, which can be slow, broken, or lead elsewhere."""
    async with FaultProxy(("127.0.0.1", own_redis.port)) as proxy:
        yield proxy


@pytest.fixture
async def primary(own_redis: EmbeddedRedis, namespace: str) -> AsyncIterator[Broker]:
    """Yield a broker on the server itself, without the proxy."""
    async with open_broker(own_redis.url, namespace=namespace) as opened:
        yield opened
