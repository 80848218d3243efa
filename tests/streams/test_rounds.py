"""A round does one action on every queue, several at a time, and an error of one stops no other."""

import anyio
import pytest
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_streams import StoreError, StoreUnavailableError, for_each_queue
from millstream_streams.store.rounds import AT_ONCE

QUEUES = [Queue(DEFAULT_TENANT, JobType(f"type-{number:03}")) for number in range(3 * AT_ONCE)]


async def test_several_queues_are_asked_at_once_and_each_one_once() -> None:
    """A round asks each queue once, and several but a bounded number at a time."""
    begun: list[Queue] = []
    gate = anyio.Event()

    async def action(queue: Queue) -> None:
        begun.append(queue)
        await gate.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(for_each_queue, QUEUES, action)
        await wait_until(lambda: len(begun) >= AT_ONCE, "the first are asked")
        await anyio.wait_all_tasks_blocked()
        assert begun == QUEUES[:AT_ONCE]
        gate.set()
    assert sorted(begun) == QUEUES


async def test_nothing_is_done_where_there_is_no_queue() -> None:
    """A round without queues does nothing and raises no error."""

    async def action(queue: Queue) -> None:
        raise AssertionError

    await for_each_queue([], action)


async def test_the_first_error_is_raised_when_all_others_are_done() -> None:
    """The first error of a round is raised after all other queues are done."""
    done: list[Queue] = []

    async def action(queue: Queue) -> None:
        if queue == QUEUES[1]:
            error = StoreUnavailableError("one node")
            error.others_may_answer = True
            raise error
        if queue == QUEUES[2]:
            raise StoreError("broken")
        done.append(queue)

    with pytest.raises(StoreUnavailableError, match="one node"):
        await for_each_queue(QUEUES, action)
    assert done == [QUEUES[0], *QUEUES[3:]]


async def test_without_redis_nothing_more_is_begun_and_nothing_cut_off() -> None:
    """A round without Redis begins no further call, and lets those under way end."""
    begun: list[Queue] = []
    ended: list[Queue] = []
    all_begun, gate = anyio.Event(), anyio.Event()
    raised: list[StoreError] = []

    async def action(queue: Queue) -> None:
        begun.append(queue)
        if queue == QUEUES[0]:
            raise StoreError("broken")
        if len(begun) > AT_ONCE:
            all_begun.set()
        if queue == QUEUES[1]:
            await all_begun.wait()
            raise StoreUnavailableError("away")
        await gate.wait()
        ended.append(queue)

    async def ask() -> None:
        try:
            await for_each_queue(QUEUES, action)
        except StoreError as error:
            raised.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        with anyio.fail_after(20):
            await all_begun.wait()
        await anyio.wait_all_tasks_blocked()
        assert not raised
        gate.set()
    assert [str(error) for error in raised] == ["away"]
    assert begun == QUEUES[: AT_ONCE + 1]
    assert sorted(ended) == QUEUES[2 : AT_ONCE + 1]


async def test_a_defect_comes_out_as_itself() -> None:
    """A defect in a round is raised as itself, and not in an exception group."""

    async def action(queue: Queue) -> None:
        raise KeyError(queue.type)

    with pytest.raises(KeyError, match="type-"):
        await for_each_queue(QUEUES, action)
