"""Slots: how many handlers may run."""

from collections.abc import Callable

import anyio
import pytest
from anyio.lowlevel import checkpoint
from waiting import wait_until

from millstream_workers.fetching.slots import Slots


async def test_wait_free_returns_at_once_while_a_slot_is_free() -> None:
    """It says how many there are."""
    slots = Slots(3)
    slots.take()
    assert await slots.wait_free() == 2
    assert (slots.free, slots.busy) == (2, 1)


async def test_every_waiter_is_woken_by_what_it_waits_for() -> None:
    """The intake waits for a free slot while the drain waits for all: neither may steal the other's wake-up."""
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
        slots.give_back()
        await wait_until(lambda: len(done) == 3, "those who waited for one slot go on")
        assert {name.split()[0] for name in done} == {"free"}
        slots.give_back()
    assert len(done) == 6


async def test_a_waiter_that_comes_late_is_woken_as_well() -> None:
    """A handler that ended before must not count as the one that will end next."""
    slots = Slots(1)
    for _ in range(3):
        slots.take()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slots.wait_free)
            tasks.start_soon(slots.wait_idle)
            await checkpoint()
            await checkpoint()
            slots.give_back()
            tasks.start_soon(slots.wait_idle)
    assert slots.busy == 0


class Watched(Slots):
    """Slots that count how often somebody looks at them."""

    looks = 0

    @property
    def free(self) -> int:
        """Count, and answer."""
        self.looks += 1
        return super().free


def look_ahead_after_many(slots: Slots, leave: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let many jobs come and leave in this way, and reckon with that."""
    monkeypatch.setattr("millstream_workers.fetching.slots.RECKON_EVERY_S", 0.0)
    for _ in range(10_000):
        slots.take()
        leave()
    slots.look_ahead()


async def test_jobs_are_taken_ahead_while_others_end_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as will have a slot within milliseconds, and fewer than run."""
    slots = Slots(10)
    look_ahead_after_many(slots, slots.give_back, monkeypatch)
    assert (slots.free, slots.is_full) == (19, False)
    for _ in range(10):
        slots.take()
    assert (slots.free, slots.is_full) == (9, True)


async def test_no_job_is_taken_ahead_of_others_that_do_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would wait here for hours; and what was returned unrun is no sign of haste."""
    slots = Slots(10)
    look_ahead_after_many(slots, slots.put_back, monkeypatch)
    assert slots.free == 10


async def test_a_single_slot_takes_nothing_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for one job at a time gets one at a time."""
    slots = Slots(1)
    look_ahead_after_many(slots, slots.give_back, monkeypatch)
    assert slots.free == 1


async def test_a_waiter_sleeps_between_two_ends() -> None:
    """An end that is over must not keep it awake: it would spin for as long as the slots are taken."""
    slots = Watched(1)
    slots.take()
    slots.give_back()
    slots.take()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slots.wait_free)
        for _ in range(20):
            await checkpoint()
        assert slots.looks <= 2
        slots.give_back()


async def test_a_slot_that_is_taken_again_at_once_lets_nobody_through() -> None:
    """Who wakes looks again, and waits on."""
    slots = Slots(1)
    slots.take()
    got: list[int] = []

    async def wait() -> None:
        got.append(await slots.wait_free())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await checkpoint()
        slots.give_back()
        slots.take()
        for _ in range(5):
            await checkpoint()
        assert got == []
        slots.give_back()
    assert got == [1]
