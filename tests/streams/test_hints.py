"""A hint tells a listener where to look, and a gap tells it that hints may have been lost."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from streams.seeds import ERROR, FAR_MS, commit, make_due, publish, seed, seed_running
from waiting import wait_until

from millstream_cli.embedded import EmbeddedRedis
from millstream_contracts import DEFAULT_TENANT, JobType, Queue, RetryAt, Snoozed
from millstream_streams import Broker, StoreUnavailableError, open_broker
from millstream_streams.reading import hints

Listen = Callable[[Callable[[Queue], None], Callable[[], None]], Awaitable[None]]

THE_END = Queue(DEFAULT_TENANT, JobType("the-end"))


class Heard:
    """The hints and gaps of a listener."""

    def __init__(self) -> None:
        self.hints: list[Queue] = []
        self.gaps = 0

    def on_gap(self) -> None:
        """Record a gap."""
        self.gaps += 1


@asynccontextmanager
async def listening(listen: Listen) -> AsyncIterator[Heard]:
    """Listen for as long as the block runs."""
    heard = Heard()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen, heard.hints.append, heard.on_gap)
        await wait_until(lambda: heard.gaps, "the listener listens")
        yield heard
        tasks.cancel_scope.cancel()


async def flush(broker: Broker, queue: Queue, heard: Heard) -> list[Queue]:
    """Return all hints of a queue so far, by waiting for one that is published last."""
    await publish(broker, queue, broker.keys.hint_due, THE_END.tag)
    await wait_until(lambda: THE_END in heard.hints, "the last hint")
    found = [hint for hint in heard.hints if hint != THE_END]
    heard.hints.clear()
    return found


async def test_due_hints_come_only_when_the_next_due_time_moves_closer(broker: Broker, queue: Queue) -> None:
    """A due hint is sent only when the next due time moves closer, because a dispatcher sleeps until then."""
    async with listening(broker.listen_due) as heard:
        (first,) = await seed(broker, queue, delay_ms=FAR_MS)
        assert await flush(broker, queue, heard) == [queue]
        await seed(broker, queue, delay_ms=2 * FAR_MS)
        assert await flush(broker, queue, heard) == []
        await seed(broker, queue, delay_ms=FAR_MS // 2)
        assert await flush(broker, queue, heard) == [queue]
        await seed(broker, queue)
        assert await flush(broker, queue, heard) == []
        await make_due(broker, queue, [first])
        await broker.store.release_due(queue)
        assert await flush(broker, queue, heard) == []


async def test_due_hints_come_for_retries_and_snoozes(broker: Broker, queue: Queue) -> None:
    """A retry or a snooze that becomes the next due job sends a due hint."""
    running, other = await seed_running(broker, queue), await seed_running(broker, queue)
    async with listening(broker.listen_due) as heard:
        await commit(broker, running, RetryAt(FAR_MS, ERROR))
        assert await flush(broker, queue, heard) == [queue]
        await commit(broker, other, Snoozed(FAR_MS // 2))
        assert await flush(broker, queue, heard) == [queue]


async def test_listening_goes_on_when_its_connection_is_cut(broker: Broker, queue: Queue) -> None:
    """After a reconnection the listener gets a gap, and then further hints."""
    async with listening(broker.listen_due) as heard:
        for cuts in (1, 2, 3):
            await broker.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await wait_until(lambda cuts=cuts: heard.gaps > cuts, "the listener listens again")
        await seed(broker, queue, delay_ms=FAR_MS)
        assert await flush(broker, queue, heard) == [queue]


async def test_a_listener_waits_longer_after_each_failure_and_begins_anew_once_it_listens(
    broker: Broker, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener waits longer after each failure, and begins with a short pause once it has listened again."""
    asked: list[int] = []

    def backoff(failures: int) -> float:
        asked.append(failures)
        return 0.0 if failures else 0.01

    failing = 3
    connect = hints.connect

    def connect_later(*arguments: Any, **options: Any) -> Any:
        if len(asked) < failing:
            raise StoreUnavailableError("away")
        return connect(*arguments, **options)

    monkeypatch.setattr(hints, "backoff_s", backoff)
    monkeypatch.setattr(hints, "connect", connect_later)
    async with listening(broker.listen_due):
        assert asked == [1, 2, 3]
        failing = 5
        await broker.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await wait_until(lambda: len(asked) >= 5, "it has failed again")
        assert asked[3:5] == [1, 2]


async def test_a_listener_notices_that_a_silent_server_does_not_answer(
    own_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener pings a silent server, and leaves it when there is no response."""
    monkeypatch.setattr(hints, "QUIET_S", 0.05)
    monkeypatch.setattr(hints, "COMMAND_TIMEOUT_S", 0.1)
    async with open_broker(own_redis.url) as opened, listening(opened.listen_due) as heard:
        await opened.client.execute_command("CLIENT", "PAUSE", 500, "ALL")
        await wait_until(lambda: heard.gaps > 1, "the listener has subscribed anew")


async def test_listeners_hear_only_their_own_namespace(broker: Broker, queue: Queue) -> None:
    """A listener gets hints of its own namespace only."""
    async with listening(broker.listen_due) as heard:
        await broker.client.publish("ms:hints:due", queue.tag)
        assert await flush(broker, queue, heard) == []


async def test_a_gap_is_told_once_the_server_listens(broker: Broker, queue: Queue) -> None:
    """A hint published right after a gap was reported is heard."""
    for _ in range(20):
        async with listening(broker.listen_due) as heard:
            ((_, count),) = await broker.client.pubsub_numsub(broker.keys.hint_due)
            assert count >= 1
            assert await flush(broker, queue, heard) == []


async def test_a_hint_that_names_no_queue_is_no_hint(broker: Broker, queue: Queue) -> None:
    """A message that names no queue is skipped, and listening goes on."""
    async with listening(broker.listen_due) as heard:
        for word in ("", "x", "a/b", "a/b/zz", b"\xff\xfe"):
            await broker.client.publish(broker.keys.hint_due, word)
        assert await flush(broker, queue, heard) == []
        assert heard.gaps == 1
