"""Each read that stalls is ended after its own time, with one timer for all."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from waiting import wait_until

from millstream_ingest.http import body_reader
from millstream_ingest.http.body_reader import BodyReader
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.read_timeouts import ReadTimeouts

LIMIT = 100


def dripping(parts: int, every_s: float) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Return a `receive` that sends a byte at a time."""
    left = parts

    async def receive() -> dict[str, Any]:
        nonlocal left
        await anyio.sleep(every_s)
        left -= 1
        return {"type": "http.request", "body": b"a", "more_body": left > 0}

    return receive


async def never() -> dict[str, Any]:
    """Send nothing."""
    await anyio.sleep_forever()
    return {}


async def test_a_slow_body_is_read_as_long_as_something_comes(monkeypatch: pytest.MonkeyPatch):
    """A slow body is read as long as parts arrive, because the bound is on the time between two parts."""
    monkeypatch.setattr(body_reader, "STALLED_AFTER_S", 0.5)

    assert await BodyReader(LIMIT).read({}, dripping(10, 0.06), LIMIT) == b"a" * 10


async def test_each_stalled_body_is_refused_beside_one_that_moves(monkeypatch: pytest.MonkeyPatch):
    """Each stalled body is refused beside one that moves."""
    monkeypatch.setattr(body_reader, "STALLED_AFTER_S", 0.3)
    reader = BodyReader(LIMIT)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader.read, {}, dripping(20, 0.04), LIMIT)
        for _ in range(2):
            with pytest.raises(IngestError) as caught:
                await reader.read({}, never, LIMIT)
            assert caught.value.status == 408


async def test_a_body_that_stalls_later_than_another_is_refused_too(monkeypatch: pytest.MonkeyPatch):
    """A body that stalls later than another is refused after its own time, without a further request."""
    monkeypatch.setattr(body_reader, "STALLED_AFTER_S", 0.2)
    reader, refusals, drip = BodyReader(LIMIT), [], dripping(LIMIT, 0.1)

    async def refused(receive: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        with pytest.raises(IngestError) as caught:
            await reader.read({}, receive, LIMIT)
        refusals.append(caught.value.status)

    async def once() -> dict[str, Any]:
        return await drip() if not refusals else await never()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(refused, never)
        tasks.start_soon(refused, once)

    assert refusals == [408, 408]


async def test_a_caller_that_is_cancelled_while_it_waits_is_cancelled():
    """A cancellation for another reason is not turned into the refusal of a stalled body."""
    reading = asyncio.ensure_future(BodyReader(LIMIT).read({}, never, LIMIT))
    await anyio.wait_all_tasks_blocked()
    reading.cancel()

    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_request_whose_body_has_come_is_not_cancelled_later(monkeypatch: pytest.MonkeyPatch):
    """A request whose body is complete is not cancelled, however long it takes."""
    monkeypatch.setattr(body_reader, "STALLED_AFTER_S", 0.05)
    reader = BodyReader(LIMIT)
    assert await reader.read({}, dripping(1, 0.0), LIMIT) == b"a"
    with anyio.move_on_after(0.3) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_a_body_that_stalled_says_nothing_of_the_next_one(monkeypatch: pytest.MonkeyPatch):
    """A task that is cancelled at its second body ends as cancelled, though its first one had stalled."""
    monkeypatch.setattr(body_reader, "STALLED_AFTER_S", 0.3)
    reader, statuses = BodyReader(LIMIT), list[int]()

    async def two_bodies() -> None:
        with pytest.raises(IngestError) as caught:
            await reader.read({}, never, LIMIT)
        statuses.append(caught.value.status)
        await reader.read({}, dripping(LIMIT, 0.01), LIMIT)

    reading = asyncio.ensure_future(two_bodies())
    await wait_until(lambda: statuses == [408], "the first body is refused")
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_cancellation_that_comes_with_the_timeout_is_not_lost():
    """A task that is cancelled at the moment of the timeout ends as cancelled, and not with 408."""
    timeouts = ReadTimeouts(0.01)
    verdicts: list[bool] = []

    async def reading() -> None:
        task = timeouts.begin()
        try:
            await anyio.sleep_forever()
        except asyncio.CancelledError:
            verdicts.append(timeouts.is_stalled(task))
            raise

    task = asyncio.ensure_future(reading())
    await anyio.wait_all_tasks_blocked()
    # The loop finds both at once: the timeout is over, and somewhere else the task is cancelled.
    time.sleep(0.05)  # noqa: ASYNC251 - the loop has to be late
    asyncio.get_running_loop().call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert verdicts == [False]
