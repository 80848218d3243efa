"""cancel.lua ends a waiting job at once, and a running one through its worker."""

import anyio
import pytest
from streams.audit import audit
from streams.seeds import (
    FAR_MS,
    commit,
    events,
    everything,
    job_of,
    lease,
    new_job,
    recover_all,
    seed,
    seed_dead,
    seed_due,
    seed_running,
    take,
    take_one,
)
from waiting import wait_until

from millstream_contracts import JobState, Priority, Queue
from millstream_streams import ActionCode, Broker, LeaseCode


@pytest.mark.parametrize("options", [{}, {"priority": Priority.HIGH}, {"delay_ms": FAR_MS}], ids=str)
async def test_cancel_ends_a_waiting_job_at_once(broker: Broker, queue: Queue, options: dict) -> None:
    """A job that no worker runs is cancelled at once, and stays readable for a while."""
    (job_id,) = await seed(broker, queue, **options)
    assert await broker.store.cancel(queue, [job_id]) == [ActionCode.DONE]
    await audit(broker, queue)
    job = await job_of(broker, queue, job_id)
    assert (job.state, job.reason) == (JobState.CANCELLED, "cancelled")
    assert await take(broker, queue) == []
    told = (await events(broker, queue))[-1]
    assert (told.kind, [(one.id, one.state) for one in told.jobs]) == ("cancelled", [(job_id, "cancelled")])


@pytest.mark.parametrize("options", [{}, {"delay_ms": FAR_MS}], ids=str)
async def test_cancel_takes_a_job_off_the_list_of_those_that_expire(
    broker: Broker, queue: Queue, options: dict
) -> None:
    """A cancelled job leaves the index of expiring jobs, so that the dispatcher does not look at it again."""
    ids = await seed(broker, queue, 2, expires_in_ms=2 * FAR_MS, **options)
    await broker.store.cancel(queue, ids)
    assert (await audit(broker, queue)).expiring == {}


async def test_cancel_asks_the_worker_of_a_running_job(broker: Broker, queue: Queue) -> None:
    """A cancellation of a running job reaches its worker, which alone can stop the handler, with a renewal."""
    running = await seed_running(broker, queue)
    assert await broker.store.cancel(queue, [running.id]) == [ActionCode.REQUESTED]
    job = await job_of(broker, queue, running.id)
    assert (job.state, job.cancel_requested) == (JobState.RUNNING, True)
    assert await broker.store.renew(queue, consumer="w1", leases=[lease(running)]) == [LeaseCode.CANCEL_REQUESTED]
    assert (await events(broker, queue))[-1].kind == "cancel_requested"


async def test_cancel_hints_at_the_worker(broker: Broker, queue: Queue) -> None:
    """The hint of a cancellation reaches the worker that runs the job, and no other."""
    running = await seed_running(broker, queue, "w1")
    heard: dict[str, list[str]] = {"w1": [], "w2": []}
    listening: list[str] = []
    async with anyio.create_task_group() as tasks:
        for name, hints in heard.items():
            tasks.start_soon(broker.listen_cancel, name, hints.append, lambda name=name: listening.append(name))
        await wait_until(lambda: len(listening) == 2, "both workers listen")
        await wait_until(lambda: subscribers(broker, "w1", "w2"), "both subscriptions are known to Redis")
        await broker.store.cancel(queue, [running.id])
        await wait_until(lambda: heard["w1"], "the worker hears of the cancellation")
        tasks.cancel_scope.cancel()
    assert heard == {"w1": [running.id], "w2": []}


async def subscribers(broker: Broker, *workers: str) -> bool:
    """Return whether each of these workers is subscribed."""
    counts = await broker.client.pubsub_numsub(*(broker.keys.hint_cancel(worker) for worker in workers))
    return all(count for _, count in counts)


async def test_cancel_ends_a_job_that_was_read_but_not_claimed(broker: Broker, queue: Queue) -> None:
    """A job whose entry a worker has read and not claimed is cancelled at once, like a waiting job."""
    await take(broker, queue)
    (job_id,) = await seed(broker, queue)
    reader = broker.reader()
    await reader.wait([queue], consumer="w1", block_ms=0)
    await reader.close()
    assert await broker.store.cancel(queue, [job_id]) == [ActionCode.DONE]
    await audit(broker, queue)
    assert await take(broker, queue, resume=True) == []
    assert await recover_all(broker, queue) == []


async def test_cancel_changes_nothing_when_sent_again(broker: Broker, queue: Queue) -> None:
    """A repeated cancellation changes nothing, on a waiting and on a running job."""
    running = await seed_running(broker, queue)
    (waiting,) = await seed(broker, queue)
    await broker.store.cancel(queue, [running.id, waiting])
    before = await everything(broker, queue)
    assert await broker.store.cancel(queue, [running.id, waiting]) == [ActionCode.DONE_BEFORE] * 2
    assert await everything(broker, queue) == before


async def test_cancel_refuses_a_job_that_has_ended(broker: Broker, queue: Queue) -> None:
    """A job that has succeeded, expired or died is not cancelled."""
    done = await seed_running(broker, queue)
    await commit(broker, done)
    dead = await seed_dead(broker, queue)
    (expired,) = await seed_due(broker, queue, expires_at_ms=1)
    await broker.store.release_due(queue)
    before = await everything(broker, queue)
    assert await broker.store.cancel(queue, [done.id, dead, expired]) == [ActionCode.WRONG_STATE] * 3
    assert await everything(broker, queue) == before


async def test_cancel_says_so_when_there_is_no_such_job(broker: Broker, queue: Queue) -> None:
    """The response names an unknown id, and the other jobs of the call are cancelled."""
    (job_id,) = await seed(broker, queue)
    codes = await broker.store.cancel(queue, [new_job(queue).id, job_id])
    assert codes == [ActionCode.UNKNOWN_JOB, ActionCode.DONE]


async def test_cancel_is_forgotten_when_the_job_is_redriven(broker: Broker, queue: Queue) -> None:
    """A redrive clears an earlier request to cancel."""
    running = await seed_running(broker, queue)
    await broker.client.hset(broker.keys.of(queue).job(running.id), "cancel", 1)
    await broker.client.hset(broker.keys.of(queue).job(running.id), "crashes", 9)
    await broker.client.hdel(broker.keys.of(queue).job(running.id), "cancel")
    await recover_all(broker, queue)
    await broker.store.redrive(queue, [running.id])
    again = await take_one(broker, queue)
    assert await broker.store.renew(queue, consumer="w1", leases=[lease(again)]) == [LeaseCode.RENEWED]
    assert not (await job_of(broker, queue, running.id)).cancel_requested
