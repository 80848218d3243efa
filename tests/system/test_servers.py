"""The whole system runs a job of each kind on every server of this machine."""

from collections.abc import AsyncIterator

import pytest
from leftovers import delete_namespace, find_leaks
from redis_servers import SERVERS
from system.running import running_system, settled

from millstream_contracts import JobState
from millstream_streams import open_broker


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run on every server."""
    servers = metafunc.config.stash[SERVERS].every
    metafunc.parametrize("redis_url", servers.values(), ids=servers.keys(), indirect=True)


@pytest.fixture
async def clean_namespace(redis_url: str, namespace: str) -> AsyncIterator[str]:
    """Yield a key prefix below which only keys of the Redis model may be left."""
    yield namespace
    async with open_broker(redis_url, namespace=namespace) as broker:
        leaks = await find_leaks(broker.client, namespace)
        await delete_namespace(broker.client, namespace)
    assert not leaks


async def test_jobs_go_every_way_on_every_server(redis_url, clean_namespace, tmp_path):
    """Jobs run at once and delayed, are retried, buried, redriven and cancelled."""
    environ = {"MILLSTREAM_NAMESPACE": clean_namespace}
    with running_system(tmp_path, redis_url=redis_url, environ=environ, workers=1) as system:
        async with system.client() as client:
            names = ("chore.now", "demo.flaky", "demo.poison")
            jobs = [await client.submit(name) for name in names]
            jobs.append(await client.submit("chore.now", delay=0.2))
            late = await client.submit("chore.now", delay=3600)
            await client.cancel(late.id)
            ended = await settled(client, [job.id for job in (*jobs, late)])
            assert [job.state for job in ended] == [
                JobState.SUCCEEDED,
                JobState.SUCCEEDED,
                JobState.DEAD,
                JobState.SUCCEEDED,
                JobState.CANCELLED,
            ]
            assert [job.attempts for job in ended] == [1, 3, 3, 1, 0]
            await client.redrive(ids=[ended[2].id])
            (again,) = await settled(client, [ended[2].id])
            assert (again.state, again.attempts) == (JobState.DEAD, 3)
            assert system.restarts() == []
