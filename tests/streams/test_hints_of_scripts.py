"""Each script sends the hints that its header names; without them a job is only found at the next look."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest
from msgspec import Struct
from streams.script_reader import hints_of
from streams.seeds import (
    ERROR,
    FAR_MS,
    LONG_AGO_MS,
    TTL_MS,
    commit,
    make_due,
    new_job,
    publish,
    recover_all,
    seed,
    seed_dead,
    seed_running,
    take,
)
from waiting import wait_until

from millstream_contracts import Cancelled, Dead, JobId, Outcome, Queue, RetryAt, Snoozed, Succeeded
from millstream_streams import Broker, Commit, Delivery, Edge, Parents, UniqueKey
from millstream_streams.reading.hints import listen
from millstream_streams.store.scripting import script_names

PARENTS = Parents((JobId("email.parent"),), (JobId("email.parent"),))
"""Of a blocked job."""

WATCHED = (True, False, True)
"""Whether each job of a call is watched: two are, and the one between them is not."""

_THE_END = "the end"


class Heard:
    """The messages on the channels of one queue's hints, by topic."""

    def __init__(self, broker: Broker, queue: Queue) -> None:
        self._broker, self._queue = broker, queue
        self.hints: dict[str, list[str]] = {"due": [], "settled": [], "cancel:w1": [], "cancel:w2": []}

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen on all channels for as long as the block runs."""
        begun: list[str] = []
        async with anyio.create_task_group() as tasks:
            for topic, hints in self.hints.items():
                channel = self._broker.keys.hint(topic)
                tasks.start_soon(
                    listen, self._broker.address, [channel], hints.append, lambda topic=topic: begun.append(topic)
                )
            await wait_until(lambda: len(begun) == len(self.hints), "all channels are subscribed")
            yield
            tasks.cancel_scope.cancel()

    async def flush(self) -> dict[str, list[str]]:
        """Return the messages so far, without topics that have none."""
        for topic in self.hints:
            await publish(self._broker, self._queue, self._broker.keys.hint(topic), _THE_END)
        await wait_until(lambda: all(_THE_END in hints for hints in self.hints.values()), "the last hints")
        found = {topic: [hint for hint in hints if hint != _THE_END] for topic, hints in self.hints.items()}
        for hints in self.hints.values():
            hints.clear()
        return {topic: hints for topic, hints in found.items() if hints}


Act = Callable[[], Awaitable[object]]
Prepare = Callable[[Broker, Queue], Awaitable[tuple[Sequence[JobId], Act]]]


class Way(Struct, frozen=True):
    """A way to settle a job, and the script that it takes."""

    script: str
    prepare: Prepare
    """Makes a job for each of :data:`WATCHED`. Returns: their ids, and a function that settles all in one call."""


def commits(outcome: Outcome, *, cancel: bool = False) -> Prepare:
    """Return a way to settle by this outcome, after a request to cancel if `cancel` is set."""

    async def prepare(broker: Broker, queue: Queue) -> tuple[Sequence[JobId], Act]:
        running = await run_each(broker, queue)
        ids = [one.id for one in running]
        if cancel:
            await broker.store.cancel(queue, ids)
        sent = [Commit(one, outcome, TTL_MS) for one in running]
        return ids, lambda: broker.store.commit(queue, worker="w1", commits=sent)

    return prepare


async def run_each(broker: Broker, queue: Queue) -> list[Delivery]:
    """Store a job for each of :data:`WATCHED`, and claim it."""
    return [await seed_running(broker, queue, waited=waited) for waited in WATCHED]


def seeds(act: Callable[[Broker, Queue, Sequence[JobId]], Awaitable[object]], **options: object) -> Prepare:
    """Return a way to settle jobs that no worker has."""

    async def prepare(broker: Broker, queue: Queue) -> tuple[Sequence[JobId], Act]:
        ids = [job_id for waited in WATCHED for job_id in await seed(broker, queue, waited=waited, **options)]
        return ids, lambda: act(broker, queue, ids)

    return prepare


async def prepare_hand_back(broker: Broker, queue: Queue) -> tuple[Sequence[JobId], Act]:
    """Claim jobs for a draining worker, and ask for their cancellation."""
    running = await run_each(broker, queue)
    ids = [one.id for one in running]
    await broker.store.cancel(queue, ids)
    return ids, lambda: broker.store.hand_back(queue, worker="w1", deliveries=running)


def recovers(*, cancel: bool) -> Prepare:
    """Return a way to settle jobs of a lost worker, which are buried or were to be cancelled."""

    async def prepare(broker: Broker, queue: Queue) -> tuple[Sequence[JobId], Act]:
        ids = [one.id for one in await run_each(broker, queue)]
        if cancel:
            await broker.store.cancel(queue, ids)
        return ids, lambda: recover_all(broker, queue, max_crashes=1)

    return prepare


async def prepare_discard(broker: Broker, queue: Queue) -> tuple[Sequence[JobId], Act]:
    """Make dead jobs that an operator will discard while a client waits for them."""
    ids = [await seed_dead(broker, queue, waited=waited) for waited in WATCHED]
    return ids, lambda: broker.store.discard(queue, ids)


async def prepare_release(broker: Broker, queue: Queue) -> tuple[Sequence[JobId], Act]:
    """Make scheduled jobs that are due after their expiry."""
    late = {"delay_ms": FAR_MS, "expires_at_ms": LONG_AGO_MS}
    ids = [job_id for waited in WATCHED for job_id in await seed(broker, queue, waited=waited, **late)]
    await make_due(broker, queue, ids)
    return ids, lambda: broker.store.release_due(queue)


async def prepare_resolve(broker: Broker, queue: Queue) -> tuple[Sequence[JobId], Act]:
    """Make blocked jobs whose parent was cancelled."""
    (parent,) = await seed(broker, queue)
    parents = Parents((parent,), (parent,))
    ids = [job_id for waited in WATCHED for job_id in await seed(broker, queue, waited=waited, parents=parents)]
    return ids, lambda: broker.dependencies.resolve(queue, [Edge(job_id, parent, "cancelled") for job_id in ids])


def cancel(broker: Broker, queue: Queue, ids: Sequence[JobId]) -> Awaitable[object]:
    """Cancel jobs."""
    return broker.store.cancel(queue, ids)


def erase(broker: Broker, queue: Queue, ids: Sequence[JobId]) -> Awaitable[object]:
    """Erase jobs."""
    return broker.store.erase(queue, ids)


def expire(broker: Broker, queue: Queue, ids: Sequence[JobId]) -> Awaitable[object]:
    """Expire late jobs, as the dispatcher does."""
    return broker.store.expire(queue)


def claim(broker: Broker, queue: Queue, ids: Sequence[JobId]) -> Awaitable[object]:
    """Claim jobs, as a worker does."""
    return take(broker, queue)


def run_now(broker: Broker, queue: Queue, ids: Sequence[JobId]) -> Awaitable[object]:
    """Run jobs before their time."""
    return broker.store.run_now(queue, ids)


async def prepare_replacement(broker: Broker, queue: Queue) -> tuple[Sequence[JobId], Act]:
    """Make jobs with unique keys, which others take."""
    keys = [UniqueKey("running", f"{at:032x}", "replace", None, str(at)) for at in range(len(WATCHED))]
    ids = [(await seed(broker, queue, unique=key, waited=waited))[0] for key, waited in zip(keys, WATCHED, strict=True)]
    return ids, lambda: broker.store.enqueue(queue, [new_job(queue, unique=key) for key in keys])


WAYS = {
    "success": Way("commit", commits(Succeeded())),
    "death": Way("commit", commits(Dead("attempts", ERROR))),
    "a handler that discards": Way("commit", commits(Cancelled("no use"))),
    "failure of what is to be cancelled": Way("commit", commits(RetryAt(FAR_MS, ERROR), cancel=True)),
    "cancellation in a stream": Way("cancel", seeds(cancel)),
    "cancellation before its time": Way("cancel", seeds(cancel, delay_ms=FAR_MS)),
    "expiry in a stream": Way("expire", seeds(expire, expires_at_ms=LONG_AGO_MS)),
    "expiry before its time": Way("expire", seeds(expire, delay_ms=FAR_MS, expires_at_ms=LONG_AGO_MS)),
    "expiry at a claim": Way("claim", seeds(claim, expires_at_ms=LONG_AGO_MS)),
    "expiry at a release": Way("release_due", prepare_release),
    "expiry when it is run now": Way("run_now", seeds(run_now, delay_ms=FAR_MS, expires_at_ms=LONG_AGO_MS)),
    "replacement by a unique job": Way("enqueue", prepare_replacement),
    "hand-back of what is to be cancelled": Way("hand_back", prepare_hand_back),
    "crashes": Way("recover", recovers(cancel=False)),
    "crash of what is to be cancelled": Way("recover", recovers(cancel=True)),
    "discard": Way("discard", prepare_discard),
    "end of a parent": Way("resolve", prepare_resolve),
    "cancellation of a blocked job": Way("cancel", seeds(cancel, parents=PARENTS)),
    "erasure": Way("erase", seeds(erase)),
}


def test_the_ways_to_settle_are_all_there_are() -> None:
    """Every script that sends the settled hint is among the ways to settle."""
    assert {way.script for way in WAYS.values()} == {name for name in script_names() if "settled" in hints_of(name)}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_each_watched_job_that_settles_has_one_hint(broker: Broker, queue: Queue, way: Way) -> None:
    """A job that a client waits for gets one hint when it settles, in whichever way, and other jobs get none."""
    heard = Heard(broker, queue)
    ids, settle = await way.prepare(broker, queue)
    async with heard.listening():
        await settle()
        assert await heard.flush() == {
            "settled": [job_id for job_id, waited in zip(ids, WATCHED, strict=True) if waited]
        }


@pytest.mark.parametrize("way", [pytest.param(way, id=name) for name, way in WAYS.items() if way.script != "erase"])
async def test_each_job_that_ends_can_be_read_for_as_long_as_was_said(broker: Broker, queue: Queue, way: Way) -> None:
    """A job that ends by commit lives for the commit's time, any other for the store's, in ms. A dead job stays."""
    ids, settle = await way.prepare(broker, queue)
    await settle()
    for job_id in ids:
        key = broker.keys.of(queue).job(job_id)
        is_dead = await broker.client.hget(key, "state") == b"dead"
        ttl_ms = await broker.client.pttl(key)
        assert ttl_ms == -1 if is_dead else TTL_MS - 600_000 < ttl_ms <= TTL_MS


@pytest.mark.parametrize("delays", [(FAR_MS, 2 * FAR_MS, FAR_MS // 2), (2 * FAR_MS, FAR_MS, 3 * FAR_MS)], ids=str)
@pytest.mark.parametrize("kind", [RetryAt, Snoozed])
async def test_each_earlier_due_time_within_a_commit_has_a_hint(
    broker: Broker, queue: Queue, delays: Sequence[int], kind: type
) -> None:
    """Each retry or snooze of a commit that becomes the next one due sends a hint."""
    heard = Heard(broker, queue)
    running = [await seed_running(broker, queue) for _ in delays]
    outcomes = [kind(ms, ERROR) if kind is RetryAt else kind(ms) for ms in delays]
    sent = [Commit(one, outcome, TTL_MS) for one, outcome in zip(running, outcomes, strict=True)]
    async with heard.listening():
        await broker.store.commit(queue, worker="w1", commits=sent)
        assert await heard.flush() == {"due": [queue.tag] * 2}


async def test_each_running_job_that_is_cancelled_hints_at_its_own_worker(broker: Broker, queue: Queue) -> None:
    """Each worker gets a hint for each of its own jobs that is cancelled, and none when it is cancelled again."""
    heard = Heard(broker, queue)
    first = [(await seed_running(broker, queue, "w1")).id for _ in range(2)]
    second = [(await seed_running(broker, queue, "w2")).id for _ in range(2)]
    async with heard.listening():
        await broker.store.cancel(queue, [*first, *second])
        assert await heard.flush() == {"cancel:w1": first, "cancel:w2": second}
        await broker.store.cancel(queue, [*first, *second])
        assert await heard.flush() == {}


async def test_what_neither_settles_nor_waits_gives_no_hint(broker: Broker, queue: Queue) -> None:
    """A transition that neither settles nor schedules a job sends no hint, also for a watched job."""
    heard = Heard(broker, queue)
    async with heard.listening():
        delivery = await seed_running(broker, queue, waited=True)
        await broker.store.hand_back(queue, worker="w1", deliveries=[delivery])
        (delivery,) = await take(broker, queue)
        await commit(broker, delivery, RetryAt(0, ERROR))
        await take(broker, queue)
        await recover_all(broker, queue)
        assert await heard.flush() == {}
        (delivery,) = await take(broker, queue)
        await commit(broker, delivery, Dead("attempts", ERROR))
        assert await heard.flush() == {"settled": [delivery.id]}
        await broker.store.redrive(queue, [delivery.id])
        assert await heard.flush() == {}
