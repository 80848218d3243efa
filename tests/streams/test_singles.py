"""Jobs of a queue with limits whose keys have no other share one list, and have what they would have in lanes."""

from collections.abc import Sequence
from typing import Any

import pytest
from streams.audit import audit
from streams.gate_audit import audit_gate
from streams.seeds import commit, new_job, seed, take, take_one
from streams.test_gate import HOUR_MS, ids_of, tune

from millstream_contracts import JobId, JobState, Priority, Queue
from millstream_streams import ActionCode, Broker

KEYS = ("c", "a", "d", "b")


async def seed_each(broker: Broker, queue: Queue, keys: Sequence[str] = KEYS, **options: Any) -> list[JobId]:
    """Submit one job of each key in one call."""
    jobs = [new_job(queue, key=key, **options) for key in keys]
    await broker.store.enqueue(queue, jobs)
    return [job.id for job in jobs]


async def shared(broker: Broker, queue: Queue, priority: Priority = Priority.NORMAL) -> int:
    """Return how many jobs stand in the list."""
    return int(await broker.client.llen(broker.keys.of(queue).singles_of(priority)))


async def test_they_start_in_the_order_of_their_submission(broker: Broker, queue: Queue) -> None:
    """Jobs of one key each need no lanes, and start in their order; what comes later stands behind them."""
    await tune(broker, queue, kc=1)
    await seed(broker, queue, key="first")
    await take_one(broker, queue)
    ids = await seed_each(broker, queue)
    assert not await broker.client.exists(*(broker.keys.of(queue).lane_of(Priority.NORMAL, key) for key in KEYS))
    later = await seed_each(broker, queue, ["e", "f"])
    taken = await take(broker, queue, limit=3) + await take(broker, queue)
    assert ids_of(taken)[: len(ids)] == ids
    assert set(ids_of(taken)) == {*ids, *later}
    assert await shared(broker, queue) == 0


async def test_a_key_with_many_jobs_has_one_start_before_them_at_most(broker: Broker, queue: Queue) -> None:
    """A key with a single job is in the first claim, though another key has a hundred jobs of the same call."""
    await tune(broker, queue, fair=True)
    jobs = [new_job(queue, key="big") for _ in range(99)] + [new_job(queue, key="small")]
    await broker.store.enqueue(queue, jobs)
    assert jobs[-1].id in ids_of(await take(broker, queue, limit=2))


@pytest.mark.parametrize("limits", [{"kc": 1}, {"kr": HOUR_MS, "krb": 1}], ids=["full", "spent"])
async def test_one_whose_key_is_kept_out_waits_in_its_lane(
    broker: Broker, queue: Queue, limits: dict[str, float]
) -> None:
    """A limit of keys holds for a job that is alone of its key too: it waits before those that come after it."""
    await tune(broker, queue, **limits)
    await seed(broker, queue, key="a")
    first = await take_one(broker, queue)
    ids = await seed_each(broker, queue)
    (after,) = await seed(broker, queue, key="a")
    assert set(ids_of(await take(broker, queue))) == {*ids} - {ids[1]}
    await audit_gate_here(broker, queue)
    await tune(broker, queue, kc=1)
    await commit(broker, first)
    second = await take_one(broker, queue)
    assert second.id == ids[1]
    await commit(broker, second)
    assert (await take_one(broker, queue)).id == after


async def audit_gate_here(broker: Broker, queue: Queue) -> None:
    """Raise AssertionError where slots, turns or counts of the gate are wrong."""
    await audit_gate(broker, queue, await audit(broker, queue))


async def test_one_may_leave_from_the_middle(broker: Broker, queue: Queue) -> None:
    """A job that is cancelled, or gets another priority, leaves the list and is counted no more."""
    await tune(broker, queue, c=1)
    first, *ids = await seed_each(broker, queue, ["first", *KEYS])
    assert await broker.store.cancel(queue, [ids[1]]) == [ActionCode.DONE]
    assert await broker.store.set_priority(queue, [ids[2]], Priority.HIGH) == [ActionCode.DONE]
    assert (await broker.store.measure(queue)).parked == len(ids) - 1
    assert await shared(broker, queue) == len(ids) - 2
    delivery = await take_one(broker, queue)
    assert delivery.id == first
    order = []
    for _ in range(3):
        await commit(broker, delivery)
        delivery = await take_one(broker, queue)
        order.append(delivery.id)
    assert order == [ids[2], ids[0], ids[3]]
    assert (await broker.store.measure(queue)).parked == 0


async def test_they_are_read_as_jobs_in_lanes_are(broker: Broker, queue: Queue) -> None:
    """Lists, keys, turns and gauges know jobs that share the list, and those behind them."""
    await tune(broker, queue, c=1)
    first, *ids = await seed_each(broker, queue, ["first", *KEYS])
    (after,) = await seed(broker, queue, key="a")
    page = await broker.listing.jobs([queue], JobState.QUEUED, cursor=None, limit=9)
    assert {job.id for job in page.items} == {first, *ids, after}
    assert {key.key: key.parked for key in await broker.lanes.keys(queue) if key.parked} == {
        **dict.fromkeys(KEYS, 1),
        "a": 2,
    }
    places = [await broker.lanes.place(queue, one, Priority.NORMAL, key) for one, key in zip(ids, KEYS, strict=True)]
    assert [(place.turn, place.turns, place.position) for place in places if place] == [
        (turn, len(KEYS) + 1, 1) for turn in (1, 2, 3, 4)
    ]
    behind = await broker.lanes.place(queue, after, Priority.NORMAL, "a")
    assert behind is not None
    assert (behind.turn, behind.position) == (len(KEYS) + 1, 2)
    depths = await broker.store.measure(queue)
    assert depths.parked == len(ids) + 1
    assert depths.keys is not None
    assert depths.keys.lanes == len(KEYS) + 1


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_pages_show_each_once(broker: Broker, queue: Queue, limit: int) -> None:
    """A job that shares the list is on one page, whatever the size of the pages."""
    await tune(broker, queue, c=1)
    ids = [*await seed_each(broker, queue, ["first", *KEYS]), *await seed(broker, queue, 3, key="a")]
    found, cursor = [], None
    while True:
        page = await broker.listing.jobs([queue], JobState.QUEUED, cursor=cursor, limit=limit)
        found += [job.id for job in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(found) == sorted(ids)


async def test_limits_that_are_taken_back_strand_none(broker: Broker, queue: Queue) -> None:
    """Without limits all of them start, and the gate leaves."""
    await tune(broker, queue, c=1)
    ids = await seed_each(broker, queue, ["first", *KEYS])
    delivery = await take_one(broker, queue)
    await tune(broker, queue)
    await commit(broker, delivery)
    assert ids_of(await take(broker, queue)) == ids[1:]
    assert not await broker.client.hexists(broker.keys.of(queue).settings, "!flow")
