"""A worker stops by an order, by a kill or in a freeze: no deploy costs an attempt, and no crash loses a job."""

import signal
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until
from workers.floor import open_floor
from workers.plant import Machine, Plant, notes, open_plant, runs

from millstream_cli.embedded import EmbeddedRedis
from millstream_contracts import JobId, JobState
from millstream_ingest.inspection.worker_drain import WorkerDrain
from millstream_reaper.recoverer import Recoverer
from millstream_streams import open_broker
from millstream_telemetry import JobTracer, MetricRegistry, ReaperMetrics

LEASE_S = 1.0
SHORT = {"lease_s": LEASE_S, "renew_every_s": 0.1}


def recoverer(plant: Plant, **settings: Any) -> Recoverer:
    """Return the reaper's duty for the leases of these tests."""
    broker = plant.floor.broker
    return Recoverer(
        broker.store,
        broker.registry,
        ReaperMetrics(MetricRegistry()),
        JobTracer(None),
        **{"lease_s": LEASE_S, "max_crashes": 3, "interval_s": 60.0, **settings},
    )


async def recover(plant: Plant, job_id: JobId, duty: Recoverer, crashes: int = 1) -> None:
    """Run the reaper's duty until the job has `crashes` crashes."""

    async def is_taken_back() -> bool:
        await duty.run_once()
        return (await plant.floor.job(job_id)).crashes == crashes

    await wait_until(is_taken_back, "the job is taken back")


async def drains(machine: Machine) -> None:
    """Return once a worker has begun to drain."""
    await wait_until(lambda: machine.has_logged("draining"), "the worker drains")


async def test_a_worker_that_is_told_to_stop_lets_running_jobs_finish(plant: Plant) -> None:
    """A stopping worker claims no more, lets its jobs end and submit within the grace, and exits with 0."""
    machine = await plant.start()
    kinds = ("gate", "stubborn", "process.gate", "parent")
    running = [await plant.floor.submit(kind, plant.payload) for kind in kinds]
    await plant.started(4)
    machine.send(signal.SIGTERM)
    await drains(machine)
    later = await plant.floor.submit("gate", plant.payload)
    plant.let_go()
    assert await machine.ended() == 0
    for job_id in running:
        job = await plant.floor.job(job_id)
        assert (job.state, job.deliveries, job.attempts) == (JobState.SUCCEEDED, 1, 1)
    child = JobId((await plant.floor.job(running[-1])).result)
    for job_id in (later, child):
        waiting = await plant.floor.job(job_id)
        # A blocking read that was under way may have brought it: then it went back.
        assert (waiting.state, waiting.attempts, waiting.deliveries) == (JobState.QUEUED, 0, waiting.handbacks)
    assert await plant.floor.broker.registry.workers() == []


async def test_a_worker_that_is_asked_to_drain_ends_with_its_last_job(plant: Plant) -> None:
    """A worker that was asked claims no more, says that it drains, and gives its job all the time it takes."""
    machine = await plant.start(grace_s=0.0, cleanup_s=0.0)
    registry = plant.floor.broker.registry
    (worker,) = await registry.workers()
    running = await plant.floor.submit("gate", plant.payload)
    await plant.started(1)
    assert await WorkerDrain(registry).ask("unknown:1:x") is None
    told = await WorkerDrain(registry).ask(worker.name)
    assert told is not None
    assert (told.name, told.state, told.busy) == (worker.name, "draining", 1)
    later = await plant.floor.submit("gate", plant.payload)
    # A second request changes nothing.
    assert await registry.ask_drain(worker.name)
    assert not machine.has_logged("handing back")
    plant.let_go()
    assert await machine.ended() == 0
    job = await plant.floor.job(running)
    assert (job.state, job.deliveries) == (JobState.SUCCEEDED, 1)
    waiting = await plant.floor.job(later)
    assert (waiting.state, waiting.deliveries) == (JobState.QUEUED, waiting.handbacks)
    assert await registry.workers() == []


async def test_the_order_to_stop_hurries_a_worker_that_drains(plant: Plant) -> None:
    """A signal to a worker that drains by request gives its jobs the grace alone; they start elsewhere."""
    machine = await plant.start(grace_s=0.1)
    registry = plant.floor.broker.registry
    (worker,) = await registry.workers()
    running = await plant.floor.submit("gate", plant.payload)
    await plant.started(1)
    await WorkerDrain(registry).ask(worker.name)
    machine.send(signal.SIGTERM)
    assert await machine.ended() == 0
    job = await plant.floor.job(running)
    assert (job.state, job.handbacks, job.attempts) == (JobState.QUEUED, 1, 0)


async def test_jobs_that_outlast_the_grace_start_elsewhere_at_once(plant: Plant) -> None:
    """A job of any kind of handler that outlasts the grace starts elsewhere at once, without a lease or an attempt."""
    machine = await plant.start(grace_s=0.1)
    kinds = ("gate", "defiant", "stubborn", "process.gate")
    ids = [await plant.floor.submit(kind, plant.payload, max_attempts=1) for kind in kinds]
    first = await plant.started(4)
    machine.send(signal.SIGTERM)

    async def are_all_back() -> bool:
        return all([(await plant.floor.job(job_id)).state is JobState.QUEUED for job_id in ids])

    await wait_until(are_all_back, "all are handed back")
    assert await machine.ended() == 0, "also when a thread cannot be stopped"
    for job_id in ids:
        job = await plant.floor.job(job_id)
        # Only now: a read that outlasts the grace may have brought one again, to go back once more.
        assert (job.state, job.attempts, job.crashes, job.handbacks) == (JobState.QUEUED, 0, 0, job.deliveries), job
    (in_process,) = [note["pid"] for note in first if note["pid"] != machine.pid]
    assert not runs(in_process)
    await plant.start()
    await plant.started(8)
    plant.let_go()
    for job_id in ids:
        job = await plant.floor.settled(job_id)
        assert (job.state, job.attempts, job.deliveries) == (JobState.SUCCEEDED, 1, job.handbacks + 1)


async def test_a_second_signal_hands_back_at_once(plant: Plant) -> None:
    """A second signal of either kind ends the grace of ten minutes and hands the jobs back at once."""
    machine = await plant.start(grace_s=600.0)
    job_id = await plant.floor.submit("gate", plant.payload)
    await plant.started(1)
    machine.send(signal.SIGINT)
    await drains(machine)
    machine.send(signal.SIGTERM)
    assert await machine.ended() == 0
    job = await plant.floor.job(job_id)
    assert (job.state, job.attempts, job.crashes, job.handbacks) == (JobState.QUEUED, 0, 0, job.deliveries)


async def test_jobs_of_a_killed_worker_run_again_and_count_a_crash(plant: Plant) -> None:
    """A job of a killed worker runs elsewhere after its lease, with a crash and no attempt; its processes are gone."""
    machine = await plant.start(**SHORT)
    kinds = ("gate", "stubborn", "process.gate")
    ids = [await plant.floor.submit(kind, plant.payload, max_attempts=1) for kind in kinds]
    first = await plant.started(3)
    machine.send(signal.SIGKILL)
    await machine.ended()
    pids = {note["pid"] for note in first}
    await wait_until(lambda: not any(runs(pid) for pid in pids), "its handler processes are gone")
    duty = recoverer(plant, lease_s=0.05)  # no other lease is held here
    for job_id in ids:
        await recover(plant, job_id, duty)
    await plant.start(**SHORT)
    await plant.started(6)
    plant.let_go()
    for job_id in ids:
        job = await plant.floor.settled(job_id)
        assert (job.state, job.attempts, job.deliveries, job.crashes) == (JobState.SUCCEEDED, 1, 2, 1)


async def test_a_job_that_kills_its_worker_is_buried_in_the_end(plant: Plant) -> None:
    """A job that kills its worker is buried after three crashes, whatever attempts it has left."""
    job_id = await plant.floor.submit("poison", plant.payload, max_attempts=100)
    duty = recoverer(plant, lease_s=0.05)  # no other lease is held here
    for crash in (1, 2, 3):
        machine = plant.launch(**SHORT)
        assert await machine.ended() == -signal.SIGKILL
        await recover(plant, job_id, duty, crash)
    job = await plant.floor.job(job_id)
    assert (job.state, job.reason, job.attempts) == (JobState.DEAD, "crashed", 0)
    assert len(notes(plant.folder, "started")) == 3


async def test_a_frozen_worker_finds_its_job_done_by_another(plant: Plant) -> None:
    """A worker that was frozen for longer than its lease cannot commit, and the job has one result."""
    frozen = await plant.start(**SHORT)
    job_id = await plant.floor.submit("gate", plant.payload)
    await plant.started(1)
    frozen.send(signal.SIGSTOP)
    await plant.start(**SHORT)
    duty = recoverer(plant)
    await recover(plant, job_id, duty)

    async def runs_elsewhere() -> bool:
        # The blocking read of the frozen one may be served first: then the job is taken from it once more.
        await duty.run_once()
        return len(notes(plant.folder, "started")) == 2

    await wait_until(runs_elsewhere, "the other worker has it")
    plant.let_go()
    job = await plant.floor.settled(job_id)
    frozen.send(signal.SIGCONT)

    def outcome() -> list[str]:
        return [line["outcome"] for line in frozen.log if line["event"] == "attempt finished"]

    await wait_until(lambda: frozen.has_logged("outcome refused") or outcome() == ["lost"], "its outcome is refused")
    assert await plant.floor.job(job_id) == job
    assert (job.result, job.deliveries, job.attempts, job.crashes) == (2, 2, 1, 1)
    # It is as good a worker as before.
    assert (await plant.floor.run("gate", plant.payload)).state is JobState.SUCCEEDED
    frozen.send(signal.SIGTERM)
    assert await frozen.ended() == 0


@pytest.mark.parametrize(
    "rights",
    [("&*", "+@all", "-@dangerous", "+info"), ("resetchannels", "+@all")],
    ids=["no dangerous commands", "no channels"],
)
async def test_a_worker_with_few_rights_works_and_stops_as_any_other(
    own_redis: EmbeddedRedis, tmp_path: Path, rights: tuple[str, ...]
) -> None:
    """A worker without the optional rights in Redis renews its leases, finishes its jobs, and leaves."""
    url = own_redis.url.replace("redis://", "redis://few:secret@")
    async with open_broker(own_redis.url, namespace="few") as broker, open_floor(broker, own_redis.url) as floor:
        await broker.client.execute_command("ACL", "SETUSER", "few", "on", ">secret", "~*", *rights)
        with open_plant(floor, url, tmp_path) as plant:
            machine = await plant.start(**SHORT)
            job_id = await floor.submit("process.gate", plant.payload, max_attempts=1)

            async def is_renewed() -> bool:
                return (await floor.job(job_id)).progress is not None

            await wait_until(is_renewed, "a renewal has brought the progress")
            machine.send(signal.SIGTERM)
            await drains(machine)
            plant.let_go()
            assert await machine.ended() == 0
            job = await floor.job(job_id)
            assert (job.state, job.deliveries) == (JobState.SUCCEEDED, 1)
