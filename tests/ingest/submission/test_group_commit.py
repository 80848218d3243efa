"""Group commit: concurrent submissions share calls, and a failed call fails only what it carried."""

from typing import Any

import anyio
import pytest
from streams.seeds import new_job
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, JobType, Queue, limits
from millstream_ingest.http.errors import IngestError
from millstream_ingest.submission import group_commit as appender_module
from millstream_ingest.submission.group_commit import Appender, Lane, Ticket
from millstream_streams import EnqueueCode, StoreFullError, StoreUnavailableError
from millstream_telemetry import IngestMetrics, MetricRegistry


class Gate:
    """Holds back and counts what an appender asks of the store; behind it is the real one."""

    def __init__(self, store) -> None:
        self.store = store
        self.loads: list[int] = []
        self.open = anyio.Event()
        self.failure: Exception | None = None

    async def enqueue(self, queue, jobs, durability=None):
        """Store jobs once the gate is open, or fail."""
        self.loads.append(len(jobs))
        await self.open.wait()
        if self.failure:
            failure, self.failure = self.failure, None
            raise failure
        return await self.store.enqueue(queue, jobs)


@pytest.fixture
async def gate(broker):
    """Return a closed gate before the store."""
    return Gate(broker.store)


@pytest.fixture
async def appender(broker, gate):
    """Yield an appender whose calls go through the gate."""
    async with Appender(broker, IngestMetrics(MetricRegistry()), max_backlog_jobs=1000) as opened:
        opened._store = gate
        yield opened


class Callers:
    """Concurrent submissions and what became of each."""

    def __init__(self, appender, queue, tasks) -> None:
        self.appender, self.queue, self.tasks = appender, queue, tasks
        self.answers: dict[int, Any] = {}

    async def start(self, number: int, size: int = 1) -> None:
        """Submit, and let the submission get as far as it can."""
        self.tasks.start_soon(self._call, number, size)
        await anyio.wait_all_tasks_blocked()

    async def _call(self, number: int, size: int) -> None:
        try:
            answers = await self.appender.append(self.queue, [new_job(self.queue) for _ in range(size)])
            self.answers[number] = [answer.code for answer in answers]
        except (StoreUnavailableError, IngestError) as error:
            self.answers[number] = error


async def test_submissions_during_a_call_are_stored_by_the_next_one(appender, gate, queue, broker):
    """While one call is in flight the next ones collect: 51 submissions, two calls."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(appender, queue, tasks)
        for number in range(51):
            await callers.start(number)
        assert gate.loads == [1]
        gate.open.set()
    assert gate.loads == [1, 50]
    assert set(map(tuple, callers.answers.values())) == {(EnqueueCode.STORED,)}
    assert sum((await broker.store.measure(queue)).queued) == 51


async def test_lone_submission_is_stored_at_once(appender, gate, queue):
    """Nobody waits for company."""
    gate.open.set()
    await appender.append(queue, [new_job(queue)])
    await appender.append(queue, [new_job(queue)])
    assert gate.loads == [1, 1]


async def test_call_carries_no_more_than_a_script_takes(appender, gate, queue):
    """A longer queue of submissions is several calls, and a full one does not wait for the one before it."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(appender, queue, tasks)
        for number in range(4):
            await callers.start(number, 70)
        assert gate.loads == [70] * 3
        gate.open.set()
    assert gate.loads == [70] * 4
    assert max(gate.loads) <= limits.MAX_SCRIPT_JOBS


async def test_queues_do_not_wait_for_each_other(appender, gate, queue):
    """A call holds back only submissions to its own queue."""
    other = Queue(DEFAULT_TENANT, JobType("sms.send"))
    async with anyio.create_task_group() as tasks:
        await Callers(appender, queue, tasks).start(0)
        await Callers(appender, other, tasks).start(0)
        assert gate.loads == [1, 1]
        gate.open.set()


@pytest.mark.parametrize("failure", [StoreUnavailableError("away"), StoreFullError("full")])
async def test_failed_call_fails_exactly_what_it_carried(appender, gate, queue, failure):
    """Those that collected meanwhile get a call of their own."""
    gate.failure = failure
    async with anyio.create_task_group() as tasks:
        callers = Callers(appender, queue, tasks)
        for number in range(3):
            await callers.start(number)
        gate.open.set()
    assert callers.answers[0] is failure
    assert callers.answers[1] == callers.answers[2] == [EnqueueCode.STORED]


async def test_cancelled_submission_leaves_the_others_of_its_call_alone(appender, gate, queue):
    """A client that goes away takes nobody with it, and its own job, maybe stored, stays stored."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(appender, queue, tasks)
        await callers.start(0)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as leaving:
                await Callers(appender, queue, leaving).start(1)
                await callers.start(2)
                scope.cancel()
        gate.open.set()
    assert gate.loads == [1, 2]
    assert callers.answers[2] == [EnqueueCode.STORED]
    assert appender.backlog_jobs == 0


@pytest.mark.parametrize("failure", [StoreUnavailableError("away"), None], ids=["failed", "stored"])
async def test_callers_that_were_cancelled_leave_the_backlog_when_their_call_ends(appender, gate, queue, failure):
    """An outage in which clients hang up takes no room away from the submissions after it."""
    gate.failure = failure
    async with anyio.create_task_group() as tasks:
        callers = Callers(appender, queue, tasks)
        for number in range(10):
            await callers.start(number)
        assert appender.backlog_jobs == 10
        tasks.cancel_scope.cancel()
    gate.open.set()
    await wait_until(lambda: appender.backlog_jobs == 0, "nothing waits")
    assert gate.loads == [1, 9]
    assert [answer.code for answer in await appender.append(queue, [new_job(queue)])] == [EnqueueCode.STORED]


async def test_callers_that_were_cancelled_leave_the_backlog_when_their_call_hangs(appender, gate, queue, monkeypatch):
    """The backlog is empty once the call is given up, for those that wait behind it too."""
    monkeypatch.setattr(appender_module, "ANSWER_WITHIN_S", 0.05)
    monkeypatch.setattr(appender_module, "CALL_S", 0.05)
    async with anyio.create_task_group() as tasks:
        callers = Callers(appender, queue, tasks)
        for number in range(10):
            await callers.start(number)
        tasks.cancel_scope.cancel()
    await wait_until(lambda: appender.backlog_jobs == 0, "nothing waits")


async def test_backlog_above_its_cap_is_refused(appender, gate, queue):
    """Memory is bounded, and whoever is refused can go elsewhere."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(appender, queue, tasks)
        for number in range(11):
            await callers.start(number, 100)
        assert callers.answers[10].status == 503
        gate.open.set()
    assert all(callers.answers[number] == [EnqueueCode.STORED] * 100 for number in range(10))
    assert appender.backlog_jobs == 0


async def test_call_that_hangs_is_given_up(appender, gate, queue, monkeypatch):
    """A Redis that says nothing must not hold requests: nobody is answered later than the limit."""
    monkeypatch.setattr(appender_module, "ANSWER_WITHIN_S", 0.05)
    with pytest.raises(StoreUnavailableError):
        await appender.append(queue, [new_job(queue)])


async def test_submissions_behind_a_call_that_hangs_are_given_up_with_it(appender, gate, queue, monkeypatch):
    """They would wait as long once more, and hear the same."""
    monkeypatch.setattr(appender_module, "ANSWER_WITHIN_S", 0.5)
    async with anyio.create_task_group() as tasks:
        callers = Callers(appender, queue, tasks)
        await callers.start(0)
        await callers.start(1)
    assert all(isinstance(callers.answers[number], StoreUnavailableError) for number in (0, 1))
    assert gate.loads == [1]
    assert appender.backlog_jobs == 0


async def test_submissions_wait_as_long_as_calls_before_them_succeed(appender, gate, queue, monkeypatch):
    """A batch of ten thousand fills the lane for longer than a lone request may take: that is no outage."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(appender, queue, tasks)
        await callers.start(0)
        await callers.start(1)
        monkeypatch.setattr(appender_module, "ANSWER_WITHIN_S", 0.0)
        gate.open.set()
    assert callers.answers[1] == [EnqueueCode.STORED]


async def test_queue_in_use_is_made_known_again(appender, gate, queue, broker, monkeypatch):
    """A registry that was lost heals by itself."""
    gate.open.set()
    await appender.append(queue, [new_job(queue)])
    await broker.client.delete(broker.keys.queues)
    await appender.append(queue, [new_job(queue)])
    assert await broker.registry.queues() == []
    appender._queues._known_until.clear()
    await appender.append(queue, [new_job(queue)])
    assert await broker.registry.queues() == [queue]


async def test_idle_queues_are_forgotten(appender, gate, queue):
    """Types that clients make up do not fill the memory."""
    gate.open.set()
    await appender.append(queue, [new_job(queue)])
    await anyio.wait_all_tasks_blocked()
    assert not appender._lanes


def test_lane_starts_a_second_call_only_with_a_full_load():
    """Two half-empty calls cost more than one."""
    lane = Lane(None, None)
    lane.calls = 1
    lane.put(Ticket([None] * (limits.MAX_SCRIPT_JOBS - 1), None, 0.0))
    assert not lane.wants_call
    lane.put(Ticket([None], None, 0.0))
    assert lane.wants_call


async def test_concurrent_requests_share_calls_to_redis(ingest, broker, queue):
    """Over HTTP too: Redis sees fewer enqueues than there are submissions."""
    count = 100

    async def submit() -> None:
        await ingest.submit()

    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(submit)
    calls = ingest.parts.registry.get_sample_value("millstream_enqueue_seconds_count", {"outcome": "ok"})
    stored = ingest.parts.registry.get_sample_value("millstream_enqueue_batch_size_sum")
    assert stored == count
    assert calls < count / 2
    assert sum((await broker.store.measure(queue)).queued) == count
