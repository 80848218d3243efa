"""The committer counts every outcome once, lets its lease go, and keeps it until Redis has stored it."""

from collections.abc import Iterator
from typing import get_args

import anyio
import pytest
from chaos.fault_proxy import FaultProxy
from streams.seeds import ERROR
from structlog.testing import capture_logs
from waiting import wait_until
from workers.floor import Floor, queue_of_id, queue_of_type

from millstream_contracts import (
    DEFAULT_TENANT,
    Calling,
    Cancelled,
    Dead,
    HandedBack,
    JobError,
    JobId,
    JobState,
    JobType,
    Outcome,
    Queue,
    RetryAt,
    Snoozed,
    SnoozeGate,
    Succeeded,
    Waiting,
)
from millstream_streams import Broker, Delivery, open_broker
from millstream_telemetry import MetricRegistry, WorkerMetrics
from millstream_workers.keeping.committer import Committer, Finished
from millstream_workers.keeping.holder import Holder

NAME = "host:1:me"
FAR_S = 3600.0
NIL = b"\xc0"

TIMEOUT = JobError("timeout", "the attempt took longer than 1 s", "timeout", "", 1)

ENDS: dict[str, tuple[Outcome, str, JobState | None]] = {
    "succeeded": (Succeeded(NIL), "ok", JobState.SUCCEEDED),
    "retry": (RetryAt(0, ERROR), "error", None),
    "retry after a timeout": (RetryAt(0, TIMEOUT), "timeout", None),
    "dead": (Dead("attempts", ERROR), "error", JobState.DEAD),
    "dead of a timeout": (Dead("attempts", TIMEOUT), "timeout", JobState.DEAD),
    "cancelled": (Cancelled("cancelled"), "cancelled", JobState.CANCELLED),
    "snoozed": (Snoozed(0), "snoozed", None),
    "waiting for a signal": (Waiting("approval", 1_000), "snoozed", None),
    "waiting for jobs": (Calling((JobId("a_000001KBCSZ4000ABCDEFGHJKM"),)), "snoozed", None),
    "handed back": (HandedBack(), "handed_back", None),
}
"""By kind: an outcome, the label under which its attempt is counted, and the state that it settles its job in."""


class Counter:
    """A committer, and the counters that it increments."""

    def __init__(self, broker: Broker, lease_s: float = FAR_S, holder: Holder | None = None) -> None:
        self.let_go_of: list[Delivery] = []
        self._metrics = MetricRegistry()
        self._metrics.register_types(["one"])
        self.committer = Committer(
            broker.store,
            WorkerMetrics(self._metrics),
            NAME,
            lease_s=lease_s,
            concluded=self.let_go_of.append,
            holder=holder,
        )

    def put(self, delivery: Delivery, outcome: Outcome) -> None:
        """Hand in an outcome."""
        self.committer.put(Finished(delivery, outcome, 60_000))

    async def finish(self) -> None:
        """Run the committer until it has committed every outcome."""
        with anyio.fail_after(20.0):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.committer.run)
                self.committer.finish()

    def counted(self, name: str) -> dict[tuple[str, ...], float]:
        """Return the value of a counter, by its labels."""
        return {
            tuple(sample.labels.values()): sample.value
            for family in self._metrics.collect()
            for sample in family.samples
            if sample.name == name and sample.value
        }


async def claimed(floor: Floor, job_type: str = "one", count: int = 1) -> list[Delivery]:
    """Return deliveries of new jobs."""
    await floor.submit_many(job_type, [None] * count)
    claim = await floor.broker.store.claim(queue_of_type(job_type), consumer=NAME, nonce="n", limit=count)
    return claim.deliveries


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give a committer that cannot reach Redis a pause of an hour."""
    monkeypatch.setattr("millstream_workers.keeping.committer.backoff_s", lambda _: FAR_S)
    return None


def test_every_kind_of_outcome_is_counted_here() -> None:
    """Every kind of outcome has a label for its attempts, and a state if it settles its job."""
    assert {type(outcome) for outcome, _, _ in ENDS.values()} == set(get_args(Outcome))


@pytest.mark.parametrize("kind", ENDS)
async def test_each_outcome_is_counted_and_lets_its_lease_go(floor: Floor, kind: str) -> None:
    """Each outcome is counted once and its lease is let go, however many outcomes travel in one call."""
    outcome, word, state = ENDS[kind]
    desk, deliveries = Counter(floor.broker), await claimed(floor, count=3)
    for delivery in deliveries:
        desk.put(delivery, outcome)
    await desk.finish()
    assert desk.counted("millstream_job_attempts_total") == {("one", word): 3}
    assert desk.counted("millstream_jobs_finished_total") == ({("one", str(state)): 3} if state else {})
    assert sorted(one.id for one in desk.let_go_of) == sorted(one.id for one in deliveries)
    assert desk.committer.backlog == 0


@pytest.mark.parametrize("gate", ["type", "key"])
async def test_a_snooze_that_holds_more_back_is_counted_and_told_to_other_partitions(
    floor: Floor, gate: SnoozeGate
) -> None:
    """All partitions of a type are held back, for the same job; a key lies in one of them alone."""
    store = floor.broker.settings
    first, second, other = queue_of_type("one"), Queue(DEFAULT_TENANT, JobType("one"), 1), queue_of_type("two")
    desk, (delivery,) = Counter(floor.broker, holder=Holder(store, [first, second, other])), await claimed(floor)
    desk.put(delivery, Snoozed(60_000, gate))
    await desk.finish()
    assert desk.counted("millstream_holds_total") == {("one", gate): 1}
    held = [(await store.read(queue)).held_by for queue in (first, second, other)]
    assert held == ([delivery.id, delivery.id, None] if gate == "type" else [None] * 3)


async def test_a_job_that_is_cancelled_by_its_hand_back_is_counted_as_cancelled(floor: Floor) -> None:
    """A hand-back of a job whose cancellation was asked for is counted as the end of that job."""
    desk, (delivery,) = Counter(floor.broker), await claimed(floor)
    await floor.broker.store.cancel(delivery.queue, [delivery.id])
    desk.put(delivery, HandedBack())
    await desk.finish()
    assert desk.counted("millstream_job_attempts_total") == {("one", "cancelled"): 1}
    assert desk.counted("millstream_jobs_finished_total") == {("one", "cancelled"): 1}


@pytest.mark.parametrize("kind", ENDS)
async def test_an_outcome_that_comes_too_late_is_counted_as_stale_and_lets_its_lease_go(
    floor: Floor, kind: str
) -> None:
    """An outcome that Redis refuses is counted as stale and not as settled, and its lease is let go."""
    desk, (delivery,) = Counter(floor.broker), await claimed(floor)
    await floor.take_back(delivery.id)
    desk.put(delivery, ENDS[kind][0])
    await desk.finish()
    assert desk.counted("millstream_job_attempts_total") == {("one", "stale"): 1}
    assert desk.counted("millstream_jobs_finished_total") == {}
    assert desk.let_go_of == [delivery]
    assert (await floor.job(delivery.id)).state is JobState.QUEUED


async def test_a_leaving_worker_keeps_what_was_done_beyond_a_lease_and_drops_what_goes_back(
    floor: Floor, link: FaultProxy
) -> None:
    """After the length of a lease a leaving worker drops hand-backs and keeps results.

    A reaper has recovered the jobs of the former by then, and the jobs of the latter would run twice.
    """
    done, unrun = await claimed(floor, count=2)
    async with open_broker(link.url, namespace=floor.broker.keys.namespace, patience_s=0.0) as remote:
        desk = Counter(remote, lease_s=0.0)
        desk.put(done, Succeeded(NIL))
        desk.put(unrun, HandedBack())
        link.refuse()
        with anyio.fail_after(20.0):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(desk.committer.run)
                desk.committer.finish()
                await wait_until(lambda: desk.committer.backlog == 1, "what goes back is dropped")
                link.heal()
    assert (await floor.job(done.id)).state is JobState.SUCCEEDED
    assert (await floor.job(unrun.id)).state is JobState.RUNNING


async def test_a_leaving_worker_goes_on_handing_back_within_a_lease(floor: Floor, link: FaultProxy) -> None:
    """A leaving worker tries to hand back for the length of a lease, so that its jobs start elsewhere at no cost."""
    (unrun,) = await claimed(floor)
    async with open_broker(link.url, namespace=floor.broker.keys.namespace, patience_s=0.0) as remote:
        desk = Counter(remote, lease_s=FAR_S)
        desk.put(unrun, HandedBack())
        link.refuse()
        before = link.traffic
        with anyio.fail_after(20.0):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(desk.committer.run)
                desk.committer.finish()
                await wait_until(lambda: link.traffic.since(before).connections >= 2, "it has tried again")
                link.heal()
    job = await floor.job(unrun.id)
    assert (job.state, job.handbacks, job.crashes) == (JobState.QUEUED, 1, 0)


async def test_a_worker_that_begins_to_leave_tries_again_at_once(floor: Floor, link: FaultProxy, away: None) -> None:
    """A worker that begins to leave ends the pause after a failed commit and tries again at once."""
    (done,) = await claimed(floor)
    async with open_broker(link.url, namespace=floor.broker.keys.namespace, patience_s=0.0) as remote:
        with capture_logs() as lines, anyio.fail_after(20.0):
            desk = Counter(remote)
            link.refuse()
            desk.put(done, Succeeded(NIL))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(desk.committer.run)
                await wait_until(lambda: any("not committed" in line["event"] for line in lines), "it has failed")
                link.heal()
                desk.committer.finish()
    assert (await floor.job(done.id)).state is JobState.SUCCEEDED


async def test_a_queue_that_refuses_outcomes_loses_them_when_its_worker_leaves_and_no_other_does(
    floor: Floor,
) -> None:
    """A leaving worker drops and logs the outcomes that one queue refuses, and commits those of the others."""
    broken, sound = await claimed(floor, "broken", 2), await claimed(floor, "sound")
    client, stream = floor.broker.client, floor.broker.keys.of(queue_of_type("broken")).ready[1]
    await client.rename(stream, f"{stream}:aside")
    await client.set(stream, "no stream")
    with capture_logs() as lines:
        desk = Counter(floor.broker)
        desk.put(broken[0], Succeeded(NIL))
        desk.put(broken[1], HandedBack())
        desk.put(sound[0], Succeeded(NIL))
        await desk.finish()
    dropped = [line["ids"] for line in lines if line["event"] == "outcomes dropped"]
    assert sorted(dropped) == sorted([[one.id] for one in broken])
    assert (await floor.job(sound[0].id)).state is JobState.SUCCEEDED
    await client.rename(f"{stream}:aside", stream)
    queue = queue_of_id(broken[0].id)
    assert len((await floor.broker.store.recover(queue, lease_ms=0, max_crashes=100)).requeued) == 2
