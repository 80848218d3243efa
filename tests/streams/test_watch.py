"""watch.lua marks a job for a client that waits for its end, and the script that settles it sends a hint."""

import anyio
import pytest
from streams.seeds import FAR_MS, commit, everything, new_job, recover_all, seed, seed_dead, seed_running, take
from waiting import wait_until

from millstream_contracts import JobState, Queue
from millstream_streams import ActionCode, Broker


@pytest.mark.parametrize("options", [{}, {"delay_ms": FAR_MS}], ids=str)
async def test_watch_notes_a_job_that_is_not_settled(broker: Broker, queue: Queue, options: dict) -> None:
    """A job that is not settled can be watched, and again."""
    (job_id,) = await seed(broker, queue, **options)
    assert await broker.store.watch(queue, job_id) is ActionCode.DONE
    before = await everything(broker, queue)
    assert await broker.store.watch(queue, job_id) is ActionCode.DONE
    assert await everything(broker, queue) == before


async def test_watch_says_when_the_job_has_settled(broker: Broker, queue: Queue) -> None:
    """A watch on a settled job says so, because there is nothing to wait for."""
    done = await seed_running(broker, queue)
    await commit(broker, done)
    dead = await seed_dead(broker, queue)
    (cancelled,) = await seed(broker, queue)
    await broker.store.cancel(queue, [cancelled])
    for job_id in (done.id, dead, cancelled):
        assert await broker.store.watch(queue, job_id) is ActionCode.DONE_BEFORE


@pytest.mark.parametrize("state", sorted(JobState))
async def test_watch_knows_every_settled_state(broker: Broker, torn_queue: Queue, state: JobState) -> None:
    """Every settled state counts as settled for a watch."""
    (job_id,) = await seed(broker, torn_queue)
    await broker.client.hset(broker.keys.of(torn_queue).job(job_id), "state", state)
    wanted = ActionCode.DONE_BEFORE if state.is_settled else ActionCode.DONE
    assert await broker.store.watch(torn_queue, job_id) is wanted
    await broker.client.delete(broker.keys.of(torn_queue).job(job_id))


async def test_watch_makes_no_job(broker: Broker, queue: Queue) -> None:
    """A watch on an unknown id says so and stores nothing."""
    unknown = new_job(queue).id
    assert await broker.store.watch(queue, unknown) is ActionCode.UNKNOWN_JOB
    assert await broker.views.job(queue, unknown) is None


async def test_settled_hints_come_for_watched_jobs_only(broker: Broker, queue: Queue) -> None:
    """Each way to settle sends one hint for a watched job, and none for any other."""
    hints: list[str] = []
    gaps: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(broker.listen_settled, hints.append, lambda: gaps.append(1))
        await wait_until(lambda: gaps and numsub(broker), "the listener is subscribed")
        watched = await settle_each_way(broker, queue, waited=True)
        await settle_each_way(broker, queue, waited=False)
        (last,) = await seed(broker, queue)
        await broker.store.watch(queue, last)
        await broker.store.cancel(queue, [last])
        await wait_until(lambda: last in hints, "the hint for the last job")
        tasks.cancel_scope.cancel()
    assert hints == [*watched, last]


async def numsub(broker: Broker) -> int:
    """Return how many clients listen for settled jobs."""
    ((_, count),) = await broker.client.pubsub_numsub(broker.keys.hint_settled)
    return count


async def settle_each_way(broker: Broker, queue: Queue, *, waited: bool) -> list[str]:
    """Let one job each succeed, die, be cancelled, expire and crash; return their ids in this order."""
    done = await seed_running(broker, queue, waited=waited)
    await commit(broker, done)
    dead = await seed_dead(broker, queue, waited=waited)
    (cancelled,) = await seed(broker, queue, waited=waited)
    await broker.store.cancel(queue, [cancelled])
    (expired,) = await seed(broker, queue, waited=waited, expires_at_ms=1)
    await take(broker, queue)
    crashed = await seed_running(broker, queue, waited=waited)
    await recover_all(broker, queue, max_crashes=1)
    return [done.id, dead, cancelled, expired, crashed.id]
