"""A job that has one crash left runs alone, so that no other job is charged for its crash."""

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from waiting import wait_until
from workers.floor import Floor, queue_of_id, queue_of_type
from workers.plant import Plant, notes

from millstream import App, Context
from millstream_contracts import JobId, JobState
from millstream_streams import JobStore, StoreUnavailableError
from millstream_telemetry import MetricRegistry, WorkerMetrics
from millstream_workers.attempt.running import Running
from millstream_workers.fetching.slots import Slots
from millstream_workers.keeping.committer import Committer
from millstream_workers.running.quarantine import ELSEWHERE_AFTER_S, Quarantine

MAX_CRASHES = 3


class Bench:
    """An app whose jobs, each with a name, run until the test lets them end."""

    def __init__(self) -> None:
        self.app = App("test")
        self.running: list[str] = []
        self.seen_together: list[set[str]] = []
        self._go: dict[str, anyio.Event] = {}

        @self.app.job("gate")
        async def gate(name: str, ctx: Context) -> int:
            self.running.append(name)
            self.seen_together.append(set(self.running))
            try:
                await self._gate(name).wait()
            finally:
                self.running.remove(name)
            return ctx.fence

    def let_go(self, *names: str) -> None:
        """Let these jobs end."""
        for name in names:
            self._gate(name).set()

    def runs(self, *names: str) -> bool:
        """Return whether exactly these jobs run."""
        return set(self.running) == set(names)

    def _gate(self, name: str) -> anyio.Event:
        return self._go.setdefault(name, anyio.Event())


async def crash(floor: Floor, job_id: JobId, times: int = MAX_CRASHES - 1) -> None:
    """Let workers die with this job, the only one of its queue, and recover it each time, until one crash is left."""
    queue = queue_of_id(job_id)
    for turn in range(times):
        await floor.broker.store.claim(queue, consumer="gone", nonce=f"{job_id}.{turn}", limit=1)
        await floor.take_back(job_id)


async def fields(floor: Floor, job_id: JobId) -> dict[str, Any]:
    """Return what Redis holds of a job."""
    found = await floor.broker.client.hgetall(floor.broker.keys.of(queue_of_id(job_id)).job(job_id))
    return {name.decode(): value for name, value in found.items()}


async def is_apart(floor: Floor, job_id: JobId) -> bool:
    """Return whether Redis has noted that a job waits to run alone."""
    return "apart" in await fields(floor, job_id)


async def test_a_job_on_its_last_crash_waits_for_its_neighbours_and_then_runs_alone(floor: Floor) -> None:
    """A job on its last crash waits for the running jobs, and nothing else starts until it has ended."""
    bench = Bench()
    suspect = await floor.submit("gate", "suspect")
    await crash(floor, suspect)
    await floor.submit_many("gate", ["a", "b"])
    await floor.hire(bench.app)
    await wait_until(lambda: is_apart(floor, suspect), "the suspect waits")
    await wait_until(lambda: bench.runs("a", "b"), "its neighbours run")
    late = await floor.submit("gate", "late")
    bench.let_go("a", "b")
    await wait_until(lambda: bench.runs("suspect"), "the suspect runs")
    assert not await is_apart(floor, suspect)
    assert (await floor.job(late)).state is JobState.QUEUED
    bench.let_go("suspect", "late")
    assert (await floor.settled(suspect)).state is JobState.SUCCEEDED
    assert (await floor.settled(late)).state is JobState.SUCCEEDED
    assert {"suspect"} in bench.seen_together
    assert [group for group in bench.seen_together if "suspect" in group and len(group) > 1] == []


async def test_jobs_on_their_last_crash_run_one_after_the_other(floor: Floor) -> None:
    """Jobs on their last crash run one after the other, so that one of them alone is to blame for a crash."""
    bench = Bench()
    suspects = []
    for name in ("a", "b", "c"):
        suspects.append(await floor.submit("gate", name))
        await floor.broker.store.claim(queue_of_type("gate"), consumer="gone", nonce=name, limit=1)
    for turn in ("x", "y"):
        await floor.broker.store.recover(queue_of_type("gate"), lease_ms=0, max_crashes=100)
        if turn == "x":
            await floor.broker.store.claim(queue_of_type("gate"), consumer="gone", nonce=turn, limit=3)
    await floor.hire(bench.app)
    for _ in suspects:
        await wait_until(lambda: len(bench.running) == 1, "one of them runs")
        bench.let_go(*bench.running)
        await wait_until(lambda: not any(bench._gate(name).is_set() for name in bench.running), "it has ended")
    for suspect in suspects:
        assert (await floor.settled(suspect)).state is JobState.SUCCEEDED
    assert max(len(group) for group in bench.seen_together) == 1


async def test_what_ended_before_a_job_on_its_last_crash_is_committed_before_it_runs(floor: Floor) -> None:
    """Ended jobs are committed before a job on its last crash runs, so that its crash is not charged to them."""
    app, begun, uncommitted = App("test"), [], []

    @app.job("quick")
    async def quick(ctx: Context) -> None:
        uncommitted.extend([one for one in begun if (await floor.job(one)).state is JobState.RUNNING])
        begun.append(JobId(ctx.job_id))

    for turn in range(5):
        await floor.submit("quick", None)
        await floor.broker.store.claim(queue_of_type("quick"), consumer="gone", nonce=str(turn), limit=1)
    await floor.broker.store.recover(queue_of_type("quick"), lease_ms=0, max_crashes=100)
    await floor.broker.store.claim(queue_of_type("quick"), consumer="gone", nonce="again", limit=5)
    await floor.broker.store.recover(queue_of_type("quick"), lease_ms=0, max_crashes=100)
    await floor.hire(app)
    await wait_until(lambda: len(begun) == 5, "all have begun")
    assert uncommitted == []


async def test_a_job_with_crashes_to_spare_runs_beside_others(floor: Floor) -> None:
    """A job with crashes to spare runs beside others, because a lost worker is mostly the fault of no job."""
    bench = Bench()
    once = await floor.submit("gate", "once")
    await crash(floor, once, times=1)
    await floor.submit("gate", "other")
    await floor.hire(bench.app)
    await wait_until(lambda: bench.runs("once", "other"), "both run")
    bench.let_go("once", "other")
    await floor.settled(once)


async def test_a_worker_that_does_not_become_free_gives_the_job_up_at_no_cost(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose other jobs do not end in time hands a waiting job back at no cost."""
    monkeypatch.setattr("millstream_workers.running.quarantine.PATIENCE_S", 0.05)
    bench = Bench()
    suspect = await floor.submit("gate", "suspect")
    await crash(floor, suspect)
    await floor.submit("gate", "long")
    await floor.hire(bench.app)
    await floor.broker.store.release_due(queue_of_type("gate"))

    async def is_put_off() -> bool:
        return (await floor.job(suspect)).state is JobState.SCHEDULED

    await wait_until(is_put_off, "the suspect is put off")
    job = await floor.job(suspect)
    assert (job.attempts, job.crashes) == (0, MAX_CRASHES - 1)
    assert job.run_at is not None
    # In half a minute: neither at once, when it would find the same neighbour, nor so late that it is forgotten.
    assert timedelta(seconds=10) < job.run_at - datetime.now(UTC) <= timedelta(seconds=ELSEWHERE_AFTER_S)
    await floor.submit("gate", "next")
    await wait_until(lambda: bench.runs("long", "next"), "the worker takes jobs again")
    bench.let_go("long", "next")


async def test_a_waiting_job_whose_note_redis_does_not_take_is_handed_back_and_does_not_run(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A waiting job that Redis does not mark as isolated is handed back and does not run.

    Without the mark, crashes could be charged to the wrong job.
    """
    bench = Bench()
    suspect = await floor.submit("gate", "suspect")
    await crash(floor, suspect)

    async def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(JobStore, "mark_isolated", refuse)
    await floor.submit("gate", "neighbour")
    await floor.hire(bench.app)
    await wait_until(lambda: bench.runs("neighbour"), "its neighbour runs")

    async def is_back() -> bool:
        return (await floor.job(suspect)).handbacks >= 1

    await wait_until(is_back, "the suspect is handed back")
    assert "suspect" not in {name for group in bench.seen_together for name in group}
    monkeypatch.undo()
    bench.let_go("suspect", "neighbour")
    assert (await floor.settled(suspect)).crashes == MAX_CRASHES - 1


async def test_a_job_that_is_cancelled_while_it_waits_to_run_alone_does_not_run(floor: Floor) -> None:
    """A job that is cancelled while it waits to run alone does not run."""
    bench = Bench()
    suspect = await floor.submit("gate", "suspect")
    await crash(floor, suspect)
    await floor.submit("gate", "neighbour")
    await floor.hire(bench.app, renew_every_s=0.1)
    await wait_until(lambda: is_apart(floor, suspect), "the suspect waits")
    await wait_until(lambda: bench.runs("neighbour"), "its neighbour runs")
    waiting = queue_of_id(suspect)
    await floor.broker.client.hset(floor.broker.keys.of(waiting).job(suspect), "cancel", 1)
    (hired,) = floor.hired
    held = hired.worker.parts.leases._held
    await wait_until(
        lambda: any(one.interruption for one in held.values() if one.id == suspect), "its worker has heard of it"
    )
    bench.let_go("neighbour", "suspect")
    job = await floor.settled(suspect)
    assert (job.state, job.attempts) == (JobState.CANCELLED, 0)
    assert "suspect" not in {name for group in bench.seen_together for name in group}


async def test_a_job_on_its_last_crash_waits_for_the_answer_to_a_claim(floor: Floor) -> None:
    """A job on its last crash waits for the response to a claim, whose jobs belong to this worker already."""
    queue = queue_of_type("gate")
    suspect = await floor.submit("gate", "suspect")
    (delivery,) = (await floor.broker.store.claim(queue, consumer="me", nonce="n", limit=1)).deliveries
    slots, ran = Slots(2), anyio.Event()
    committer = Committer(
        floor.broker.store, WorkerMetrics(MetricRegistry()), "me", lease_s=600.0, concluded=lambda _: None
    )
    quarantine = Quarantine(floor.broker.store, slots, committer, worker="me", max_crashes=3)

    async def execute() -> None:
        ran.set()

    slots.take()
    with anyio.fail_after(20.0):
        async with anyio.create_task_group() as tasks:
            with slots.claiming():
                tasks.start_soon(quarantine.run, Running(delivery), execute)
                await wait_until(lambda: is_apart(floor, suspect), "it waits")
                assert not ran.is_set()
            await ran.wait()
    slots.release()
    await floor.take_back(suspect)


async def test_a_waiting_job_is_handed_back_at_once_when_its_worker_leaves(plant: Plant) -> None:
    """A worker that leaves hands a job that waits to run alone back at once and at no cost.

    The hand-back does not wait for the end of a blocking read that is under way, which takes seconds on a cluster or
    without the right to unblock it. The read may deliver the very job again: it goes back once more and does not begin.
    """
    floor = plant.floor
    suspect = await floor.submit("gate", plant.payload)
    await crash(floor, suspect)
    await floor.submit("gate", plant.payload)
    machine = await plant.start(grace_s=600)
    await plant.started(1)
    await wait_until(lambda: is_apart(floor, suspect), "the suspect waits")
    machine.process.terminate()

    async def is_back() -> bool:
        return (await floor.job(suspect)).state is JobState.QUEUED

    await wait_until(is_back, "it is handed back")
    plant.let_go()
    assert await machine.ended() == 0
    # Only now: until then it may be in the hands of the worker once more.
    job = await floor.job(suspect)
    assert (job.state, job.attempts, job.crashes) == (JobState.QUEUED, 0, MAX_CRASHES - 1)
    assert job.deliveries == job.crashes + job.handbacks
    assert len(notes(plant.folder, "started")) == 1, "its neighbour, and never itself"


async def test_the_neighbours_of_a_poisonous_job_survive_it(plant: Plant) -> None:
    """A job that kills three workers is buried, and the jobs beside it lose only time."""
    floor = plant.floor
    poison = await floor.submit("poison", plant.payload)
    neighbours = await floor.submit_many("gate", [plant.payload] * 5)
    queues = [queue_of_type("gate"), queue_of_type("poison")]
    for turn in range(MAX_CRASHES):
        if turn == MAX_CRASHES - 1:
            plant.let_go()  # each runs alone from now on, so those that hold on would keep the poison out
        await plant.launch().ended()
        for queue in queues:
            await floor.broker.store.recover(queue, lease_ms=0, max_crashes=MAX_CRASHES)
    job = await floor.job(poison)
    assert (job.state, job.reason) == (JobState.DEAD, "crashed")
    plant.launch()
    for neighbour in neighbours:
        assert (await floor.settled(neighbour)).state is JobState.SUCCEEDED
    assert len(notes(plant.folder, "ended")) == len(neighbours)
