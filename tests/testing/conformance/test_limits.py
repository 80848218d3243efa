"""Limits, pauses and circuit breakers hold in the test kit as they do in Redis: each test runs on both."""

from typing import Any

import pytest
from testing.conformance.stages import Stage
from testing.conformance.trade import Order, dies, echo, note

from millstream import ApiError, Breaker, KeyLimits
from millstream_contracts import BreakerState, JobState


async def states(stage: Stage, *ids: str) -> list[JobState]:
    """Return the states of jobs."""
    return [(await stage.client.get(job_id)).state for job_id in ids]


async def submitted(stage: Stage, *job: Any, **options: Any) -> str:
    """Submit a job. Returns: its id."""
    return (await stage.client.submit(*job, **options)).id


async def refused(stage: Stage, *job: Any, **options: Any) -> str:
    """Return the problem for which a submission is refused."""
    with pytest.raises(ApiError) as error:
        await stage.client.submit(*job, **options)
    return error.value.problem.type


async def test_a_rate_lets_no_more_start(stage: Stage) -> None:
    """Of two jobs under a rate of one an hour the first starts, and the other waits."""
    await stage.client.limit_queue("note", rate="1/h")
    first, second = [await submitted(stage, note, text) for text in "ab"]
    assert (await stage.settled(first)).state is JobState.SUCCEEDED
    await stage.advance(1)
    assert await states(stage, second) == [JobState.QUEUED]
    settings = await stage.client.unlimit_queue("note")
    assert settings.limits is None
    assert (await stage.settled(second)).state is JobState.SUCCEEDED


async def test_a_rate_of_keys_holds_for_each(stage: Stage) -> None:
    """A key whose rate is spent waits, and another one goes on."""
    await stage.client.limit_queue("note", per_key=KeyLimits(rate="1/h"))
    first, second, other = [await submitted(stage, note, key, key=key) for key in "aab"]
    for job_id in (first, other):
        assert (await stage.settled(job_id)).state is JobState.SUCCEEDED
    await stage.advance(1)
    assert await states(stage, second) == [JobState.QUEUED]
    await stage.client.unlimit_queue("note")
    await stage.settled(second)


async def test_a_paused_queue_starts_nothing(stage: Stage) -> None:
    """A job of a paused queue waits until it is resumed; the first reason stays."""
    await stage.client.pause_queue("note", reason="first")
    settings = await stage.client.pause_queue("note", reason="second")
    assert (settings.paused, settings.pause_reason) == (True, "first")
    job_id = await submitted(stage, note, "a")
    await stage.advance(1)
    assert await states(stage, job_id) == [JobState.QUEUED]
    assert not (await stage.client.resume_queue("note")).paused
    await stage.settled(job_id)


async def test_a_cap_refuses_submissions(stage: Stage) -> None:
    """A submission above the cap of its queue is refused with 503, and one above that of its key with 429."""
    await stage.client.limit_queue("echo", cap=2, per_key=KeyLimits(cap=1))
    await stage.client.pause_queue("echo")
    ids = [await submitted(stage, echo, Order(1), key="a")]
    assert await refused(stage, echo, Order(2), key="a") == "/problems/key-backlog-full"
    ids.append(await submitted(stage, echo, Order(3), delay=3600))
    assert await refused(stage, echo, Order(4)) == "/problems/backlog-full"
    receipt = await stage.client.submit_many(echo, [Order(5)])
    assert [item.status for item in receipt.items] == [503]
    await stage.client.cancel(ids.pop())
    ids.append(await submitted(stage, echo, Order(6)))
    await stage.client.resume_queue("echo")
    for job_id in ids:
        await stage.settled(job_id)


async def test_a_breaker_opens_and_is_closed_by_hand(stage: Stage) -> None:
    """After two failures of two no job starts, until the breaker is closed."""
    await stage.client.limit_queue("dies", breaker=Breaker(minimum=2, ratio=0.5))
    for number in (1, 2):
        assert (await stage.settled(await submitted(stage, dies, Order(number)))).state is JobState.DEAD
    status = (await stage.client.queue_settings("dies")).breaker
    assert status is not None
    assert (status.state, status.failed, status.attempts, status.in_a_row) == (BreakerState.OPEN, 2, 2, 1)
    job_id = await submitted(stage, dies, Order(3))
    await stage.advance(1)
    assert await states(stage, job_id) == [JobState.QUEUED]
    settings = await stage.client.close_breaker("dies")
    assert settings.breaker is not None
    assert settings.breaker.state is BreakerState.CLOSED
    assert (await stage.settled(job_id)).state is JobState.DEAD
    assert (await stage.client.open_breaker("dies", reason="away")).breaker == (
        await stage.client.queue_settings("dies")
    ).breaker
