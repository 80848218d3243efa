"""Worker processes leave with many signals, with many jobs, without Redis, and with outcomes that Redis refuses."""

import signal
from collections import Counter
from io import StringIO
from pathlib import Path

import anyio
import pytest
from chaos.fault_proxy import FaultProxy
from waiting import wait_until
from workers.floor import Floor, queue_of_type
from workers.plant import Machine, Plant, notes, open_plant

from millstream import App
from millstream_contracts import JobState
from millstream_telemetry import configure_logs

FAR_S = 3600.0
LEASE = {"lease_s": FAR_S, "renew_every_s": 0.5}
"""A lease so long that it cannot be what brought a job to another worker."""


@pytest.fixture
def remote(floor: Floor, link: FaultProxy, tmp_path: Path) -> Plant:
    """Yield a plant whose connection to Redis a test can break."""
    with open_plant(floor, link.url, tmp_path) as plant:
        yield plant


async def logs(machine: Machine, event: str) -> None:
    """Return once a worker has logged this event."""
    await wait_until(lambda: machine.has_logged(event), f"the worker says `{event}`")


async def test_hundreds_of_running_jobs_start_elsewhere_without_waiting_for_a_lease(plant: Plant) -> None:
    """A leaving worker hands hundreds of running jobs back at once, at no attempt, and an idle worker takes them.

    A read of the leaving worker that outlasts the grace may deliver a job to it once more: that job goes back again and
    does not begin.
    """
    leaving = await plant.start(concurrency=300, grace_s=0.2, **LEASE)
    sizes = {"gate": 120, "defiant": 40, "parent": 30, "stubborn": 10}
    ids = []
    for kind, size in sizes.items():
        ids += await plant.floor.submit_many(kind, [plant.payload] * size, max_attempts=1)
    await plant.started(len(ids))
    await plant.start(concurrency=300, **LEASE)
    leaving.send(signal.SIGTERM)
    await plant.started(2 * len(ids))
    assert await leaving.ended() == 0
    plant.let_go()
    for job_id in ids:
        job = await plant.floor.settled(job_id)
        assert (job.state, job.deliveries) == (JobState.SUCCEEDED, job.handbacks + 1)
        assert (job.attempts, job.crashes) == (1, 0)
    begun = Counter(note["job"] for note in notes(plant.folder, "started"))
    assert {begun[job_id] for job_id in ids} == {2}


async def test_a_worker_that_leaves_while_redis_is_away_keeps_what_was_done_until_it_is_told(
    remote: Plant, link: FaultProxy
) -> None:
    """A worker that leaves during an outage commits what ended in the drain once Redis is back, and then ends."""
    machine = await remote.start(grace_s=FAR_S, **LEASE)
    job_id = await remote.floor.submit("gate", remote.payload)
    await remote.started(1)
    machine.send(signal.SIGTERM)
    await logs(machine, "draining")
    link.refuse()
    remote.let_go()
    await logs(machine, "outcomes not committed")
    assert machine.process.poll() is None
    link.heal()
    assert await machine.ended() == 0
    job = await remote.floor.job(job_id)
    assert (job.state, job.deliveries, job.crashes) == (JobState.SUCCEEDED, 1, 0)
    assert await remote.floor.broker.registry.workers() == []


async def test_a_worker_told_three_times_leaves_also_without_redis(remote: Plant, link: FaultProxy) -> None:
    """At the third signal a worker leaves also without Redis, and logs which jobs it leaves to their leases."""
    machine = await remote.start(grace_s=FAR_S, **LEASE)
    job_id = await remote.floor.submit("gate", remote.payload)
    await remote.started(1)
    link.swallow()
    for order in ("stopping", "hurrying", "abandoning"):
        machine.send(signal.SIGTERM)
        await logs(machine, order)
    assert await machine.ended() == 0
    assert machine.has_logged("outcomes abandoned")
    assert (await remote.floor.job(job_id)).state is JobState.RUNNING
    link.cut()
    link.heal()
    await remote.floor.take_back(job_id)


async def test_a_worker_told_three_times_waits_for_no_outcome_of_handlers_that_still_end(floor: Floor) -> None:
    """A handler that ends after the third signal is no crash of the worker, which takes no outcome any more."""
    app, runs, cleaning, may_end = App("test"), anyio.Event(), anyio.Event(), anyio.Event()

    @app.job("slow")
    async def slow() -> None:
        runs.set()
        try:
            await anyio.sleep_forever()
        finally:
            cleaning.set()
            with anyio.CancelScope(shield=True):
                await may_end.wait()

    hired = await floor.hire(app, grace_s=FAR_S, lease_s=FAR_S)
    await floor.submit("slow")
    # Not its state in Redis: the worker may not have read of its claim yet, and would hand the job back.
    await wait_until(runs.is_set, "it runs")
    hired.orders.stop.set()
    hired.orders.hurry.set()
    await wait_until(cleaning.is_set, "it cleans up")
    hired.orders.abandon.set()
    await anyio.wait_all_tasks_blocked()
    may_end.set()
    await wait_until(lambda: not hired.is_running, "the worker has ended")
    floor.check()


async def test_a_worker_gives_up_handing_back_when_the_leases_are_over(floor: Floor, link: FaultProxy) -> None:
    """A worker gives up handing back when the leases are over, because by then reapers have recovered the jobs."""
    # As in a worker process: what structlog makes of an exception in a terminal takes seconds.
    configure_logs("workers", "info", StringIO())
    app, runs = App("test"), anyio.Event()

    @app.job("long")
    async def long() -> None:
        runs.set()
        await anyio.sleep_forever()

    hired = await floor.hire(app, redis_url=link.url, grace_s=0.0, lease_s=0.5, renew_every_s=0.1)
    job_id = await floor.submit("long")
    await wait_until(runs.is_set, "it runs")
    link.refuse()
    hired.orders.stop.set()
    await wait_until(lambda: not hired.is_running, "the worker has ended")
    floor.check()
    assert (await floor.job(job_id)).handbacks == 0
    await floor.take_back(job_id)


async def test_an_outcome_that_redis_never_takes_does_not_keep_a_worker_from_leaving(plant: Plant) -> None:
    """A worker drops an outcome that Redis refuses for good, names its job in the log, and leaves."""
    machine = await plant.start(**LEASE)
    broken, sound = [await plant.floor.submit(kind, plant.payload) for kind in ("gate", "stubborn")]
    await plant.started(2)
    client, keys = plant.floor.broker.client, plant.floor.broker.keys.of(queue_of_type("gate"))
    await client.rename(keys.ready[1], f"{keys.ready[1]}:aside")
    await client.set(keys.ready[1], "no stream")
    plant.let_go()
    await logs(machine, "outcomes not committed")
    machine.send(signal.SIGTERM)
    assert await machine.ended() == 0
    (dropped,) = [line for line in machine.log if line["event"] == "outcomes dropped"]
    assert dropped["ids"] == [broken]
    assert (await plant.floor.job(sound)).state is JobState.SUCCEEDED
    await client.rename(f"{keys.ready[1]}:aside", keys.ready[1])
    await plant.floor.take_back(broken)


async def test_a_second_signal_to_several_processes_hands_back_at_once(plant: Plant) -> None:
    """The supervisor passes a second signal on to its worker processes, which hand back at once instead of crashing."""
    pool = plant.launch(processes=2, grace_s=FAR_S, **LEASE)
    ids = await plant.floor.submit_many("gate", [plant.payload] * 6, max_attempts=1)
    first = await plant.started(len(ids))
    log = plant.folder / "worker-0.log"
    await wait_until(lambda: log.read_text().count('"worker started"') == 2, "both work")
    pool.send(signal.SIGTERM)
    await wait_until(lambda: log.read_text().count('"draining"') == 2, "both drain")
    pool.send(signal.SIGTERM)
    assert await pool.ended() == 0
    for job_id in ids:
        job = await plant.floor.job(job_id)
        assert (job.state, job.handbacks, job.attempts, job.crashes) == (JobState.QUEUED, job.deliveries, 0, 0)
    assert len(notes(plant.folder, "started")) == len(first)
