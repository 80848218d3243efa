"""Group commit stores concurrent submissions in shared calls, and a failed call fails only its own submissions."""

import time
from typing import Any

import anyio
import pytest
from streams.seeds import new_job
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, JobType, Queue, limits
from millstream_streams import Durability, EnqueueCode, StoreFullError, StoreUnavailableError
from millstream_submission import BacklogFullError, GroupCommitter, KnownQueues, group_commit
from millstream_submission.group_commit import Lane, Ticket
from millstream_submission.known_queues import REMEMBER_QUEUE_S


class Gate:
    """A store that holds back and counts the calls of a committer."""

    def __init__(self, store) -> None:
        self.store = store
        self.loads: list[int] = []
        self.open = anyio.Event()
        self.failure: Exception | None = None
        self.failures: list[Exception | None] = []
        """The errors of the next calls after the gate is opened, in order."""
        self.durabilities: list[object] = []
        self.ends: list[float | None] = []
        """Until when each call may store jobs."""

    async def enqueue(self, queue, jobs, durability=None, *, until_s=None, is_capped=False):
        """Store jobs once the gate is open, or fail."""
        self.loads.append(len(jobs))
        self.durabilities.append(durability)
        self.ends.append(until_s)
        await self.open.wait()
        if self.failures and (failure := self.failures.pop(0)):
            raise failure
        if self.failure:
            failure, self.failure = self.failure, None
            raise failure
        return await self.store.enqueue(queue, jobs)


@pytest.fixture
async def gate(broker):
    """Return a closed gate in front of the store."""
    return Gate(broker.store)


@pytest.fixture
async def committer(broker, gate):
    """Yield a committer whose calls go through the gate."""
    async with GroupCommitter(gate, KnownQueues(broker.registry), max_backlog_jobs=1000) as opened:
        yield opened


@pytest.fixture
def queue() -> Queue:
    """Return a queue."""
    return Queue(DEFAULT_TENANT, JobType("email.send"))


class Callers:
    """Concurrent submissions, and the result of each."""

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
    """Submissions that arrive during a call share the next one: 51 submissions need two calls."""
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
    """A lone submission is stored at once."""
    gate.open.set()
    await committer.enqueue(queue, [new_job(queue)])
    await committer.enqueue(queue, [new_job(queue)])
    assert gate.loads == [1, 1]


async def test_call_carries_no_more_than_a_script_takes(committer, gate, queue):
    """Submissions beyond the size of a script call use further calls, and a full one starts at once."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(committer, queue, tasks)
        for number in range(4):
            await callers.start(number, 70)
        assert gate.loads == [70] * 3
        gate.open.set()
    assert gate.loads == [70] * 4
    assert max(gate.loads) <= limits.MAX_SCRIPT_JOBS


async def test_queues_do_not_wait_for_each_other(committer, gate, queue):
    """A call delays only submissions to its own queue."""
    other = Queue(DEFAULT_TENANT, JobType("sms.send"))
    async with anyio.create_task_group() as tasks:
        await Callers(committer, queue, tasks).start(0)
        await Callers(committer, other, tasks).start(0)
        assert gate.loads == [1, 1]
        gate.open.set()


@pytest.mark.parametrize("failure", [StoreUnavailableError("away"), StoreFullError("full")])
async def test_failed_call_fails_exactly_what_it_carried(committer, gate, queue, failure):
    """A failed call fails its own submissions, and those that arrived since use another call."""
    gate.failure = failure
    async with anyio.create_task_group() as tasks:
        callers = Callers(committer, queue, tasks)
        for number in range(3):
            await callers.start(number)
        gate.open.set()
    assert callers.answers[0] is failure
    assert callers.answers[1] == callers.answers[2] == [EnqueueCode.STORED]


async def test_cancelled_submission_leaves_the_others_of_its_call_alone(committer, gate, queue):
    """A cancelled submission affects no other of its call, and its own job may be stored."""
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
    """Cancelled submissions leave the backlog when their call ends."""
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
    """The backlog is empty once a call that hangs is given up, also of cancelled submissions behind it."""
    committer.answer_within_s = 0.05
    monkeypatch.setattr(group_commit, "CALL_S", 0.05)
    async with anyio.create_task_group() as tasks:
        callers = Callers(committer, queue, tasks)
        for number in range(10):
            await callers.start(number)
        tasks.cancel_scope.cancel()
    await wait_until(lambda: committer.backlog_jobs == 0, "nothing waits")


async def test_backlog_above_its_cap_is_refused(committer, gate, queue):
    """A submission above the cap of the backlog is refused."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(committer, queue, tasks)
        for number in range(11):
            await callers.start(number, 100)
        assert isinstance(callers.answers[10], BacklogFullError)
        gate.open.set()
    assert all(callers.answers[number] == [EnqueueCode.STORED] * 100 for number in range(10))
    assert committer.backlog_jobs == 0


async def test_call_that_hangs_is_given_up(committer, gate, queue, monkeypatch):
    """A call that hangs is given up after `answer_within_s`."""
    committer.answer_within_s = 0.05
    with pytest.raises(StoreUnavailableError):
        await committer.enqueue(queue, [new_job(queue)])


async def test_submissions_behind_a_call_that_hangs_are_given_up_with_it(committer, gate, queue, monkeypatch):
    """Submissions behind a call that hangs fail with it."""
    committer.answer_within_s = 0.5
    async with anyio.create_task_group() as tasks:
        callers = Callers(committer, queue, tasks)
        await callers.start(0)
        await callers.start(1)
    assert all(isinstance(callers.answers[number], StoreUnavailableError) for number in (0, 1))
    assert gate.loads == [1]
    assert committer.backlog_jobs == 0


async def test_submissions_wait_as_long_as_calls_before_them_succeed(committer, gate, queue, monkeypatch):
    """A submission waits for longer than `answer_within_s` while the calls before it succeed."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(committer, queue, tasks)
        await callers.start(0)
        await callers.start(1)
        committer.answer_within_s = 0.0
        gate.open.set()
    assert callers.answers[1] == [EnqueueCode.STORED]


async def test_queue_in_use_is_made_known_again(gate, queue, broker):
    """A queue in use is registered again after a minute, which restores a lost registry."""
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
    """Idle queues are forgotten, so that invented types fill no memory."""
    gate.open.set()
    await committer.enqueue(queue, [new_job(queue)])
    await anyio.wait_all_tasks_blocked()
    assert not committer._lanes


def test_lane_starts_a_second_call_only_with_a_full_load():
    """A second call beside another starts only when it is full."""
    lane = Lane(None, None, None)
    lane.calls = 1
    lane.put(Ticket([None] * (limits.MAX_SCRIPT_JOBS - 1), None, limits.MAX_SCRIPT_JOBS - 1, 0.0))
    assert not lane.wants_call
    lane.put(Ticket([None], None, 1, 0.0))
    assert lane.wants_call


@pytest.mark.parametrize(("failure", "outcome"), [(StoreUnavailableError("away"), "unavailable"), (None, "ok")])
async def test_every_submission_of_a_call_hears_of_its_end(broker, gate, queue, failure, outcome):
    """The submissions of a call share its result, and the call is observed once, in seconds and jobs."""
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
    """A call that fails fails every submission that shares it."""
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
    """While Redis is known to be away a submission fails at once and adds nothing to the backlog."""
    async with GroupCommitter(gate, KnownQueues(broker.registry), max_backlog_jobs=9, is_away=lambda: True) as opened:
        with pytest.raises(StoreUnavailableError):
            await opened.enqueue(queue, [new_job(queue)])
        assert (gate.loads, opened.backlog_jobs) == ([], 0)


async def test_time_that_a_request_took_before_counts(committer, gate, queue, monkeypatch):
    """A request that has used its time up gets only the least time of a call."""
    committer.answer_within_s = 1000.0
    monkeypatch.setattr(group_commit, "CALL_S", 0.05)
    with anyio.fail_after(20), pytest.raises(StoreUnavailableError):
        await committer.enqueue(queue, [new_job(queue)], time.monotonic() - 2000.0)


async def test_a_confirmation_is_given_its_time(committer, gate, queue, monkeypatch):
    """A submission that asks for durability may wait for the confirmation in addition."""
    committer.answer_within_s = 0.05
    monkeypatch.setattr(group_commit, "CALL_S", 0.05)
    monkeypatch.setattr(group_commit, "CONFIRM_WITHIN_S", 0.2)
    for durability, within in ((None, "0.05"), (Durability.REPLICATED, "0.25")):
        with pytest.raises(StoreUnavailableError, match=rf"did not answer within {within} s"):
            await committer.enqueue(queue, [new_job(queue)], durability=durability)


async def test_submissions_of_different_durability_do_not_share_a_call(committer, gate, queue):
    """Submissions of different durability do not share a call."""
    gate.open.set()
    for durability in (None, Durability.REPLICATED, None):
        await committer.enqueue(queue, [new_job(queue)], durability=durability)
    assert gate.durabilities == [None, Durability.REPLICATED, None]


async def test_jobs_that_are_late_after_a_moment_make_no_others_late(committer, gate, queue):
    """Jobs that may be stored until a moment only share no call with those that wait beside them."""
    until_s = time.monotonic() + 60
    tickets = [committer.enqueue(queue, [new_job(queue)], until_s=end) for end in (None, until_s, until_s, None)]
    gate.open.set()
    for ticket in tickets:
        await ticket
    assert dict(zip(gate.ends, gate.loads, strict=True)) == {None: 2, until_s: 2}


def test_a_lane_that_was_given_up_is_empty():
    """A lane that was given up counts none of its former jobs."""
    lane = Lane(None, None, None)
    lane.put(Ticket([None] * limits.MAX_SCRIPT_JOBS, None, limits.MAX_SCRIPT_JOBS, 0.0))
    assert len(lane.give_up()) == 1
    lane.calls = 1
    lane.put(Ticket([None], None, 1, 0.0))
    assert not lane.wants_call
