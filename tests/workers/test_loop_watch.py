"""A handler that blocks the event loop is named, with the line of code where it does."""

import sys
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from structlog.testing import capture_logs
from waiting import wait_until
from workers.floor import Floor

from millstream import App, Context, Retry

LIMIT_S = 0.1
BLOCKED = "event loop blocked"
Lines = list[Any]


def blocked(lines: Lines) -> Lines:
    """Return the warnings about blocks by the handlers here: on a busy machine this test itself may block the loop."""
    frames = ("in one\n", "in two\n", "in hold\n")
    return [line for line in lines if line["event"] == BLOCKED and any(one in line["exception"] for one in frames)]


def hold_until(is_done: Callable[[], bool]) -> None:
    """Block the loop until something is so, or a test has surely failed."""
    gives_up_at = time.monotonic() + 20.0
    while not is_done() and time.monotonic() < gives_up_at:
        time.sleep(0.001)


async def test_a_handler_that_blocks_the_loop_is_named_once_for_each_attempt(floor: Floor) -> None:
    """The warning has job, type, attempt and the user's frames; a second block of the attempt is not told again."""
    app = App("test")
    with capture_logs() as lines:

        @app.job("one", retry=Retry(delays=[0, 0]))
        async def one(secret: str, ctx: Context) -> None:
            hold_until(lambda: len(blocked(lines)) == ctx.attempt)
            await anyio.lowlevel.checkpoint()
            time.sleep(5 * LIMIT_S)  # noqa: ASYNC251 - to see that nothing is said
            if ctx.attempt == 1:
                raise ValueError(secret)

        hired = await floor.hire(app, blocked_loop_s=LIMIT_S)
        job = await floor.run("one", "canary-4711")
    told = blocked(lines)
    assert [(line["job_id"], line["type"], line["attempt"]) for line in told] == [
        (job.id, "one", 1),
        (job.id, "one", 2),
    ]
    for line in told:
        assert (line["log_level"], line["seconds"]) == ("warning", LIMIT_S)
        assert line["exception"].index("in one\n") < line["exception"].index("in hold_until\n")
        assert "millstream_workers" not in line["exception"]
        assert "asyncio" not in line["exception"]
        assert "canary-4711" not in line["exception"]
    assert hired.metrics.get_sample_value("millstream_loop_blocked_total", {"type": "one"}) == 2


async def test_a_task_that_a_handler_has_started_is_told_with_its_stack(floor: Floor) -> None:
    """A task of a handler that blocks the loop is told with its own frames; with the job, where Python tells that."""
    app = App("test")
    with capture_logs() as lines:

        async def hold() -> None:
            hold_until(lambda: bool(blocked(lines)))

        @app.job("one")
        async def one() -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hold)

        await floor.hire(app, blocked_loop_s=LIMIT_S)
        job = await floor.run("one")
    (line,) = blocked(lines)
    assert "in hold\n" in line["exception"]
    assert "in one\n" not in line["exception"]
    assert line.get("job_id") == (job.id if sys.version_info >= (3, 12) else None)


@pytest.mark.parametrize("limit_s", [0.0, LIMIT_S])
async def test_nothing_is_told_where_the_loop_is_free_or_the_watch_is_off(floor: Floor, limit_s: float) -> None:
    """A handler in a thread may take its time; with 0 nothing is watched."""
    app, is_off = App("test"), limit_s == 0.0
    seen: list[bool] = []

    @app.job("one")
    def one() -> None:
        time.sleep(5 * LIMIT_S)
        seen.append(True)

    @app.job("two")
    async def two() -> None:
        if is_off:
            time.sleep(5 * LIMIT_S)  # noqa: ASYNC251 - to see that nothing is said
        seen.append(True)

    with capture_logs() as lines:
        await floor.hire(app, blocked_loop_s=limit_s)
        await floor.run("one")
        await floor.run("two")
        await wait_until(lambda: len(seen) == 2, "both have run")
    assert not blocked(lines)


async def test_a_heartbeat_tells_memory_and_the_longest_lag(floor: Floor) -> None:
    """A worker tells its host, its memory, and the longest time that its loop was blocked since the beat before."""
    app = App("test")

    @app.job("one")
    async def one() -> None:
        time.sleep(2 * LIMIT_S)  # noqa: ASYNC251 - the lag

    await floor.hire(app, blocked_loop_s=LIMIT_S, beat_every_s=0.5)
    await floor.run("one")

    async def has_told() -> bool:
        (found,) = await floor.broker.registry.workers()
        assert found.host == found.name.partition(":")[0]
        assert found.rss_bytes > 1 << 20
        return (found.loop_lag_ms or 0.0) > 1000 * LIMIT_S / 2

    await wait_until(has_told, "the lag is told")
