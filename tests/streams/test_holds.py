"""What a handler holds back that was told to come back later: its whole type, or its key."""

import time

import pytest
from streams.gate_audit import MARK
from streams.seeds import FAR_MS, commit, nonce, seed, take, take_one
from streams.test_gate import ids_of, read_by, tune
from waiting import wait_until

from millstream_contracts import JobId, Queue, Snoozed, SnoozeGate, limits
from millstream_streams import Broker

SHORT_MS = 1_000
KINDS = ["plain", "gated"]


async def hold(broker: Broker, queue: Queue, gate: SnoozeGate, ms: int = FAR_MS, key: str = "") -> JobId:
    """Have a job run whose handler holds its type or its key back."""
    [job_id] = await seed(broker, queue, 1, key=key)
    delivery = await take_one(broker, queue)
    assert delivery.id == job_id
    await commit(broker, delivery, Snoozed(ms, gate))
    return job_id


async def limit(broker: Broker, queue: Queue, kind: str) -> None:
    """Give the queue limits that hold nothing back, or none."""
    if kind == "gated":
        await tune(broker, queue, c=100)


async def held_until(broker: Broker, queue: Queue) -> int | None:
    """Return up to when the queue is held back, as a measurement has it."""
    return (await broker.store.measure(queue)).held_until_ms


async def is_plain(broker: Broker, queue: Queue) -> bool:
    """Return whether the queue has no gate."""
    return not await broker.client.hexists(broker.keys.of(queue).settings, "!flow")


async def wait_released(broker: Broker, queue: Queue) -> None:
    """Run the dispatcher's step until nothing waits for its time."""

    async def is_released() -> bool:
        return (await broker.store.release_due(queue)).next_in_ms is None

    await wait_until(is_released, "the hold is over")


@pytest.mark.parametrize("kind", KINDS)
async def test_no_job_of_a_type_starts_that_a_handler_holds_back(broker: Broker, queue: Queue, kind: str) -> None:
    """Neither jobs that were ready nor later ones start before the time, and then all do."""
    await limit(broker, queue, kind)
    holder = await hold(broker, queue, "type", SHORT_MS)
    until = await held_until(broker, queue)
    waiting = await seed(broker, queue, 3)
    assert await take(broker, queue) == []
    stored = await broker.settings.read(queue)
    assert (stored.held_until_ms, stored.held_by) == (until, holder)
    await wait_released(broker, queue)
    assert until is not None
    assert time.time() * 1000 >= until
    assert set(ids_of(await take(broker, queue))) == {holder, *waiting}
    assert await held_until(broker, queue) is None


async def test_a_worker_is_told_when_a_held_type_opens(broker: Broker, queue: Queue) -> None:
    """A claim of a queue that is held back says when to ask again: then, and within a second, as it may end by hand."""
    await hold(broker, queue, "type", SHORT_MS)
    claim = await broker.store.claim(queue, consumer="w1", nonce=nonce(), limit=5)
    assert 0 < claim.ask_again_ms <= SHORT_MS
    await broker.settings.hold(queue, after_ms=FAR_MS, job_id=JobId("another"))
    assert (await broker.store.claim(queue, consumer="w1", nonce=nonce(), limit=5)).ask_again_ms == 1000


@pytest.mark.parametrize("kind", KINDS)
async def test_a_job_that_a_worker_has_read_waits_as_well(broker: Broker, queue: Queue, kind: str) -> None:
    """A blocked worker that is woken by a job of a type that is held back gives it back, and no job is lost."""
    await limit(broker, queue, kind)
    await take(broker, queue)
    [first] = await seed(broker, queue, 1)
    delivery = await take_one(broker, queue)
    [second] = await seed(broker, queue, 1)
    read = await read_by(broker, queue, "w2")
    assert [one.id for one in read] == [second]
    await commit(broker, delivery, Snoozed(FAR_MS, "type"))
    assert await take(broker, queue, "w2", read=read) == []
    assert (await broker.store.measure(queue)).running == 0
    assert await broker.settings.end_hold(queue)
    assert ids_of(await take(broker, queue, "w3")) == [second]
    assert first != second


@pytest.mark.parametrize("kind", KINDS)
async def test_only_the_jobs_of_a_held_key_wait(broker: Broker, queue: Queue, kind: str) -> None:
    """Other keys and jobs without a key start; those of the key wait until then, in their order, and then start."""
    await limit(broker, queue, kind)
    before = await seed(broker, queue, 2, key="a key with é")
    delivery = await take_one(broker, queue)
    await commit(broker, delivery, Snoozed(SHORT_MS, "key"))
    ours = [before[1], *await seed(broker, queue, 2, key="a key with é")]
    others = [*await seed(broker, queue, 2, key="other"), *await seed(broker, queue, 2)]
    assert set(ids_of(await take(broker, queue))) == set(others)
    assert await take(broker, queue) == []
    depths = await broker.store.measure(queue)
    assert (depths.parked, depths.held_until_ms) == (3, None)
    await wait_released(broker, queue)
    taken = ids_of(await take(broker, queue))
    assert [one for one in taken if one in ours[1:]] == ours[1:]
    assert set(taken) == {*ours, before[0]}


async def test_the_gate_of_a_held_key_leaves_by_itself(broker: Broker, queue: Queue) -> None:
    """A queue without limits has a gate while one of its keys is held back, also without jobs, and no longer."""
    await hold(broker, queue, "key", SHORT_MS, key="acme")
    await broker.client.zrem(broker.keys.of(queue).due, MARK)
    await seed(broker, queue, 1)
    await commit(broker, await take_one(broker, queue))
    assert not await is_plain(broker, queue)
    await wait_released(broker, queue)
    await commit(broker, await take_one(broker, queue))
    assert await is_plain(broker, queue)
    keys = broker.keys.of(queue)
    assert not await broker.client.exists(keys.held, keys.waiting, keys.slots, keys.flow)


async def test_what_was_ready_before_starts_beside_a_held_key(broker: Broker, queue: Queue) -> None:
    """Jobs of other keys that were ready before the gate go on in their order, and none of the held key starts."""
    ids = await seed(broker, queue, 12, key="acme")
    others = await seed(broker, queue, 12, key="other")
    delivery = await take_one(broker, queue)
    await commit(broker, delivery, Snoozed(FAR_MS, "key"))
    started = []
    for _ in range(12):
        taken = await take(broker, queue, limit=2)
        started += ids_of(taken)
        for one in taken:
            await commit(broker, one)
    assert started == others
    assert (await broker.store.measure(queue)).parked == len(ids) - 1
    assert await broker.settings.end_hold(queue, "acme")
    assert ids_of(await take(broker, queue, limit=20)) == ids[1:]


async def test_a_slot_is_counted_for_a_job_from_before_the_gate(broker: Broker, queue: Queue) -> None:
    """Limits that are set while such a job runs count it."""
    await seed(broker, queue, 4, key="other")
    running = await take_one(broker, queue)
    [job_id] = await seed(broker, queue, 1, key="acme")
    taken = await take(broker, queue, limit=4)
    held = next(one for one in taken if one.id == job_id)
    for one in taken:
        if one is not held:
            await commit(broker, one)
    more = await seed(broker, queue, 3, key="other")
    await commit(broker, held, Snoozed(FAR_MS, "key"))
    adopted = await take_one(broker, queue)
    assert adopted.id == more[0]
    await tune(broker, queue, kc=2)
    assert await take(broker, queue) == []
    await commit(broker, adopted)
    assert len(await take(broker, queue)) == 1
    await commit(broker, running)
    assert len(await take(broker, queue)) == 1


async def test_a_job_that_was_let_in_before_waits_for_its_key(broker: Broker, queue: Queue) -> None:
    """The job that lay ready when its key was held back does not start, and is the first afterwards."""
    await tune(broker, queue, c=100)
    await take(broker, queue)
    [_, second, *_] = await seed(broker, queue, 4, key="acme")
    delivery = await take_one(broker, queue)
    read = await read_by(broker, queue, "w2")
    assert [one.id for one in read] == [second]
    await commit(broker, delivery, Snoozed(FAR_MS, "key"))
    assert await take(broker, queue, "w2", read=read) == []
    await broker.settings.end_hold(queue, "acme")
    assert ids_of(await take(broker, queue))[0] == second


async def test_a_hold_is_never_made_shorter(broker: Broker, queue: Queue) -> None:
    """Of two handlers that were told to come back, the later time counts, of a type and of a key."""
    await seed(broker, queue, 2, key="acme")
    first, second = await take(broker, queue, limit=2)
    await commit(broker, first, Snoozed(FAR_MS, "type"))
    until = await held_until(broker, queue)
    await commit(broker, second, Snoozed(SHORT_MS, "type"))
    assert await held_until(broker, queue) == until
    await broker.settings.end_hold(queue)
    await seed(broker, queue, 2, key="acme")
    first, second = await take(broker, queue, limit=2)
    await commit(broker, first, Snoozed(FAR_MS, "key"))
    [before] = await broker.lanes.keys(queue)
    await commit(broker, second, Snoozed(SHORT_MS, "key"))
    assert [one.held_until_ms for one in await broker.lanes.keys(queue)] == [before.held_until_ms]


@pytest.mark.parametrize("gate", ["type", "key"])
async def test_a_handler_holds_back_for_a_day_at_most(broker: Broker, queue: Queue, gate: SnoozeGate) -> None:
    """The job itself comes back when its handler says, and what it holds back after `MAX_HOLD_S`."""
    await hold(broker, queue, gate, ms=10 * round(limits.MAX_HOLD_S * 1000), key="acme")
    until = await held_until(broker, queue)
    if gate == "key":
        [found] = await broker.lanes.keys(queue)
        until = found.held_until_ms
    now_ms = (await broker.client.time())[0] * 1000
    assert until is not None
    assert until == pytest.approx(now_ms + limits.MAX_HOLD_S * 1000, abs=60_000)


async def test_a_job_without_a_key_holds_none_back(broker: Broker, queue: Queue) -> None:
    """A handler that holds its key back where there is none comes back later, and nothing else waits."""
    await hold(broker, queue, "key")
    ids = await seed(broker, queue, 2)
    assert ids_of(await take(broker, queue)) == ids
    assert await is_plain(broker, queue)


async def test_a_hold_ends_by_hand_alone_for_what_is_named(broker: Broker, queue: Queue) -> None:
    """The end of one key's hold leaves that of another, and what is not held back is no error."""
    for key in ("acme", "umbrella"):
        await hold(broker, queue, "key", key=key)
    held = {key: await seed(broker, queue, 2, key=key) for key in ("acme", "umbrella")}
    assert await broker.settings.end_hold(queue, "acme")
    assert not await broker.settings.end_hold(queue, "acme")
    assert not await broker.settings.end_hold(queue)
    assert ids_of(await take(broker, queue)) == held["acme"]
    assert await broker.settings.end_hold(queue, "umbrella")
    assert ids_of(await take(broker, queue)) == held["umbrella"]


async def test_the_end_of_a_hold_wakes_a_worker_that_blocks(broker: Broker, queue: Queue) -> None:
    """In a queue with limits no worker asks again and again: one job is let in when the time is over."""
    await tune(broker, queue, c=100)
    await hold(broker, queue, "type", SHORT_MS)
    [waiting] = await seed(broker, queue, 1)
    assert await take(broker, queue) == []
    assert await read_by(broker, queue, "w2") == []
    depths = await broker.store.measure(queue)
    assert (depths.parked, depths.unstartable) == (1, 1)
    await wait_released(broker, queue)
    assert waiting in [one.id for one in await read_by(broker, queue, "w2")]


@pytest.mark.parametrize("name", ["settings", "held"])
async def test_a_key_that_something_else_has_written_stops_no_commit(broker: Broker, queue: Queue, name: str) -> None:
    """The snooze is committed; what cannot be held back is not."""
    keys = broker.keys.of(queue)
    [job_id] = await seed(broker, queue, 1, key="acme")
    delivery = await take_one(broker, queue)
    await broker.client.delete(getattr(keys, name))
    await broker.client.set(getattr(keys, name), "garbage")
    await commit(broker, delivery, Snoozed(FAR_MS, "key"))
    assert await broker.client.zscore(keys.due, job_id) is not None
    await broker.client.delete(getattr(keys, name))
