"""The task pool runs many jobs in one task, and no job can observe another."""

import asyncio
import contextvars
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from itertools import count
from weakref import WeakKeyDictionary

import anyio
import pytest
from waiting import wait_until
from workers.floor import Floor, queue_of_type

from millstream import App
from millstream_contracts import JobState
from millstream_workers.attempt.attempt_result import Interruption
from millstream_workers.attempt.running import Running
from millstream_workers.attempt.stop_scope import StopScope
from millstream_workers.running.clean_context import CleanContext
from millstream_workers.running.task_pool import TaskPool

NOTE = contextvars.ContextVar("note", default="")


LIMIT = 20

FAR_S = 600.0


_new_numbers = count()
_numbers: WeakKeyDictionary[asyncio.Task, int] = WeakKeyDictionary()


def task_number() -> int:
    """Return a number of the current task. A reference to the task would keep it from being used again."""
    task = asyncio.current_task()
    if task not in _numbers:
        _numbers[task] = next(_new_numbers)
    return _numbers[task]


class Work:
    """A plain function in place of a delivery."""

    def __init__(self, job: Callable) -> None:
        self.job = job
        self.begun_at = time.monotonic()


class Desk:
    """A task pool whose jobs are plain functions, and a record of the tasks that they ran in."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.runners = TaskPool(
            self._execute,
            limit=limit,
            cleanup_s=FAR_S,
            clean=CleanContext(),
            give_up=lambda work: self.returned.append(work.job),  # type: ignore[attr-defined]  # a Work, see `start`
        )
        self.returned: list[Callable] = []
        self.tasks: list[int] = []
        self.scopes: list[StopScope] = []
        self.ended = 0

    def start(self, job: Callable) -> None:
        """Run a function as if it were a delivery."""
        self.runners.start(Work(job))

    async def _execute(self, work: Work, scope: StopScope) -> None:
        self.tasks.append(task_number())
        self.scopes.append(scope)
        try:
            await work.job()
        finally:
            self.ended += 1

    async def all_ended(self, count: int) -> None:
        """Wait until `count` jobs have ended."""
        await wait_until(lambda: self.ended == count, f"{count} jobs have ended")


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """Yield a desk, and check at the end that all of its tasks end."""
    opened = Desk()
    async with anyio.create_task_group() as tasks:
        opened.runners.open(tasks)
        yield opened
        opened.runners.close()


async def nothing() -> None:
    """Do nothing."""


async def test_jobs_that_never_wait_share_one_task(desk: Desk) -> None:
    """Jobs that never wait share one task, which makes short jobs cheap."""
    for _ in range(50):
        desk.start(nothing)
    await desk.all_ended(50)
    assert len(set(desk.tasks)) == 1


async def test_jobs_that_wait_run_side_by_side(desk: Desk) -> None:
    """Jobs that wait run side by side, and a later round uses the same tasks."""
    for _ in range(2):
        inside, go = [], anyio.Event()

        async def wait(inside: list = inside, go: anyio.Event = go) -> None:
            inside.append(task_number())
            await go.wait()

        before = desk.ended
        for _ in range(LIMIT):
            desk.start(wait)
        await wait_until(lambda inside=inside: len(inside) == LIMIT, "all of them run")
        assert len(set(inside)) == LIMIT
        go.set()
        await desk.all_ended(before + LIMIT)
    assert len(set(desk.tasks)) <= LIMIT + 1


async def test_a_job_beyond_the_limit_begins_when_one_has_ended(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job beyond the limit begins when another has ended, and never do more run than the limit."""
    monkeypatch.setattr("millstream_workers.running.task_pool.KEPT_S", 600.0)
    inside, most = [], 0

    async def wait() -> None:
        nonlocal most
        inside.append(gate := anyio.Event())
        most = max(most, len(inside))
        await gate.wait()
        inside.remove(gate)

    for _ in range(LIMIT + 5):
        desk.start(wait)
    await wait_until(lambda: len(inside) == LIMIT, "as many run as may")
    for number in range(1, LIMIT + 6):
        inside[0].set()
        await desk.all_ended(number)
    assert (most, desk.returned) == (LIMIT, [])


async def test_a_job_beyond_the_limit_is_put_back_when_none_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job beyond the limit is handed back when no other ends, because another worker may have room."""
    monkeypatch.setattr("millstream_workers.running.task_pool.KEPT_S", 0.005)
    go = anyio.Event()

    async def late() -> None:
        await go.wait()

    for _ in range(LIMIT):
        desk.start(go.wait)
    await wait_until(lambda: len(desk.tasks) == LIMIT, "as many run as may")
    for round_ in (1, 2):
        desk.start(late)
        await wait_until(lambda round_=round_: desk.returned == [late] * round_, "it is put back")
    go.set()
    await desk.all_ended(LIMIT)


async def test_all_that_have_not_begun_can_be_put_back_at_once(desk: Desk) -> None:
    """A worker that stops hands all jobs back at once that have not begun."""
    go = anyio.Event()
    for _ in range(LIMIT):
        desk.start(go.wait)
    await wait_until(lambda: len(desk.tasks) == LIMIT, "as many run as may")
    desk.start(nothing)
    desk.start(nothing)
    desk.runners.give_up_waiting()
    assert desk.returned == [nothing, nothing]
    go.set()
    await desk.all_ended(LIMIT)


async def test_a_job_never_sees_the_context_of_an_earlier_one(desk: Desk) -> None:
    """A job never sees the context of an earlier one, such as a request id in its log lines."""
    seen = []

    async def bind() -> None:
        seen.append(NOTE.get())
        NOTE.set("bound by a handler")

    for _ in range(5):
        desk.start(bind)
    await desk.all_ended(5)
    assert seen == [""] * 5
    assert len(set(desk.tasks)) == 5


async def test_a_job_that_puts_its_context_back_leaves_no_trace(desk: Desk) -> None:
    """The task of a job that resets its context variables is used again."""

    async def bind_for_a_while() -> None:
        token = NOTE.set("mine")
        NOTE.reset(token)

    for _ in range(5):
        desk.start(bind_for_a_while)
    await desk.all_ended(5)
    assert len(set(desk.tasks)) == 1


async def test_a_job_is_not_hit_by_the_cancellation_of_an_earlier_one(desk: Desk) -> None:
    """A job is not affected when an earlier one cancelled its own task and caught that."""

    async def cancel_oneself() -> None:
        asyncio.current_task().cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)

    async def wait() -> None:
        await asyncio.sleep(0)

    desk.start(cancel_oneself)
    for _ in range(3):
        desk.start(wait)
    await desk.all_ended(4)
    assert desk.tasks.count(desk.tasks[0]) == 1


async def test_a_job_is_not_hit_by_the_stopping_of_an_earlier_one(desk: Desk) -> None:
    """A job is not affected when an earlier one was stopped, because the scope of that task is not used again."""
    stopped, inside = [], anyio.Event()

    async def be_stopped() -> None:
        try:
            inside.set()
            await anyio.sleep_forever()
        except asyncio.CancelledError:
            stopped.append(True)

    async def wait() -> None:
        await anyio.lowlevel.checkpoint()

    desk.start(be_stopped)
    await wait_until(inside.is_set, "it runs")
    desk.scopes[0].stop()
    await desk.all_ended(1)
    for _ in range(3):
        desk.start(wait)
    await desk.all_ended(4)
    assert stopped == [True]
    assert desk.scopes.count(desk.scopes[0]) == 1


async def test_a_job_that_waits_begins_though_the_task_before_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that waits for the single slot begins when the task before it ends without being used again."""
    monkeypatch.setattr("millstream_workers.running.task_pool.KEPT_S", FAR_S)
    desk, inside, go = Desk(limit=1), anyio.Event(), anyio.Event()

    async def bind_and_wait() -> None:
        NOTE.set("bound by a handler")
        inside.set()
        await go.wait()

    with anyio.fail_after(20.0):
        async with anyio.create_task_group() as tasks:
            desk.runners.open(tasks)
            desk.start(bind_and_wait)
            await wait_until(inside.is_set, "it runs")
            desk.start(nothing)
            go.set()
            await desk.all_ended(2)
            desk.runners.close()
    assert len(set(desk.tasks)) == 2


async def test_a_task_is_given_up_by_what_its_last_job_left_and_by_no_earlier_one(floor: Floor) -> None:
    """A task is not used again only if its last job changed the context, whatever earlier jobs did."""
    app, seen = App("test"), []

    @app.job("one")
    async def one(note: str) -> None:
        seen.append(NOTE.get())
        if note:
            NOTE.set(note)

    await floor.hire(app, concurrency=1)
    for note in ("", "", "bound by a handler", "", ""):
        await floor.run("one", note)
    assert seen == [""] * 5


async def test_the_time_of_a_job_ends_with_it_and_not_with_the_next_in_its_task(floor: Floor) -> None:
    """The timeout of a job ends with that job, and does not apply to the next one in its task."""
    app, tasks = App("test"), []

    @app.job("timed", timeout=0.2)
    async def timed() -> None:
        tasks.append(task_number())

    @app.job("long")
    async def long() -> str:
        tasks.append(task_number())
        await anyio.sleep(0.5)
        return "well"

    await floor.hire(app, concurrency=1)
    await floor.run("timed")
    job = await floor.run("long", max_attempts=1)
    assert (job.state, job.result) == (JobState.SUCCEEDED, "well"), job.error
    assert len(set(tasks)) == 1


async def test_a_delivery_whose_handler_has_ended_cannot_stop_the_next_job_of_its_task(floor: Floor) -> None:
    """A delivery whose handler has ended cannot stop the next job of its task, even when its lease is lost."""
    (running,) = await claimed(floor)
    with StopScope(FAR_S) as scope:
        running.begin(scope, FAR_S)
        running.end()
        running.interrupt(Interruption.LEASE_LOST)
        assert not scope.is_spent


async def test_the_first_reason_to_stop_a_handler_stands(floor: Floor) -> None:
    """The first reason to stop a handler decides its outcome: a cancelled job is not handed back."""
    (running,) = await claimed(floor)
    running.interrupt(Interruption.CANCELLED)
    running.interrupt(Interruption.DRAINING)
    assert running.interruption is Interruption.CANCELLED


@pytest.mark.parametrize(("asked_s", "given_s"), [(None, 5.0), (1.0, 1.0), (FAR_S, 5.0)])
async def test_the_time_for_clean_up_can_only_be_shortened(floor: Floor, asked_s: float | None, given_s: float) -> None:
    """A reason to stop may shorten the time for clean-up, and never extends it beyond `MILLSTREAM_CLEANUP_S`."""
    (running,) = await claimed(floor)
    with StopScope(5.0) as scope:
        running.begin(scope, None)
        before_s = asyncio.get_running_loop().time()
        running.interrupt(Interruption.LEASE_UNSAFE, asked_s)
        with pytest.raises(asyncio.CancelledError):
            await anyio.sleep(20.0)
        running.end()
    assert scope.gives_up_at == pytest.approx(before_s + given_s, abs=0.5)


async def claimed(floor: Floor) -> list[Running]:
    """Return the delivery of a new job, claimed by this test."""
    await floor.submit("one")
    claim = await floor.broker.store.claim(queue_of_type("one"), consumer="me", nonce=str(next(_new_numbers)), limit=1)
    return [Running(delivery) for delivery in claim.deliveries]


async def test_context_of_a_handler_stays_with_its_job(floor: Floor) -> None:
    """In a real worker the context of a handler stays with its job, and tasks are used again."""
    app, seen, tasks = App("test"), [], set()

    @app.job("bind")
    async def bind() -> None:
        seen.append(NOTE.get())
        NOTE.set("bound by a handler")

    @app.job("plain")
    async def plain() -> None:
        tasks.add(task_number())

    await floor.hire(app)
    for job_type in ("bind", "plain"):
        for job_id in await floor.submit_many(job_type, [None] * 20):
            assert (await floor.settled(job_id)).state is JobState.SUCCEEDED
    assert seen == [""] * 20
    assert len(tasks) < 20


async def test_a_worker_that_is_cancelled_may_still_be_given_jobs() -> None:
    """A worker that is cancelled may still be given the jobs of a read without an error."""
    desk = Desk()
    async with anyio.create_task_group() as tasks:
        desk.runners.open(tasks)
        desk.start(nothing)
        await desk.all_ended(1)
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.wait_all_tasks_blocked()
            desk.start(nothing)
            desk.start(nothing)
            desk.runners.close()
