"""`worker --processes N` runs several worker processes that start and stop together."""

import os
import signal

import pytest
from cli.commands import started_program
from msgspec.structs import replace
from waiting import wait_until
from written import whole_lines

from millstream_cli.serving.worker import worker
from millstream_cli.settings import load
from millstream_cli.worker_pool import pool_specs, stop_within_s
from millstream_streams import Broker
from millstream_workers.keeping.draining import STUBBORN_S
from millstream_workers.settings import WorkerSettings


def test_each_process_reads_the_settings_of_its_pool() -> None:
    """Each process gets the options of its pool as options, and the environment as it is."""
    environ = {"MILLSTREAM_ADMIN_PORT": "9100", "MILLSTREAM_LEASE_S": "20", "MILLSTREAM_CONCURRENCY": "5"}
    typed = {"apps": ("shop:app", "mail:app"), "types": ("a.*", "b.c"), "concurrency": 7, "processes": 3}
    typed["tenants"] = ("acme", "globex")
    settings = load(WorkerSettings, environ, **typed)
    for index, spec in enumerate(pool_specs(settings, environ)):
        words = spec.argv[spec.argv.index("worker") + 1 :]
        options = worker.make_context("worker", list(words)).params
        read = load(WorkerSettings, spec.env, **options)
        assert read == replace(settings, processes=1, admin_port=9100 + index)
        assert spec.name == f"worker-{index + 1}"


@pytest.mark.parametrize(("grace_s", "cleanup_s"), [(20.0, 5.0), (600.0, 60.0), (0.0, 0.0)])
def test_processes_are_given_longer_than_their_workers_take(grace_s: float, cleanup_s: float) -> None:
    """A worker process is killed only after the grace, the clean-up and the hand-back of its jobs."""
    settings = WorkerSettings(grace_s=grace_s, cleanup_s=cleanup_s)
    assert stop_within_s(settings) >= grace_s + cleanup_s + STUBBORN_S + 1.0


def test_each_process_takes_a_free_admin_port_where_the_pool_has_port_0() -> None:
    """With admin port 0 each process takes a free port."""
    environ = {"MILLSTREAM_ADMIN_PORT": "0"}
    settings = load(WorkerSettings, environ, processes=2)
    assert [spec.env["MILLSTREAM_ADMIN_PORT"] for spec in pool_specs(settings, environ)] == ["0", "0"]


async def test_pool_starts_a_worker_again_that_was_killed_and_stops_all_when_told_to(
    broker: Broker, redis_url, namespace, tmp_path
):
    """A pool starts a killed worker again, and stops all of its workers in order."""
    words = ("worker", "millstream_cli.demo.jobs:app", "--types", "demo.d*", "--concurrency", "7", "--processes", "2")
    settings = {"MILLSTREAM_REDIS_URL": redis_url, "MILLSTREAM_NAMESPACE": namespace}
    log = tmp_path / "log"

    async def pids() -> set[int]:
        return {int(worker.name.split(":")[1]) for worker in await broker.registry.workers()}

    async def are(count: int) -> bool:
        return len(await pids()) == count

    with started_program(*words, log=log, **settings) as pool:
        await wait_until(lambda: are(2), "both are there", 60)
        workers = await broker.registry.workers()
        assert {(*worker.types, worker.concurrency) for worker in workers} == {("demo.delayed", 7)}
        os.kill((await pids()).pop(), signal.SIGKILL)
        # The killed one stays listed until a reaper misses it.
        await wait_until(lambda: are(3), "a third has come", 60)
        pool.send_signal(signal.SIGTERM)
        assert pool.wait(60) == 0, log.read_text()
    assert await are(1)
    heads = {line.split(" | ")[0].strip() for line in whole_lines(log)}
    assert heads == {"worker-1", "worker-2", "supervisor"}
