"""Each way back to a stream leaves certain fields of a job's earlier life in its hash, and no others."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest
from streams.seeds import (
    ERROR,
    FAR_MS,
    commit,
    fields_of,
    job_of,
    lease,
    make_due,
    recover_all,
    seed,
    seed_due,
    seed_running,
    take_one,
)

from millstream_contracts import Dead, Priority, Progress, Queue, RetryAt, Snoozed
from millstream_streams import Broker, Delivery

PROGRESS = msgspec.msgpack.encode(Progress(50.0, "half"))
RETURNED = {"version", "deliveries"}
"""The fields of any job that is delivered for the second time."""

Leave = Callable[[Broker, Queue, Delivery], Awaitable[object]]


async def released(broker: Broker, queue: Queue, delivery: Delivery) -> None:
    """Make a scheduled job due, and release it."""
    await make_due(broker, queue, [delivery.id])
    await broker.store.release_due(queue)


async def retry_at_once(broker: Broker, queue: Queue, delivery: Delivery) -> None:
    """Fail an attempt, with a retry without a delay."""
    await commit(broker, delivery, RetryAt(0, ERROR))


async def retry_later(broker: Broker, queue: Queue, delivery: Delivery) -> None:
    """Fail an attempt with a delayed retry, and release it."""
    await commit(broker, delivery, RetryAt(FAR_MS, ERROR))
    await released(broker, queue, delivery)


async def snooze_at_once(broker: Broker, queue: Queue, delivery: Delivery) -> None:
    """Snooze without a delay."""
    await commit(broker, delivery, Snoozed(0))


async def snooze_later(broker: Broker, queue: Queue, delivery: Delivery) -> None:
    """Snooze with a delay, and release the job."""
    await commit(broker, delivery, Snoozed(FAR_MS))
    await released(broker, queue, delivery)


async def hand_back(broker: Broker, queue: Queue, delivery: Delivery) -> None:
    """Hand a job back that has not begun."""
    await broker.store.hand_back(queue, worker="w1", deliveries=[delivery])


async def crash(broker: Broker, queue: Queue, delivery: Delivery) -> None:
    """Lose the worker of the job."""
    assert await recover_all(broker, queue) == [delivery.id]


async def wait_alone(broker: Broker, queue: Queue, delivery: Delivery) -> None:
    """Lose the worker while the job waits to run alone, so that no crash is charged."""
    await broker.store.mark_isolated(queue, [(delivery.id, delivery.token)], waits=True)
    assert await recover_all(broker, queue) == [delivery.id]


async def die(broker: Broker, queue: Queue, delivery: Delivery) -> None:
    """Bury the job, and redrive it."""
    await commit(broker, delivery, Dead("attempts", ERROR))
    await broker.store.redrive(queue, [delivery.id])


async def die_after_all_else(broker: Broker, queue: Queue, delivery: Delivery) -> None:
    """Take the job through every other way, ask for its cancellation, bury it and redrive it."""
    for leave in (retry_later, snooze_later, hand_back, crash, wait_alone):
        await broker.store.note_unreadable(queue, delivery.id, delivery.token, "digest")
        await broker.store.renew(queue, consumer="w1", leases=[lease(delivery, PROGRESS)])
        await leave(broker, queue, delivery)
        delivery = await take_one(broker, queue)
    await broker.store.renew(queue, consumer="w1", leases=[lease(delivery, PROGRESS)])
    await commit(broker, delivery, Dead("attempts", ERROR))
    await broker.store.redrive(queue, [delivery.id])


WAYS: dict[str, tuple[Leave, set[str]]] = {
    "retry at once": (retry_at_once, {"attempts", "error", "done_token"}),
    "retry later": (retry_later, {"attempts", "error", "done_token", "run_at"}),
    "snooze at once": (snooze_at_once, {"done_token"}),
    "snooze later": (snooze_later, {"done_token", "run_at"}),
    "hand back": (hand_back, {"handbacks", "done_token"}),
    "crash": (crash, {"crashes"}),
    "wait alone": (wait_alone, {"apart"}),
    # The last error and the commit that killed the job stay: the one to be read, the other to be known when sent again.
    "redrive": (die, {"error", "done_token"}),
    "redrive after all else": (die_after_all_else, {"error", "done_token", "handbacks"}),
}


async def fresh_fields(broker: Broker, queue: Queue) -> set[str]:
    """Return the fields of a job that was stored and delivered once."""
    delivery = await seed_running(broker, queue)
    fields = set(await fields_of(broker, queue, delivery.id))
    await commit(broker, delivery)
    return fields


@pytest.mark.parametrize("name", WAYS)
async def test_a_second_delivery_has_only_what_its_way_back_leaves(broker: Broker, queue: Queue, name: str) -> None:
    """A job in its second delivery has only the fields that its way back leaves."""
    leave, left = WAYS[name]
    fresh = await fresh_fields(broker, queue)
    delivery = await seed_running(broker, queue)
    await broker.store.renew(queue, consumer="w1", leases=[lease(delivery, PROGRESS)])
    await leave(broker, queue, delivery)
    again = await take_one(broker, queue)
    assert set(await fields_of(broker, queue, again.id)) == fresh | RETURNED | left


async def test_a_delayed_job_has_only_its_time_beside_what_a_ready_one_has(broker: Broker, queue: Queue) -> None:
    """A released job has the fields of a ready one and its due time."""
    fresh = await fresh_fields(broker, queue)
    (job_id,) = await seed_due(broker, queue)
    await broker.store.release_due(queue)
    await take_one(broker, queue)
    assert set(await fields_of(broker, queue, job_id)) == fresh | RETURNED | {"run_at"}


async def test_a_redriven_job_is_a_new_one_to_those_who_read_it(broker: Broker, queue: Queue) -> None:
    """A redriven job is shown with the times, counts, progress and reason of its new life."""
    options = {"priority": Priority.LOW, "delay_ms": FAR_MS, "expires_in_ms": 2 * FAR_MS, "waited": True}
    (job_id,) = await seed(broker, queue, **options)
    await make_due(broker, queue, [job_id])
    await broker.store.release_due(queue)
    await die_after_all_else(broker, queue, await take_one(broker, queue))
    job = await job_of(broker, queue, job_id)
    assert (job.run_at, job.expires_at, job.finished_at, job.reason, job.progress) == (None, None, None, None, None)
    assert (job.attempts, job.crashes, job.cancel_requested, job.priority) == (0, 0, False, Priority.LOW)
    await take_one(broker, queue)
    assert (await fields_of(broker, queue, job_id))["waited"] == b"1"
