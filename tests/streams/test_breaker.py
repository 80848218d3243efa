"""The circuit breaker of a queue: it opens when too many attempts fail, and tries a few jobs before it closes."""

from collections.abc import Sequence
from typing import Any

import pytest
from streams.seeds import ERROR, FAR_MS, commit, seed, take, take_one
from streams.test_gate import ids_of, read_by, tune
from waiting import wait_until

from millstream_contracts import BreakerState, Cancelled, Dead, Outcome, Queue, RetryAt, Snoozed, Succeeded
from millstream_streams import ActionCode, Broker, Delivery

HOUR_MS = 3_600_000
FAILED = RetryAt(FAR_MS, ERROR)
AT_HALF_OF_FOUR = {"ratio": 0.5, "window": HOUR_MS, "min": 4, "cool": HOUR_MS, "cap": HOUR_MS, "probes": 2}
SOON = {**AT_HALF_OF_FOUR, "cool": 1}
"""Half-open as soon as it opens."""


async def end_all(broker: Broker, deliveries: Sequence[Delivery], outcome: Outcome) -> None:
    """Commit each with the same outcome."""
    for delivery in deliveries:
        await commit(broker, delivery, outcome)


async def state_of(broker: Broker, queue: Queue) -> BreakerState | None:
    """Return the state as a measurement has it."""
    return (await broker.store.measure(queue)).breaker


async def trip(broker: Broker, queue: Queue, **limits: Any) -> None:
    """Have four attempts fail; the jobs wait for another time."""
    breaker = limits.pop("b", AT_HALF_OF_FOUR)
    await tune(broker, queue, b=breaker, **limits)
    await seed(broker, queue, 4)
    await end_all(broker, await take(broker, queue, limit=4), FAILED)
    if breaker["cool"] == 1:

        async def is_half_open() -> bool:
            return await state_of(broker, queue) is BreakerState.HALF_OPEN

        await wait_until(is_half_open, "its first cool down is over")


async def test_a_breaker_opens_when_its_share_of_attempts_has_failed(broker: Broker, queue: Queue) -> None:
    """Half of four attempts failed: nothing starts any more, what runs goes on, and no attempt is charged."""
    await tune(broker, queue, b=AT_HALF_OF_FOUR)
    waiting = await seed(broker, queue, 8)
    first = await take(broker, queue, limit=4)
    still = await take_one(broker, queue)
    await end_all(broker, first[:2], Succeeded())
    await end_all(broker, first[2:3], FAILED)
    assert await state_of(broker, queue) is BreakerState.CLOSED
    await end_all(broker, first[3:], FAILED)
    depths = await broker.store.measure(queue)
    assert (depths.breaker, depths.breaker_opened) == (BreakerState.OPEN, 1)
    assert await take(broker, queue) == []
    depths = await broker.store.measure(queue)
    assert (depths.parked, depths.unstartable, depths.running) == (3, 3, 1)
    await commit(broker, still)
    assert await take(broker, queue) == []
    for job_id in waiting[5:]:
        assert await broker.client.hget(broker.keys.of(queue).job(job_id), "attempts") is None


@pytest.mark.parametrize("outcome", [Snoozed(FAR_MS), Cancelled("stopped")], ids=lambda one: type(one).__name__)
async def test_what_is_no_failure_does_not_open_it(broker: Broker, queue: Queue, outcome: Outcome) -> None:
    """Snoozes, discards and hand-backs count as nothing."""
    await tune(broker, queue, b=AT_HALF_OF_FOUR)
    await seed(broker, queue, 6)
    taken = await take(broker, queue, limit=6)
    await end_all(broker, taken[:4], outcome)
    await broker.store.hand_back(queue, worker="w1", deliveries=taken[4:])
    assert await state_of(broker, queue) is BreakerState.CLOSED
    assert len(await take(broker, queue)) == 2


async def test_deaths_and_crashes_are_failures(broker: Broker, queue: Queue) -> None:
    """The last attempt of a job and a worker that is lost open it as a failed attempt does."""
    await tune(broker, queue, b=AT_HALF_OF_FOUR)
    await seed(broker, queue, 4)
    taken = await take(broker, queue, limit=4)
    await end_all(broker, taken[:2], Dead("attempts", ERROR))
    await broker.store.recover(queue, lease_ms=0, max_crashes=9)
    assert await state_of(broker, queue) is BreakerState.OPEN
    assert await take(broker, queue) == []


async def test_a_payload_that_cannot_be_read_is_no_failure(broker: Broker, queue: Queue) -> None:
    """What is wrong with a single job says nothing about what its handler needs."""
    await tune(broker, queue, b=AT_HALF_OF_FOUR)
    await seed(broker, queue, 4)
    await end_all(broker, await take(broker, queue, limit=4), Dead("invalid_payload", ERROR))
    assert await state_of(broker, queue) is BreakerState.CLOSED


async def test_a_job_that_was_let_in_before_waits_as_well(broker: Broker, queue: Queue) -> None:
    """The job that lay ready when the breaker opened does not start, and is the first afterwards."""
    await tune(broker, queue, b=AT_HALF_OF_FOUR)
    await seed(broker, queue, 4)
    taken = await take(broker, queue, limit=4)
    (bell, *_) = await seed(broker, queue, 3)
    read = await read_by(broker, queue, "w2")
    assert [one.id for one in read] == [bell]
    await end_all(broker, taken, FAILED)
    assert await take(broker, queue, "w2", read=read) == []
    assert (await broker.store.measure(queue)).parked == 3
    await broker.settings.close_breaker(queue)
    assert ids_of(await take(broker, queue))[0] == bell


async def test_a_few_jobs_are_tried_when_it_has_cooled_down(broker: Broker, queue: Queue) -> None:
    """At most `probes` start at once; when as many have succeeded it closes, and all start."""
    await trip(broker, queue, b=SOON)
    ids = await seed(broker, queue, 6)
    first = await take(broker, queue)
    assert ids_of(first) == ids[:2]
    assert await take(broker, queue) == []
    await commit(broker, first[0])
    third = await take(broker, queue)
    assert ids_of(third) == ids[2:3]
    await commit(broker, first[1])
    assert await state_of(broker, queue) is BreakerState.CLOSED
    assert ids_of(await take(broker, queue)) == ids[3:]


async def test_a_probe_that_fails_opens_it_again_for_longer(broker: Broker, queue: Queue) -> None:
    """The time doubles with each opening, up to its cap, and begins anew once it has closed."""
    await trip(broker, queue, b={**SOON, "cap": HOUR_MS})
    await tune(broker, queue, b={**SOON, "cool": HOUR_MS, "cap": 3 * HOUR_MS})
    flow = broker.keys.of(queue).flow
    lasts = []
    for _ in range(3):
        await broker.client.hset(flow, "b_until", "1")
        await seed(broker, queue, 1)
        await commit(broker, await take_one(broker, queue), FAILED)
        since, until = await broker.client.hmget(flow, "b_since", "b_until")
        lasts.append((int(until) - int(since)) / HOUR_MS)
    assert lasts == [2, 3, 3]
    assert await take(broker, queue) == []


@pytest.mark.parametrize("is_crash", [True, False])
async def test_a_probe_whose_worker_is_lost_frees_its_place(broker: Broker, queue: Queue, is_crash: bool) -> None:
    """A crash opens the breaker again; a probe that was read and never begun is tried by another worker."""
    await trip(broker, queue, b=SOON)
    await tune(broker, queue, b=AT_HALF_OF_FOUR)
    ids = await seed(broker, queue, 4)
    if is_crash:
        await take(broker, queue, limit=2)
    else:
        assert len(await read_by(broker, queue, "w1")) == 1
    await broker.store.recover(queue, lease_ms=0, max_crashes=9)
    if is_crash:
        assert await state_of(broker, queue) is BreakerState.OPEN
        assert await take(broker, queue) == []
    else:
        assert set(ids_of(await take(broker, queue))) == set(ids[:2])


async def test_late_ends_of_old_jobs_are_no_probes(broker: Broker, queue: Queue) -> None:
    """While it is half-open, jobs from before neither close it nor open it again."""
    await tune(broker, queue, b=SOON)
    await seed(broker, queue, 8)
    taken = await take(broker, queue, limit=8)
    await end_all(broker, taken[:4], FAILED)

    async def is_half_open() -> bool:
        return await state_of(broker, queue) is BreakerState.HALF_OPEN

    await wait_until(is_half_open, "its cool down is over")
    await seed(broker, queue, 1)
    await end_all(broker, taken[4:6], Succeeded())
    await end_all(broker, taken[6:], FAILED)
    assert await state_of(broker, queue) is BreakerState.HALF_OPEN
    assert len(await take(broker, queue)) == 1


async def test_each_end_of_a_probe_frees_its_place(broker: Broker, queue: Queue) -> None:
    """A probe that is snoozed, handed back, cancelled or lost with its hash makes room for another."""
    await trip(broker, queue, b=SOON)
    await seed(broker, queue, 9)
    one, two = await take(broker, queue)
    await commit(broker, one, Snoozed(FAR_MS))
    await commit(broker, two, Cancelled("stopped"))
    one, two = await take(broker, queue)
    await broker.store.hand_back(queue, worker="w1", deliveries=[one])
    assert len(await take(broker, queue)) == 1
    (bell,) = [one.id for one in await read_by(broker, queue, "w9")] or [None]
    assert bell is None
    await broker.client.delete(broker.keys.of(queue).job(two.id))
    await broker.store.recover(queue, lease_ms=0, max_crashes=9)
    assert await state_of(broker, queue) in {BreakerState.OPEN, BreakerState.HALF_OPEN}


async def test_what_an_operator_opens_stays_open(broker: Broker, queue: Queue) -> None:
    """No time and no success closes it; the first reason stays, and closing lets everything go."""
    await tune(broker, queue, b=SOON)
    ids = await seed(broker, queue, 3)
    running = await take_one(broker, queue)
    assert await broker.settings.open_breaker(queue, reason="the provider is down")
    assert await broker.settings.open_breaker(queue, reason="another") is False
    await commit(broker, running)
    await broker.store.release_due(queue)
    assert await take(broker, queue) == []
    assert await state_of(broker, queue) is BreakerState.FORCED_OPEN
    assert await broker.client.hget(broker.keys.of(queue).flow, "b_reason") == b"the provider is down"
    assert await broker.settings.close_breaker(queue)
    assert await broker.settings.close_breaker(queue) is False
    assert ids_of(await take(broker, queue)) == ids[1:]


async def test_a_queue_without_a_breaker_has_none_to_open(broker: Broker, queue: Queue) -> None:
    """Neither a plain queue nor one with other limits is changed by that."""
    assert await broker.settings.open_breaker(queue) is None
    await tune(broker, queue, c=2)
    assert await broker.settings.close_breaker(queue) is None
    await seed(broker, queue, 1)
    assert len(await take(broker, queue)) == 1


async def test_the_end_of_the_cool_down_wakes_a_dispatcher(broker: Broker, queue: Queue) -> None:
    """Jobs wait behind an open breaker, and the queue is due when it lets one in."""
    await trip(broker, queue, b={**AT_HALF_OF_FOUR, "cool": 300, "cap": 300})
    ids = await seed(broker, queue, 3)
    assert (await broker.store.measure(queue)).next_due_in_ms

    async def is_let_in() -> bool:
        await broker.store.release_due(queue)
        return (await broker.store.measure(queue)).parked < 3

    await wait_until(is_let_in, "a dispatcher has let the first probe in")
    assert [one.id for one in await read_by(broker, queue, "w1")] == ids[:1]


async def test_a_breaker_that_is_removed_holds_nothing_back(broker: Broker, queue: Queue) -> None:
    """Limits without it let all start, and a new one begins closed."""
    await trip(broker, queue)
    ids = await seed(broker, queue, 3)
    await tune(broker, queue, c=9)
    assert ids_of(await take(broker, queue)) == ids
    await tune(broker, queue, b=AT_HALF_OF_FOUR)
    assert await state_of(broker, queue) is BreakerState.CLOSED


async def test_a_probe_that_is_cancelled_before_its_claim_frees_its_place(broker: Broker, queue: Queue) -> None:
    """The job that was let in to wake a worker is a probe too."""
    await trip(broker, queue, b={**SOON, "probes": 1})
    first, second = await seed(broker, queue, 2)
    assert await broker.store.cancel(queue, [first]) == [ActionCode.DONE]
    assert ids_of(await take(broker, queue)) == [second]


@pytest.mark.parametrize(
    "garbage",
    [
        {"b_state": "molten", "b_until": "x"},
        {"b_state": "open", "b_until": "never"},
        {"b_half": "x", "b_ok": "many", "b_ko": "-", "b_ok0": "", "b_ko0": "\xff", "b_row": "q"},
    ],
)
async def test_garbage_in_its_fields_strands_no_job(broker: Broker, torn_queue: Queue, garbage: dict[str, str]) -> None:
    """What cannot be read counts as closed, as over, or as zero."""
    await tune(broker, torn_queue, b=AT_HALF_OF_FOUR)
    await broker.client.hset(broker.keys.of(torn_queue).flow, mapping=garbage)
    await seed(broker, torn_queue, 2)
    for _ in range(2):
        await end_all(broker, await take(broker, torn_queue), Succeeded())
    assert (await broker.store.measure(torn_queue)).parked == 0
    assert await broker.settings.read(torn_queue)
