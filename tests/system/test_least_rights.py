"""The whole system works with the rights of deploy/redis/users.acl and no others."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from cli.commands import run
from redis_servers import SERVERS, LocalServer, binary_for
from system.guarded import GuardedRedis, GuardedSystem, guarded_redis
from system.running import notes, settled, started
from waiting import wait_until

from millstream import Client
from millstream_contracts import JobState
from millstream_streams import NEEDS

ASK_FOR_ALL = ("MILLSTREAM_TEST_REDIS", "MILLSTREAM_TEST_EVERYWHERE")
"""The variable that asks for every server. A run takes half a minute on each, and tests/streams tries the differences
one by one.
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run on one server and a cluster of the default program, or on every server if the environment asks for it."""
    servers = metafunc.config.stash[SERVERS]
    sources = [source for source in servers.every.values() if isinstance(source, LocalServer)]
    if not any(map(os.environ.get, ASK_FOR_ALL)):
        binary = binary_for(servers.default)
        sources = [one for one in sources if one.binary == binary and one.mode != "sentinel"]
    if not sources:
        metafunc.parametrize(
            "redis", [pytest.param(None, marks=pytest.mark.skip("it takes servers of the tests' own"))]
        )
    else:
        metafunc.parametrize("redis", sources, ids=lambda source: source.name, indirect=True)


@pytest.fixture
def redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GuardedRedis]:
    """Yield servers with the users of the file and an administrator."""
    source: LocalServer = request.param
    with guarded_redis(tmp_path, source.binary, source.mode) as running:
        yield running


@pytest.fixture
def system(redis: GuardedRedis, tmp_path: Path) -> Iterator[GuardedSystem]:
    """Yield a system without running services."""
    system = GuardedSystem(redis, tmp_path)
    yield system
    system.kill()


async def test_jobs_go_every_way_with_no_right_to_spare(redis, system, folder):
    """Jobs go every way, and the servers refuse no command, not even one that a service would get over."""
    async with anyio.create_task_group() as tasks:
        for service in ("ingest", "dispatcher"):
            tasks.start_soon(system.start, service)
    async with system.client() as client:
        late = await client.submit("chore.now", expires_in=0.1)
        await wait_until(lambda: is_now(client, late.id, JobState.EXPIRED), "a job that no worker takes expires")
        first = await system.start("worker", "system.chores:app")
        await runs_every_way(client, system, folder)
        # Its first passes find something to look at.
        await system.start("reaper")
        await can_be_acted_upon(client, folder)
        await outlives_its_worker(client, system, folder, first)
    await anyio.to_thread.run_sync(is_well_for_the_doctor, system)
    assert set(system.stop()) == {0}
    assert redis.refusals() == []
    assert "hints are lost" not in system.logs()


async def runs_every_way(client: Client, system: GuardedSystem, folder: Path) -> None:
    """Submit jobs at once, delayed, prioritised, in a batch, twice and durably, which retry, die and have children."""
    note = {"folder": str(folder)}
    jobs = [
        await client.submit("chore.count", note, priority="high"),
        await client.submit("chore.retried", delay=0.2),
        await client.submit("chore.parent", note),
        await client.submit("chore.count", note, idempotency_key="once"),
        await client.submit("chore.closed"),
    ]
    again = await client.submit("chore.count", note, idempotency_key="once")
    batch = await client.submit_many("chore.count", [note] * 3)
    assert again.id == jobs[3].id
    ended = await settled(client, [*(job.id for job in jobs), *(item.id for item in batch.items)])
    assert [job.state for job in ended] == [
        *[JobState.SUCCEEDED] * 4, JobState.DEAD, *[JobState.SUCCEEDED] * 3,
    ]  # fmt: skip
    async with system.http() as http:
        for durability in ("replicated", "fsynced"):
            answer = await http.post(
                "/v1/jobs", json={"type": "chore.now"}, headers={"Prefer": f"durability={durability}"}
            )
            assert answer.status_code == 202 or answer.json()["type"] == "/problems/not-durable", answer.text


async def can_be_acted_upon(client: Client, folder: Path) -> None:
    """Read jobs in every state, redrive, discard and cancel."""
    note = {"folder": str(folder / "gated")}
    (folder / "gated").mkdir()
    waiting = await client.submit("chore.count", note, delay=3600)
    gate = await client.submit("chore.gate", note)
    await started(folder / "gated")
    hopeless = await client.submit("chore.hopeless", "no hope")
    await client.wait(hopeless.id)
    for state in ("queued", "running", "scheduled", "dead"):
        assert (await client.jobs(state=state)).items or state == "queued"
    assert hopeless.id in {letter.id for letter in (await client.dead()).items}
    assert await client.queues()
    assert await client.types()
    assert len(await client.workers()) == 1
    system = await client.system()
    assert [check.detail for check in system.checks if check.status == "bad"] == []
    assert system.redis is not None
    await client.redrive(ids=[hopeless.id])
    await wait_until(lambda: is_now(client, hopeless.id, JobState.DEAD), "it has died again")
    await client.discard(ids=[hopeless.id])
    await client.cancel(waiting.id)
    await client.cancel(gate.id)
    ended = await settled(client, [hopeless.id, waiting.id, gate.id])
    assert [job.state for job in ended] == [JobState.CANCELLED] * 3
    assert notes(folder / "gated", "stopped")


async def is_now(client: Client, job_id: str, state: JobState) -> bool:
    """Return whether a job is in this state."""
    return (await client.get(job_id)).state is state


async def outlives_its_worker(client: Client, system: GuardedSystem, folder: Path, first) -> None:
    """Kill a worker with a job and stop the next one: the job is recovered, handed back and done."""
    held = folder / "held"
    held.mkdir()
    job = await client.submit("chore.gate", {"folder": str(held)})
    await started(held)
    first.send_signal(signal.SIGKILL)
    second = await system.start("worker", "system.chores:app")
    await started(held, 2)
    third = await system.start("worker", "system.chores:app")
    second.send_signal(signal.SIGTERM)
    assert second.wait(60) == 0
    await started(held, 3)
    (held / "go").touch()
    (ended,) = await settled(client, [job.id])
    # On a cluster, a read of the worker that leaves may be given its own job back, and return it once more.
    assert (ended.state, ended.crashes, ended.handbacks > 0) == (JobState.SUCCEEDED, 1, True)
    assert third.poll() is None


def is_well_for_the_doctor(system: GuardedSystem) -> None:
    """Run the doctor with the rights of each service and with those of an operator."""
    for service in NEEDS:
        found = run("doctor", "--for", service, MILLSTREAM_REDIS_URL=system.redis_url(service))
        assert (found.exit_code, found.stderr) == (0, ""), found.output
    found = run("doctor", MILLSTREAM_REDIS_URL=system.redis_url("doctor"))
    assert (found.exit_code, "hides" in found.stdout) == (0, False), found.output
