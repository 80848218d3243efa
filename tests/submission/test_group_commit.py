"""Group commit: concurrent submissions share calls, and a failed call fails only what it carried."""

import time
from typing import Any

import anyio
import pytest
from streams.seeds import new_job
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, JobType, Queue, limits
from millstream_streams import CONFIRM_WITHIN_S, Durability, EnqueueCode, StoreFullError, StoreUnavailableError
from millstream_submission import BacklogFullError, GroupCommitter, KnownQueues, group_commit
from millstream_submission.group_commit import Lane, Ticket
from millstream_submission.known_queues import REMEMBER_QUEUE_S


class Gate:
    """Holds back and counts what an committer asks of the store; behind it is the real one."""

    def __init__(self, store) -> None:
        self.store = store
        self.loads: list[int] = []
        self.open = anyio.Event()
        self.failure: Exception | None = None
        self.failures: list[Exception | None] = []
        """Of the calls after the gate is opened, the first first."""
        self.durabilities: list[object] = []

    async def enqueue(self, queue, jobs, durability=None):
        """Store jobs once the gate is open, or fail."""
        self.loads.append(len(jobs))
        self.durabilities.append(durability)
        await self.open.wait()
        if self.failures and (failure := self.failures.pop(0)):
            raise failure
        if self.failure:
            failure, self.failure = self.failure, None
            raise failure
        return await self.store.enqueue(queue, jobs)


@pytest.fixture
async def gate(broker):
    """Return a closed gate before the store."""
    return Gate(broker.store)


@pytest.fixture
async def committer(broker, gate):
    """Yield an committer whose calls go through the gate."""
    async with GroupCommitter(gate, KnownQueues(broker.registry), max_backlog_jobs=1000) as opened:
        yield opened


@pytest.fixture
def queue() -> Queue:
    """Return a queue."""
    return Queue(DEFAULT_TENANT, JobType("email.send"))


class Callers:
    """Concurrent submissions and what became of each."""

    def __init__(self, committer, queue, tasks) -> None:
        self.committer, self.queue, self.tasks = committer, queue, tasks
        self.answers: dict[int, Any] = {}

    async def start(self, number: int, size: int = 1) -> None:
        """Submit, and let the submission get as far as it can."""
        self.tasks.start_soon(self._call, number, size)
        await anyio.wait_all_tasks_blocked()

    async def _call(self, number: int, size: int) -> None:
        try:
            answers = await self.committer.enqueue(self.queue, [new_job(self.queue) for _ in range(size)])
            self.answers[number] = [answer.code for answer in answers]
        except (StoreUnavailableError, BacklogFullError) as error:
            self.answers[number] = error


async def test_submissions_during_a_call_are_stored_by_the_next_one(committer, gate, queue, broker):
    """While one call is in flight the next ones collect: 51 submissions, two calls."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(committer, queue, tasks)
        for number in range(51):
            await callers.start(number)
        assert gate.loads == [1]
        gate.open.set()
    assert gate.loads == [1, 50]
    assert set(map(tuple, callers.answers.values())) == {(EnqueueCode.STORED,)}
    assert sum((await broker.store.measure(queue)).queued) == 51


async def test_lone_submission_is_stored_at_once(committer, gate, queue):
    """A lone submission does not wait for company."""
    gate.open.set()
    await committer.enqueue(queue, [new_job(queue)])
    await committer.enqueue(queue, [new_job(queue)])
    assert gate.loads == [1, 1]


async def test_call_carries_no_more_than_a_script_takes(committer, gate, queue):
    """A longer queue of submissions is several calls, and a full one does not wait for the one before it."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(committer, queue, tasks)
        for number in range(4):
            await callers.start(number, 70)
        assert gate.loads == [70] * 3
        gate.open.set()
    assert gate.loads == [70] * 4
    assert max(gate.loads) <= limits.MAX_SCRIPT_JOBS


async def test_queues_do_not_wait_for_each_other(committer, gate, queue):
    """A call holds back only submissions to its own queue."""
    other = Queue(DEFAULT_TENANT, JobType("sms.send"))
    async with anyio.create_task_group() as tasks:
        await Callers(committer, queue, tasks).start(0)
        await Callers(committer, other, tasks).start(0)
        assert gate.loads == [1, 1]
        gate.open.set()


@pytest.mark.parametrize("failure", [StoreUnavailableError("away"), StoreFullError("full")])
async def test_failed_call_fails_exactly_what_it_carried(committer, gate, queue, failure):
    """Those that collected meanwhile get a call of their own."""
    gate.failure = failure
    async with anyio.create_task_group() as tasks:
        callers = Callers(committer, queue, tasks)
        for number in range(3):
            await callers.start(number)
        gate.open.set()
    assert callers.answers[0] is failure
    assert callers.answers[1] == callers.answers[2] == [EnqueueCode.STORED]


async def test_cancelled_submission_leaves_the_others_of_its_call_alone(committer, gate, queue):
    """A client that goes away takes no other with it, and its own job, maybe stored, stays stored."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(committer, queue, tasks)
        await callers.start(0)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as leaving:
                await Callers(committer, queue, leaving).start(1)
                await callers.start(2)
                scope.cancel()
        gate.open.set()
    assert gate.loads == [1, 2]
    assert callers.answers[2] == [EnqueueCode.STORED]
    assert committer.backlog_jobs == 0


@pytest.mark.parametrize("failure", [StoreUnavailableError("away"), None], ids=["failed", "stored"])
async def test_callers_that_were_cancelled_leave_the_backlog_when_their_call_ends(committer, gate, queue, failure):
    """An outage in which clients hang up takes no room away from the submissions after it."""
    gate.failure = failure
    async with anyio.create_task_group() as tasks:
        callers = Callers(committer, queue, tasks)
        for number in range(10):
            await callers.start(number)
        assert committer.backlog_jobs == 10
        tasks.cancel_scope.cancel()
    gate.open.set()
    await wait_until(lambda: committer.backlog_jobs == 0, "nothing waits")
    assert gate.loads == [1, 9]
    assert [answer.code for answer in await committer.enqueue(queue, [new_job(queue)])] == [EnqueueCode.STORED]


async def test_callers_that_were_cancelled_leave_the_backlog_when_their_call_hangs(committer, gate, queue, monkeypatch):
    """The backlog is empty once the call is given up, for those that wait behind it too."""
    monkeypatch.setattr(group_commit, "ANSWER_WITHIN_S", 0.05)
    monkeypatch.setattr(group_commit, "CALL_S", 0.05)
    async with anyio.create_task_group() as tasks:
        callers = Callers(committer, queue, tasks)
        for number in range(10):
            await callers.start(number)
        tasks.cancel_scope.cancel()
    await wait_until(lambda: committer.backlog_jobs == 0, "nothing waits")


async def test_backlog_above_its_cap_is_refused(committer, gate, queue):
    """Memory is bounded, and a client that is refused can go elsewhere."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(committer, queue, tasks)
        for number in range(11):
            await callers.start(number, 100)
        assert isinstance(callers.answers[10], BacklogFullError)
        gate.open.set()
    assert all(callers.answers[number] == [EnqueueCode.STORED] * 100 for number in range(10))
    assert committer.backlog_jobs == 0


async def test_call_that_hangs_is_given_up(committer, gate, queue, monkeypatch):
    """A Redis that says nothing must not hold requests: none is answered later than ANSWER_WITHIN_S."""
    monkeypatch.setattr(group_commit, "ANSWER_WITHIN_S", 0.05)
    with pytest.raises(StoreUnavailableError):
        await committer.enqueue(queue, [new_job(queue)])


async def test_submissions_behind_a_call_that_hangs_are_given_up_with_it(committer, gate, queue, monkeypatch):
    """They would wait as long once more, and hear the same."""
    monkeypatch.setattr(group_commit, "ANSWER_WITHIN_S", 0.5)
    async with anyio.create_task_group() as tasks:
        callers = Callers(committer, queue, tasks)
        await callers.start(0)
        await callers.start(1)
    assert all(isinstance(callers.answers[number], StoreUnavailableError) for number in (0, 1))
    assert gate.loads == [1]
    assert committer.backlog_jobs == 0


async def test_submissions_wait_as_long_as_calls_before_them_succeed(committer, gate, queue, monkeypatch):
    """A batch of ten thousand fills the lane for longer than a lone request may take: that is no outage."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(committer, queue, tasks)
        await callers.start(0)
        await callers.start(1)
        monkeypatch.setattr(group_commit, "ANSWER_WITHIN_S", 0.0)
        gate.open.set()
    assert callers.answers[1] == [EnqueueCode.STORED]


async def test_queue_in_use_is_made_known_again(gate, queue, broker):
    """A registry that was lost heals by itself, once a queue has not been made known for a minute."""
    gate.open.set()
    now = 0.0
    async with GroupCommitter(gate, KnownQueues(broker.registry, lambda: now), max_backlog_jobs=1000) as committer:
        await committer.enqueue(queue, [new_job(queue)])
        await broker.client.delete(broker.keys.queues)
        await committer.enqueue(queue, [new_job(queue)])
        assert await broker.registry.queues() == []
        now = REMEMBER_QUEUE_S
        await committer.enqueue(queue, [new_job(queue)])
        assert await broker.registry.queues() == [queue]


async def test_idle_queues_are_forgotten(committer, gate, queue):
    """Types that clients make up do not fill the memory."""
    gate.open.set()
    await committer.enqueue(queue, [new_job(queue)])
    await anyio.wait_all_tasks_blocked()
    assert not committer._lanes


def test_lane_starts_a_second_call_only_with_a_full_load():
    """Two half-empty calls cost more than one."""
    lane = Lane(None, None)
    lane.calls = 1
    lane.put(Ticket([None] * (limits.MAX_SCRIPT_JOBS - 1), None, 0.0))
    assert not lane.wants_call
    lane.put(Ticket([None], None, 0.0))
    assert lane.wants_call


@pytest.mark.parametrize(("failure", "outcome"), [(StoreUnavailableError("away"), "unavailable"), (None, "ok")])
async def test_every_submission_of_a_call_hears_of_its_end(broker, gate, queue, failure, outcome):
    """Submissions that share a call share its outcome, and the call is observed once, in seconds and jobs."""
    observed = []
    queues = KnownQueues(broker.registry)
    async with GroupCommitter(gate, queues, max_backlog_jobs=1000, observe=lambda *one: observed.append(one)) as opened:
        async with anyio.create_task_group() as tasks:
            callers = Callers(opened, queue, tasks)
            for number in range(4):
                await callers.start(number)
            gate.open.set()
            gate.failure = failure
        assert len(callers.answers) == 4
        first, *others = [callers.answers[number] for number in range(4)]
        assert first == (failure or [EnqueueCode.STORED])
        assert others == [[EnqueueCode.STORED]] * 3
    assert [(told, jobs) for told, _, jobs in observed] == [(outcome, 1), ("ok", 3)]
    assert all(0 <= seconds < 100 for _, seconds, _ in observed)


async def test_call_that_fails_fails_all_that_it_carried(committer, gate, queue):
    """None of the submissions that share a call is left without an answer."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(committer, queue, tasks)
        for number in range(4):
            await callers.start(number)
        gate.failures = [None, StoreUnavailableError("away")]
        gate.open.set()
    assert callers.answers[0] == [EnqueueCode.STORED]
    assert [type(callers.answers[number]) for number in (1, 2, 3)] == [StoreUnavailableError] * 3
    assert committer.backlog_jobs == 0


async def test_nothing_is_asked_of_a_redis_that_is_known_to_be_away(broker, gate, queue):
    """A submission is refused at once, and leaves the backlog as it was."""
    async with GroupCommitter(gate, KnownQueues(broker.registry), max_backlog_jobs=9, is_away=lambda: True) as opened:
        with pytest.raises(StoreUnavailableError):
            await opened.enqueue(queue, [new_job(queue)])
        assert (gate.loads, opened.backlog_jobs) == ([], 0)


async def test_time_that_a_request_took_before_counts(committer, gate, queue, monkeypatch):
    """A request that has used its time up is given what a call gets at least, and no whole term once more."""
    monkeypatch.setattr(group_commit, "ANSWER_WITHIN_S", 1000.0)
    monkeypatch.setattr(group_commit, "CALL_S", 0.05)
    with anyio.fail_after(20), pytest.raises(StoreUnavailableError):
        await committer.enqueue(queue, [new_job(queue)], time.monotonic() - 2000.0)


def test_a_confirmation_is_given_its_time():
    """A submission that asks for durability may take as long as the confirmation may, in addition."""
    plain, durable = (Lane(None, durability).answer_within_s for durability in (None, Durability.REPLICATED))
    assert durable == plain + CONFIRM_WITHIN_S


async def test_submissions_of_different_durability_do_not_share_a_call(committer, gate, queue):
    """Each call asks Redis for exactly what its submissions asked for."""
    gate.open.set()
    for durability in (None, Durability.REPLICATED, None):
        await committer.enqueue(queue, [new_job(queue)], durability=durability)
    assert gate.durabilities == [None, Durability.REPLICATED, None]


def test_a_lane_that_was_given_up_is_empty():
    """It counts no job that it does not hold, so that a call does not start before its time."""
    lane = Lane(None, None)
    lane.put(Ticket([None] * limits.MAX_SCRIPT_JOBS, None, 0.0))
    assert len(lane.give_up()) == 1
    lane.calls = 1
    lane.put(Ticket([None], None, 0.0))
    assert not lane.wants_call
