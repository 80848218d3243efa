"""ask_stack.lua carries a request to the worker of a job, and tell_stack.lua its answer back."""

import anyio
import msgspec
from streams.seeds import FAR_MS, commit, new_job, recover_all, seed, seed_dead, seed_running
from waiting import wait_until

from millstream_contracts import JobId, JobStack, Queue
from millstream_streams import ActionCode, Broker, StackRequest
from millstream_streams.store.job_store import STACK_KEPT_S

WORKER = "host:1:me"
STACK = JobStack(JobId("a"), 1, WORKER, "somewhere")
ANSWER = msgspec.msgpack.encode(STACK)


async def test_the_worker_of_a_running_job_hears_the_request(broker: Broker, queue: Queue) -> None:
    """The worker that runs a job hears a request for its stack, and no job to be stopped."""
    delivery = await seed_running(broker, queue)
    job = await broker.views.job(queue, delivery.id)
    assert job is not None
    assert job.worker is not None
    requests: list[StackRequest] = []
    hints: list[str] = []
    gaps: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(broker.listen_cancel, job.worker, hints.append, lambda: gaps.append(1), requests.append)
        await wait_until(lambda: gaps, "the worker listens")
        assert await broker.store.ask_stack(queue, delivery.id, "7a") is ActionCode.REQUESTED
        await broker.store.cancel(queue, [delivery.id])
        await wait_until(lambda: hints, "the hint behind it")
        tasks.cancel_scope.cancel()
    assert requests == [StackRequest("7a", delivery.id)]
    assert hints == [delivery.id]


async def test_only_a_running_job_has_a_stack(broker: Broker, queue: Queue) -> None:
    """A request about a job that waits, has ended or is not there says so, and changes nothing."""
    dead = await seed_dead(broker, queue)
    done = await seed_running(broker, queue)
    await commit(broker, done)
    (queued,) = await seed(broker, queue)
    (scheduled,) = await seed(broker, queue, delay_ms=FAR_MS)
    for job_id in (dead, done.id, queued, scheduled):
        assert await broker.store.ask_stack(queue, job_id, "1") is ActionCode.WRONG_STATE
    assert await broker.store.ask_stack(queue, new_job(queue).id, "1") is ActionCode.UNKNOWN_JOB


async def test_an_answer_is_read_by_its_number_and_expires(broker: Broker, queue: Queue) -> None:
    """An answer is read by the number of its request, by no other, and expires by itself."""
    delivery = await seed_running(broker, queue)
    assert await broker.stack_answers.answer(queue, "1") is None
    assert await broker.store.tell_stack(queue, delivery.id, delivery.token, "1", ANSWER)
    assert await broker.stack_answers.answer(queue, "1") == STACK
    assert await broker.stack_answers.answer(queue, "2") is None
    key = broker.keys.of(queue).stack_prefix + "1"
    assert 0 < await broker.client.pttl(key) <= STACK_KEPT_S * 1000
    await broker.client.set(key, b"\xc1")
    assert await broker.stack_answers.answer(queue, "1") is None
    await broker.client.delete(key)


async def test_a_worker_that_has_lost_the_job_answers_nothing(broker: Broker, queue: Queue) -> None:
    """The answer of a worker whose delivery is not current any more is refused."""
    delivery = await seed_running(broker, queue)
    await recover_all(broker, queue)
    assert not await broker.store.tell_stack(queue, delivery.id, delivery.token, "1", ANSWER)
    assert await broker.stack_answers.answer(queue, "1") is None
