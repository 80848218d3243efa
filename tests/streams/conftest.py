"""Chooses the servers for each test of the store, and yields a queue that is audited and recounted after its test."""

from collections.abc import AsyncIterator

import pytest
from redis_servers import SERVERS, ServerPool, Servers
from streams.audit import audit, recount
from streams.gate_audit import audit_gate
from streams.server_choice import is_for_every_program, servers_of
from streams.unique_audit import audit_unique

from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_streams import Broker


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test that needs Redis with each server that suits it."""
    if "redis_url" in metafunc.fixturenames:
        found = servers_of(metafunc.module.__name__, metafunc.function.__name__, metafunc.config.stash[SERVERS])
        metafunc.parametrize("redis_url", found, ids=lambda source: source.name, indirect=True)
    elif "redis_binary" in metafunc.fixturenames and is_for_every_program(metafunc.module.__name__):
        programs = metafunc.config.stash[SERVERS].programs
        metafunc.parametrize("redis_binary", programs.values(), ids=programs.keys(), indirect=True)


@pytest.fixture
def examples(redis_url: str, server_pool: ServerPool, servers: Servers) -> int:
    """Return how many random examples a test runs: few where another server has run many."""
    return 20 if redis_url == server_pool.url_of(servers.default) else 5


@pytest.fixture
async def queue(broker: Broker) -> AsyncIterator[Queue]:
    """Yield a queue, and check at the end that each job is in one place and has an event for each transition."""
    queue = Queue(DEFAULT_TENANT, JobType("email.send"))
    yield queue
    snapshot = await audit(broker, queue)
    await audit_gate(broker, queue, snapshot)
    await audit_unique(broker, queue, snapshot)
    await recount(broker, snapshot, queue)


@pytest.fixture
def torn_queue() -> Queue:
    """Return a queue that a test damages on purpose, and that is not checked at the end."""
    return Queue(DEFAULT_TENANT, JobType("report.generate"))
