"""Limits that handlers declare act in the test kit, by its clock."""

from collections import Counter

import pytest

from millstream import App, Breaker, KeyLimits, QueueLimits, Retry
from millstream.testing import Testing
from millstream_contracts import BreakerState, JobState


def numbers(limits: QueueLimits, ran: list[str]) -> App[None]:
    """Return an app of which the jobs note their payloads, and fail on `bad`."""
    app = App("numbers")

    @app.job("note", limits=limits, retry=Retry(max_attempts=1))
    async def note(text: str) -> None:
        ran.append(text)
        if text == "bad":
            raise ValueError(text)

    return app


async def submit(kit: Testing[None], *texts: str, keyed: bool = False) -> None:
    """Submit a job for each text, whose key is the first letter."""
    for text in texts:
        await kit.client.submit("note", text, key=text[:1] if keyed else None)


@pytest.mark.anyio
async def test_starts_are_spread_over_the_time() -> None:
    """With a burst of two of 60 an hour two jobs run at once, and then one a minute."""
    ran: list[str] = []
    async with numbers(QueueLimits(rate="60/h", burst=2), ran).testing() as kit:
        await submit(kit, "a", "b", "c", "d")
        await kit.run_ready()
        assert ran == ["a", "b"]
        await kit.advance(seconds=59)
        assert ran == ["a", "b"]
        await kit.advance(seconds=1)
        assert ran == ["a", "b", "c"]
        await kit.advance(minutes=1)
        assert ran == ["a", "b", "c", "d"]


@pytest.mark.anyio
async def test_a_job_that_is_waited_for_passes_the_time_of_its_rate() -> None:
    """A client that waits for a result waits as long as the rate has it wait."""
    ran: list[str] = []
    async with numbers(QueueLimits(rate="1/h"), ran).testing() as kit:
        begun = kit.now
        for text in "ab":
            await (await kit.client.submit("note", text)).result(timeout=7200)
        assert (kit.now - begun).total_seconds() == pytest.approx(3600, abs=1)


@pytest.mark.anyio
async def test_keys_take_turns_by_weight() -> None:
    """While several keys wait, each gets starts by its weight, and none waits for all of another."""
    ran: list[str] = []
    limits = QueueLimits(weights={"a": 2}, rate="1/s", burst=1)
    async with numbers(limits, ran).testing() as kit:
        await submit(kit, *(f"a{at}" for at in range(12)), *(f"b{at}" for at in range(6)), keyed=True)
        await kit.advance(seconds=8)
        assert abs(Counter(text[0] for text in ran)["a"] - 6) <= 1
        await kit.advance(seconds=20)
        assert len(ran) == 18


@pytest.mark.anyio
async def test_a_key_starts_no_more_than_its_limit() -> None:
    """A job whose key runs as many as may waits beside the running one, and others do not."""
    app, ran = App("slow"), list[str]()

    @app.job("slow", limits=QueueLimits(per_key=KeyLimits(concurrency=1)), timeout=3600)
    async def slow(text: str) -> None:
        ran.append(text)
        if text == "a1":
            await kit.client.submit(slow, "a2", key="a")
            await kit.client.submit(slow, "b1", key="b")
            await kit.run_ready()
            assert ran == ["a1", "b1"]

    async with app.testing() as kit:
        await kit.run(slow, "a1", key="a")
        await kit.run_ready()
        assert ran == ["a1", "b1", "a2"]


@pytest.mark.anyio
async def test_a_breaker_opens_tries_and_closes() -> None:
    """After two failures nothing starts for the cool-down; then probes run, and their successes close it."""
    ran: list[str] = []
    breaker = Breaker(minimum=2, ratio=1.0, cool_down_s=30, probes=1)
    async with numbers(QueueLimits(breaker=breaker), ran).testing(allow_dead=True) as kit:

        async def state() -> BreakerState | None:
            found = (await kit.client.queue_settings("note")).breaker
            return found.state if found else None

        await submit(kit, "bad", "bad", "c", "d")
        await kit.run_ready()
        assert (ran, await state()) == (["bad", "bad"], BreakerState.OPEN)
        await kit.advance(seconds=29)
        assert ran == ["bad", "bad"]
        await kit.advance(seconds=1)
        assert (ran, await state()) == (["bad", "bad", "c", "d"], BreakerState.CLOSED)


@pytest.mark.anyio
async def test_a_probe_that_fails_opens_it_for_twice_the_time() -> None:
    """A failure of a probe opens the breaker again, for longer."""
    ran: list[str] = []
    breaker = Breaker(minimum=2, ratio=1.0, cool_down_s=30, probes=1)
    async with numbers(QueueLimits(breaker=breaker), ran).testing(allow_dead=True) as kit:
        await submit(kit, "bad", "bad", "bad", "d")
        await kit.advance(seconds=30)
        assert ran == ["bad"] * 3
        await kit.advance(seconds=59)
        assert ran == ["bad"] * 3
        await kit.advance(seconds=1)
        assert ran == ["bad", "bad", "bad", "d"]
        left = (await kit.client.queue_settings("note")).breaker
        assert left is not None
        assert left.state is BreakerState.CLOSED
        assert [one.state for one in kit._ledger.jobs.values()].count(JobState.DEAD) == 3
