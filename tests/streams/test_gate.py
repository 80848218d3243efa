"""Limits of a queue: jobs wait in lanes, and one is let in only when it may run."""

import itertools
import random
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from streams.gate_audit import MARK
from streams.seeds import ERROR, FAR_MS, commit, make_due, seed, seed_dead, seed_running, take, take_one
from waiting import wait_until

from millstream_contracts import Cancelled, Dead, JobId, Outcome, Priority, Queue, RetryAt, Snoozed, Succeeded
from millstream_streams import ActionCode, Broker, Commit, Delivery, ReadEntry

HOUR_MS = 3_600_000.0


async def tune(broker: Broker, queue: Queue, **limits: Any) -> bool:
    """Set limits in the form of scripts/_gate.lua."""
    return await broker.settings.tune(queue, limits)


async def commit_all(broker: Broker, deliveries: Sequence[Delivery]) -> None:
    """Commit each as a success."""
    for delivery in deliveries:
        await commit(broker, delivery)


async def commit_all_at_once(broker: Broker, queue: Queue, deliveries: Sequence[Delivery]) -> None:
    """Commit all as successes in one call; they are forgotten at once."""
    if deliveries:
        commits = [Commit(delivery, Succeeded(), 1) for delivery in deliveries]
        await broker.store.commit(queue, worker="w1", commits=commits)


async def read_by(broker: Broker, queue: Queue, consumer: str) -> list[ReadEntry]:
    """Return what a worker gets that blocks on the streams."""
    reader = broker.reader()
    try:
        return await reader.wait([queue], consumer=consumer, block_ms=0)
    finally:
        await reader.close()


def ids_of(deliveries: Sequence[Delivery]) -> list[JobId]:
    """Return the ids of deliveries, in their order."""
    return [delivery.id for delivery in deliveries]


async def test_no_more_jobs_run_at_once_than_the_limit_says(broker: Broker, queue: Queue) -> None:
    """With a limit of three, three jobs are claimed, whichever worker asks, and one more for each that ends."""
    await tune(broker, queue, c=3)
    ids = await seed(broker, queue, 5)
    first = await take(broker, queue, "w1", limit=2)
    second = await take(broker, queue, "w2")
    assert ids_of(first + second) == ids[:3]
    assert await take(broker, queue) == []
    await commit(broker, first[0])
    assert ids_of(await take(broker, queue)) == [ids[3]]


async def test_one_job_is_let_in_to_wake_a_worker(broker: Broker, queue: Queue) -> None:
    """A worker that blocks on the streams is woken, and all others wait in their lane."""
    await tune(broker, queue, c=10)
    await take(broker, queue)
    ids = await seed(broker, queue, 4)
    (read,) = await read_by(broker, queue, "w1")
    assert read.id == ids[0]
    assert await read_by(broker, queue, "w1") == []
    depths = await broker.store.measure(queue)
    assert (sum(depths.queued), depths.parked, depths.running) == (3, 3, 1)
    assert ids_of(await take(broker, queue, read=[read], limit=10)) == ids


@pytest.mark.parametrize(
    "outcome",
    [Succeeded(), Dead("attempts", ERROR), Cancelled("stopped"), RetryAt(FAR_MS, ERROR), Snoozed(FAR_MS)],
    ids=lambda outcome: type(outcome).__name__,
)
async def test_each_end_of_a_delivery_frees_its_slot(broker: Broker, queue: Queue, outcome: Outcome) -> None:
    """However a delivery ends, the next job of its key is let in."""
    await tune(broker, queue, kc=1)
    first, second = await seed(broker, queue, 2, key="acme")
    delivery = await take_one(broker, queue)
    assert delivery.id == first
    assert await take(broker, queue) == []
    await commit(broker, delivery, outcome)
    assert ids_of(await take(broker, queue)) == [second]


async def test_a_delivery_that_is_given_back_goes_before_all_others(broker: Broker, queue: Queue) -> None:
    """A job that a worker hands back, or that the reaper takes from a silent one, is the next of its lane."""
    await tune(broker, queue, kc=1)
    ids = await seed(broker, queue, 3, key="acme")
    await broker.store.hand_back(queue, worker="w1", deliveries=[await take_one(broker, queue)])
    assert (await take_one(broker, queue)).id == ids[0]
    await broker.store.recover(queue, lease_ms=0, max_crashes=9)
    assert (await take_one(broker, queue)).id == ids[0]


async def test_the_limit_of_a_key_holds_for_that_key_alone(broker: Broker, queue: Queue) -> None:
    """Jobs of other keys, and those without one, pass a key that is full."""
    await tune(broker, queue, kc=2)
    ours = await seed(broker, queue, 4, key="acme")
    others = await seed(broker, queue, 1, key="a key with spaces / and é")
    keyless = await seed(broker, queue, 3)
    taken = await take(broker, queue)
    assert set(ids_of(taken)) == {*ours[:2], *others, *keyless}


async def test_starts_are_spread_by_the_rate(broker: Broker, queue: Queue) -> None:
    """With a burst of three, three jobs start at once, and the next when its time has come."""
    await tune(broker, queue, r=200.0, rb=3)
    ids = await seed(broker, queue, 5)
    taken = await take(broker, queue)
    assert ids_of(taken) == ids[:3]
    depths = await broker.store.measure(queue)
    assert depths.next_due_in_ms is not None
    assert (depths.next_due_in_ms > 0, depths.scheduled) == (True, 0)
    await commit_all(broker, taken)
    assert await take(broker, queue) == []

    async def is_let_in() -> bool:
        await broker.store.release_due(queue)
        depths = await broker.store.measure(queue)
        return depths.parked < 2

    await wait_until(is_let_in, "a dispatcher has let the next job in")
    assert ids_of(await take(broker, queue)) == [ids[3]]


async def test_the_rate_of_a_key_holds_for_that_key_alone(broker: Broker, queue: Queue) -> None:
    """A key whose rate is spent waits, and others go on."""
    await tune(broker, queue, kr=HOUR_MS, krb=2)
    ours = await seed(broker, queue, 3, key="acme")
    others = await seed(broker, queue, 1, key="other")
    assert set(ids_of(await take(broker, queue))) == {*ours[:2], *others}


async def test_a_key_with_many_jobs_does_not_delay_another(broker: Broker, queue: Queue) -> None:
    """The single job of a key is in the first claim, though a thousand of another key stand before it."""
    await tune(broker, queue, fair=True)
    for _ in range(10):
        await seed(broker, queue, 100, key="big")
    (single,) = await seed(broker, queue, key="small")
    assert single in ids_of(await take(broker, queue, limit=4))


async def test_keys_share_starts_by_their_weights(broker: Broker, queue: Queue) -> None:
    """While all wait, starts are shared by weight, within one job."""
    await tune(broker, queue, w={"a": 3, "c": 2})
    owner = {}
    for key in "abc":
        owner |= dict.fromkeys(await seed(broker, queue, 60, key=key), key)
    started: Counter[str] = Counter()
    for _ in range(12):
        taken = await take(broker, queue, limit=7)
        started.update(owner[job_id] for job_id in ids_of(taken))
        await commit_all(broker, taken)
    total = sum(started.values())
    assert total == 84
    assert all(abs(started[key] - total * weight / 6) <= weight + 1 for key, weight in {"a": 3, "b": 1, "c": 2}.items())


async def test_shares_are_those_of_the_weights_over_many_starts(broker: Broker, queue: Queue) -> None:
    """Over ten thousand starts, weights of 1 to 10 get their shares within 2 %, whatever a claim takes."""
    weights = {f"k{weight}": weight for weight in range(1, 11)}
    await tune(broker, queue, w=weights)
    key_of: dict[JobId, str] = {}
    started: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    sizes = itertools.cycle((100, 37, 100, 3))
    while started.total() < 10_000:
        for key in weights:
            while waiting[key] < 300:
                key_of |= dict.fromkeys(await seed(broker, queue, 100, key=key), key)
                waiting[key] += 100
        found = await take(broker, queue, limit=next(sizes))
        taken = [key_of[delivery.id] for delivery in found]
        started.update(taken)
        waiting.subtract(taken)
        await commit_all_at_once(broker, queue, found)
    shares = {key: started[key] / started.total() / (weight / 55) for key, weight in weights.items()}
    assert all(0.98 <= share <= 1.02 for share in shares.values()), shares


async def test_no_window_has_more_starts_of_a_key_than_its_rate_lets(broker: Broker, queue: Queue) -> None:
    """In ten thousand random windows each key has started its burst and what its rate gives meanwhile, at most."""
    every_ms, burst = 4.0, 3
    await tune(broker, queue, kr=every_ms, krb=burst)
    key_of = {}
    for key in ("a", "b"):
        for _ in range(3):
            key_of |= dict.fromkeys(await seed(broker, queue, 100, key=key), key)
    starts: dict[str, list[int]] = {"a": [], "b": []}
    while min(map(len, starts.values())) < 150:
        taken = await take(broker, queue, limit=100)
        for delivery in taken:
            starts[key_of[delivery.id]].append(delivery.claimed_at_ms)
        await commit_all_at_once(broker, queue, taken)
        await broker.store.release_due(queue)
    for _ in range(10_000):
        times = starts[random.choice("ab")]
        begin = random.randint(times[0], times[-1])
        length_ms = random.randint(0, 200)
        count = bisect_right(times, begin + length_ms) - bisect_left(times, begin)
        # Starts are counted by the millisecond, so a window is one longer than it seems. The bell is admitted by a
        # release or a commit, and starts with a claim that comes later: one that may be in any window.
        assert count <= burst + (length_ms + 1) / every_ms + 1


async def test_a_key_is_woken_after_another_has_taken_the_mark(broker: Broker, queue: Queue) -> None:
    """When the first of two keys has had its turn, a dispatcher looks again when the rate of the other is free."""
    await tune(broker, queue, kr=HOUR_MS, krb=1)
    for key in ("a", "b", "a", "b"):
        await seed(broker, queue, key=key)
    await commit_all(broker, await take(broker, queue))
    keys = broker.keys.of(queue)
    # The rate of one is free, and so a dispatcher looks.
    await broker.client.zadd(keys.rates, {"a": 1})
    await broker.client.zadd(keys.waiting, {"a": 1})
    await broker.client.zadd(keys.due, {MARK: 1})
    await broker.store.release_due(queue)
    free_at = await broker.client.zscore(keys.waiting, "b")
    assert await broker.client.zscore(keys.due, MARK) == free_at
    await commit_all(broker, await take(broker, queue))
    assert await broker.client.zscore(keys.due, MARK) == free_at


async def test_a_lane_that_comes_and_goes_does_not_starve_the_one_that_stays(broker: Broker, queue: Queue) -> None:
    """A key that is full after each start has its turn behind the one that waits all the time."""
    await tune(broker, queue, c=1, kc=1)
    owner = {}
    for key in "ab":
        owner |= dict.fromkeys(await seed(broker, queue, 10, key=key), key)
    started = []
    for _ in range(10):
        (delivery,) = await take(broker, queue, limit=1)
        started.append(owner[delivery.id])
        await commit(broker, delivery)
    assert Counter(started) == {"a": 5, "b": 5}


async def test_high_goes_before_normal_and_low(broker: Broker, queue: Queue) -> None:
    """Priorities keep their meaning in lanes."""
    await tune(broker, queue, c=10)
    low = await seed(broker, queue, 2, priority=Priority.LOW)
    await take(broker, queue, limit=0)
    normal = await seed(broker, queue, 2)
    high = await seed(broker, queue, 2, priority=Priority.HIGH)
    # One of low was let in, when nothing else was there.
    assert set(ids_of(await take(broker, queue, limit=3))) == {low[0], *high}
    assert ids_of(await take(broker, queue, limit=2)) == normal


async def test_limits_hold_for_a_backlog_that_was_there_before(broker: Broker, queue: Queue) -> None:
    """Jobs that became ready before the limits are held back, and those that ran already count."""
    running = await seed_running(broker, queue, key="acme")
    waiting = await seed(broker, queue, 3, key="acme")
    await tune(broker, queue, kc=2)
    taken = [one for _ in range(3) for one in await take(broker, queue)]
    assert ids_of(taken) == waiting[:1]
    await commit(broker, running)
    assert ids_of(await take(broker, queue)) == waiting[1:2]


async def test_limits_that_are_taken_back_strand_no_job(broker: Broker, queue: Queue) -> None:
    """Without limits the lanes empty themselves, and the queue is as one that never had any."""
    await tune(broker, queue, c=1)
    ids = await seed(broker, queue, 5, key="acme")
    assert await tune(broker, queue)
    taken = await take(broker, queue)
    assert ids_of(taken) == ids
    settings = await broker.client.hgetall(broker.keys.of(queue).settings)
    assert settings == {}
    assert not await tune(broker, queue)
    await tune(broker, queue, kc=6)
    assert ids_of(await take(broker, queue)) == []
    await seed(broker, queue, 2, key="acme")
    assert len(await take(broker, queue)) == 1


async def test_a_higher_limit_is_in_force_at_once(broker: Broker, queue: Queue) -> None:
    """Nothing has to end before a limit that was raised lets more in."""
    await tune(broker, queue, kc=1)
    ids = await seed(broker, queue, 3, key="acme")
    await take(broker, queue)
    await tune(broker, queue, kc=2)
    assert ids_of(await take(broker, queue)) == [ids[1]]
    await tune(broker, queue, kr=HOUR_MS, krb=1)
    await tune(broker, queue, kc=3)
    assert ids_of(await take(broker, queue)) == [ids[2]]


async def test_jobs_leave_their_lanes_when_they_are_cancelled_or_expire(broker: Broker, queue: Queue) -> None:
    """A job that a limit holds back can be cancelled, expires and is erased, and the others keep their order."""
    await tune(broker, queue, kc=1)
    first, second, third, fourth = await seed(broker, queue, 4, key="acme")
    (late,) = await seed(broker, queue, key="acme", expires_at_ms=1)
    assert await broker.store.cancel(queue, [second]) == [ActionCode.DONE]
    assert (await broker.store.expire(queue)).expired == 1
    assert await broker.store.erase(queue, [third]) == [ActionCode.DONE]
    assert (await broker.store.measure(queue)).parked == 1
    assert (await take_one(broker, queue)).id == first
    assert await broker.store.cancel(queue, [fourth]) == [ActionCode.DONE]
    assert (await broker.store.measure(queue)).parked == 0
    assert late not in ids_of(await take(broker, queue))


async def test_jobs_that_left_a_long_lane_do_not_stop_those_behind_them(broker: Broker, queue: Queue) -> None:
    """A long lane keeps what was cancelled as tombstones; a job behind them is reached, by dispatchers if need be."""
    await tune(broker, queue, kc=1)
    ids = [one for _ in range(13) for one in await seed(broker, queue, 100, key="acme")]
    for start in range(1, 1201, 100):
        await broker.store.cancel(queue, ids[start : start + 100])
    assert (await broker.store.measure(queue)).parked == 99
    await commit(broker, await take_one(broker, queue))

    async def is_reached() -> bool:
        await broker.client.zadd(broker.keys.of(queue).due, {MARK: 1}, xx=True)
        await broker.store.release_due(queue)
        return bool(ids_of(await take(broker, queue)) == [ids[1201]])

    await wait_until(is_reached, "the first job that was not cancelled is given")
    await broker.store.cancel(queue, ids[1202:])
    assert (await broker.store.measure(queue)).parked == 0


async def test_a_paused_queue_lets_nothing_in(broker: Broker, queue: Queue) -> None:
    """While a queue is paused its gate is shut, and resuming it by new limits opens that."""
    await tune(broker, queue, c=2)
    await broker.client.hset(broker.keys.of(queue).settings, "paused", "1")
    await seed(broker, queue, 2)
    assert await take(broker, queue) == []
    assert (await broker.store.measure(queue)).parked == 2
    await broker.client.hdel(broker.keys.of(queue).settings, "paused")
    await tune(broker, queue, c=2)
    assert len(await take(broker, queue)) == 2


async def test_redriven_and_released_jobs_wait_for_their_turn(broker: Broker, queue: Queue) -> None:
    """Whatever becomes ready waits in its lane."""
    dead = await seed_dead(broker, queue, key="acme")
    (delayed,) = await seed(broker, queue, delay_ms=FAR_MS, key="acme")
    await tune(broker, queue, kc=1)
    running = await seed_running(broker, queue, key="acme")
    await broker.store.redrive(queue, [dead])
    await make_due(broker, queue, [delayed])
    await broker.store.release_due(queue)
    assert await take(broker, queue) == []
    await commit(broker, running)
    assert ids_of(await take(broker, queue)) == [dead]


async def test_a_dispatcher_goes_on_where_a_worker_died_with_the_job_that_was_let_in(
    broker: Broker, queue: Queue
) -> None:
    """A queue in which jobs wait and nothing lies ready is due now: the next one is let in before any lease ends."""
    await tune(broker, queue, c=2)
    await take(broker, queue)
    ids = await seed(broker, queue, 2)
    assert len(await read_by(broker, queue, "w1")) == 1
    assert (await broker.store.measure(queue)).next_due_in_ms == 0
    await broker.store.release_due(queue)
    assert ids_of(await take(broker, queue, "w2")) == [ids[1]]


async def test_a_repeated_claim_returns_what_the_first_one_has_drawn(broker: Broker, queue: Queue) -> None:
    """A claim whose answer was lost takes no more slots when it is sent again."""
    await tune(broker, queue, c=3)
    ids = await seed(broker, queue, 5)
    first = await broker.store.claim(queue, consumer="w1", nonce="n1", limit=3)
    again = await broker.store.claim(queue, consumer="w1", nonce="n1", limit=3, resume=True)
    assert set(ids_of(first.deliveries)) == set(ids_of(again.deliveries)) == set(ids[:3])


async def test_limits_that_no_release_can_read_close_the_queue_alone(broker: Broker, torn_queue: Queue) -> None:
    """Garbage in place of limits stops claims, which might break a limit, and nothing else."""
    keys = broker.keys.of(torn_queue)
    await broker.client.hset(keys.settings, "!flow", b"\xc1garbage")
    await seed(broker, torn_queue)
    claim = await broker.store.claim(torn_queue, consumer="w1", nonce="n1", limit=1)
    assert (claim.deliveries, claim.ask_again_ms) == ([], 1000)
    await tune(broker, torn_queue, c=1)
    assert len(await take(broker, torn_queue)) == 1
