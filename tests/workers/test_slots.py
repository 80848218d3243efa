"""Slots bound how many handlers run at once."""

import time
from collections.abc import Callable
from contextlib import suppress

import anyio
import pytest
from anyio.lowlevel import checkpoint
from waiting import wait_until

from millstream_workers.fetching.slots import Slots


async def test_wait_free_returns_at_once_while_a_slot_is_free() -> None:
    """`wait_free` returns the number of free slots at once while there is one."""
    slots = Slots(3)
    slots.take()
    assert await slots.wait_free() == 2
    assert (slots.free, slots.busy) == (2, 1)


async def test_every_waiter_is_woken_by_what_it_waits_for() -> None:
    """A released slot wakes every waiter for a free slot, and only the last one wakes those that wait for all."""
    slots = Slots(2)
    slots.take()
    slots.take()
    done: list[str] = []

    async def wait(name: str, what) -> None:
        await what()
        done.append(name)

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(wait, f"free {number}", slots.wait_free)
            tasks.start_soon(wait, f"idle {number}", slots.wait_idle)
        await checkpoint()
        assert done == []
        slots.release()
        await wait_until(lambda: len(done) == 3, "those who waited for one slot go on")
        assert {name.split()[0] for name in done} == {"free"}
        slots.release()
    assert len(done) == 6


async def test_a_waiter_that_comes_late_is_woken_as_well() -> None:
    """A waiter that comes after a release is woken by the next one."""
    slots = Slots(1)
    for _ in range(3):
        slots.take()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slots.wait_free)
            tasks.start_soon(slots.wait_idle)
            await checkpoint()
            await checkpoint()
            slots.release()
            tasks.start_soon(slots.wait_idle)
    assert slots.busy == 0


class Watched(Slots):
    """Slots that count how often `free` is read."""

    looks = 0

    @property
    def free(self) -> int:
        """Count, and return the number of free slots."""
        self.looks += 1
        return super().free


def look_ahead_after_many(slots: Slots, leave: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Take and release many slots in this way, and then compute how many jobs to take ahead."""
    monkeypatch.setattr("millstream_workers.fetching.slots.RECKON_EVERY_S", 0.0)
    for _ in range(10_000):
        slots.take()
        leave()
    slots.look_ahead()


async def test_jobs_are_taken_ahead_while_others_end_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """While jobs end quickly, as many are taken ahead as will have a slot within milliseconds, and fewer than run."""
    slots = Slots(10)
    look_ahead_after_many(slots, slots.release, monkeypatch)
    assert (slots.free, slots.is_full) == (19, False)
    for _ in range(10):
        slots.take()
    assert (slots.free, slots.is_full) == (9, True)


async def test_no_job_is_taken_ahead_of_others_that_do_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """No job is taken ahead when none has ended; a slot that was released without a run does not count."""
    slots = Slots(10)
    look_ahead_after_many(slots, slots.release_unrun, monkeypatch)
    assert slots.free == 10


async def test_a_single_slot_takes_nothing_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker with a single slot takes no job ahead."""
    slots = Slots(1)
    look_ahead_after_many(slots, slots.release, monkeypatch)
    assert slots.free == 1


async def test_a_waiter_sleeps_between_two_ends() -> None:
    """A waiter sleeps until the next release and is not woken by one that is over."""
    slots = Watched(1)
    slots.take()
    slots.release()
    slots.take()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slots.wait_free)
        for _ in range(20):
            await checkpoint()
        assert slots.looks <= 2
        slots.release()


async def test_a_slot_that_is_taken_again_at_once_lets_nobody_through() -> None:
    """A waiter that wakes and finds the slot taken again keeps waiting."""
    slots = Slots(1)
    slots.take()
    got: list[int] = []

    async def wait() -> None:
        got.append(await slots.wait_free())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await checkpoint()
        slots.release()
        slots.take()
        for _ in range(5):
            await checkpoint()
        assert got == []
        slots.release()
    assert got == [1]


async def test_a_claim_that_fails_is_no_longer_under_way() -> None:
    """A claim that fails no longer counts as under way, or a job that is to run alone would wait for it for ever."""
    slots = Slots(1)
    with suppress(ConnectionError), slots.claiming():
        assert slots.claims == 1
        raise ConnectionError("away")
    assert slots.claims == 0


async def test_slots_that_were_closed_for_a_job_open_again_however_it_ends() -> None:
    """Slots that were closed for a job open again, also when that job ends in an error."""
    slots = Slots(1)
    with suppress(ConnectionError), slots.closed():
        assert (slots.free, slots.is_full) == (0, True)
        raise ConnectionError("away")
    assert (slots.free, slots.is_full) == (1, False)


async def test_the_end_of_a_claim_wakes_those_who_wait_for_a_change() -> None:
    """The end of a claim wakes a job that waits to run alone."""
    slots = Slots(1)
    with anyio.fail_after(20.0):
        async with anyio.create_task_group() as tasks:
            with slots.claiming():
                tasks.start_soon(slots.wait_change)
                await checkpoint()


async def test_what_has_ended_is_reckoned_with_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs that ended count in one computation only, so that a past rush takes no job ahead of long ones."""
    slots = Slots(10)
    look_ahead_after_many(slots, slots.release, monkeypatch)
    slots.look_ahead()
    assert slots.free == 10


async def test_a_waiter_for_few_slots_is_woken_though_another_waits_for_many() -> None:
    """A waiter for few slots is woken while another waits for many, in whichever order they came."""
    for first, second in ((5, 1), (1, 5)):
        slots, woken = Slots(5), list[int]()
        for _ in range(5):
            slots.take()
        slots.release()  # heard by none
        slots.take()

        async def wait(at_least: int, slots: Slots = slots, woken: list[int] = woken) -> None:
            await slots.wait_free(at_least)
            woken.append(at_least)

        with anyio.fail_after(20.0):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, first)
                await checkpoint()
                tasks.start_soon(wait, second)
                await checkpoint()
                slots.release()
                await wait_until(lambda woken=woken: woken, "one of them goes on")
                assert woken == [1]
                for _ in range(4):
                    slots.release()


async def test_as_many_jobs_are_taken_ahead_as_end_while_a_claim_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many jobs are taken ahead as end during a claim: two at 400 ends a second and 5 ms a claim."""
    slots = Slots(100)
    for _ in range(40):
        slots.take()
        slots.release()
    now = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now + 0.1)
        slots.look_ahead()
    assert slots.ahead in {1, 2}
