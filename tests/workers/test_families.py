"""Handlers submit children, and follow them, alike on the loop, in threads and in processes."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from leftovers import delete_namespace
from waiting import wait_until
from workers.family import ISOLATIONS, REFUSED, app
from workers.floor import Floor, open_floor, queue_of_type
from workers.plant import python_path

from millstream_contracts import DEFAULT_TENANT, JobId, JobState, Priority, Submission, limits, new_job_id
from millstream_streams import EnqueueCode, NewBatch, assemble, open_broker

TRACEPARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-00"
REFS = ("workers.family:app",)

in_each_isolation = pytest.mark.parametrize("isolation", ISOLATIONS)


@pytest.fixture(scope="module")
async def floor(redis_url: str) -> AsyncIterator[Floor]:
    """Yield a floor with one worker for all tests, because each handler process takes long to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", python_path())
        async with open_broker(redis_url, namespace=f"t{secrets.token_hex(6)}") as broker:
            async with open_floor(broker, redis_url) as opened:
                await opened.hire(app, apps=REFS, concurrency=3, cleanup_s=20.0)
                yield opened
            await delete_namespace(broker.client, broker.keys.namespace)


async def result_of(floor: Floor, job_type: str, payload: Any = None) -> Any:
    """Run a job and return its result."""
    job = await floor.run(job_type, payload)
    assert job.state is JobState.SUCCEEDED, job.error
    return job.result


@in_each_isolation
async def test_a_handle_on_a_child_tells_what_that_of_a_client_tells(floor: Floor, isolation: str) -> None:
    """A child has its options and runs as any job, and its handle gives its result as what the child gives."""
    job_id, *rest = await result_of(floor, f"{isolation}.follow", {"n": 7})
    assert rest == [7, "succeeded", True]
    child = await floor.job(JobId(job_id))
    assert (child.type, child.priority, child.tags) == ("child", Priority.HIGH, {"from": "parent"})


@in_each_isolation
async def test_a_handle_on_a_child_raises_what_that_of_a_client_raises(floor: Floor, isolation: str) -> None:
    """A child that failed, is late, was cancelled or has ended raises in its parent what it raises in a client."""
    before = cancelled_children(floor)
    failed, late, state, cancelled = await result_of(floor, f"{isolation}.trouble")
    assert failed.startswith("JobFailedError: job failing_")
    assert failed.endswith("is dead (attempts): ValueError: no 2")
    assert late == "WaitTimeoutError: job it is scheduled after 0.01 s; it goes on"
    assert (state, cancelled) == ("cancelled", "JobFailedError: job it is cancelled (cancelled)")
    assert cancelled_children(floor) == before + 1


def cancelled_children(floor: Floor) -> float:
    """Return how many children the worker has counted as cancelled."""
    labels = {"type": "child", "state": "cancelled"}
    return floor.hired[0].metrics.get_sample_value("millstream_jobs_finished_total", labels) or 0.0


@in_each_isolation
@pytest.mark.parametrize(
    ("count", "text"),
    [(0, ""), (1, ""), (2 * limits.MAX_SCRIPT_JOBS + 5, ""), (30, "x")],
    ids=["0", "1", "205", "7 MB"],
)
async def test_all_children_of_a_batch_are_stored_in_order(floor: Floor, isolation: str, count: int, text: str) -> None:
    """Children of one call are stored in the order of their payloads, also where they are larger than a frame."""
    ids = await result_of(floor, f"{isolation}.many", {"n": count, "text": text})
    assert [(await floor.job(JobId(job_id))).payload["n"] for job_id in ids] == list(range(count))


@in_each_isolation
async def test_a_member_of_a_batch_adds_others_once(floor: Floor, isolation: str) -> None:
    """What a member adds belongs to its batch although that is closed; a retried member adds nothing twice."""
    batches, job_type = floor.broker.batches, f"{isolation}.members"
    batch_id = batches.new_id(DEFAULT_TENANT)
    new = NewBatch(
        id=batch_id, name="family", expires_at_ms=floor.broker.clock.now_ms() + 60_000, retention_ms=3_600_000
    )
    await batches.create(DEFAULT_TENANT, new)
    queue = queue_of_type(job_type)
    job_id = new_job_id(queue)
    await batches.promise(DEFAULT_TENANT, batch_id, [job_id])
    [made] = await floor.broker.store.enqueue(
        queue, [assemble(job_id, Submission(type=job_type), msgspec.msgpack.encode({"n": 2}), batch=batch_id)]
    )
    assert made.code is EnqueueCode.STORED
    await batches.confirm(DEFAULT_TENANT, batch_id, stored=[job_id])
    await batches.close(DEFAULT_TENANT, batch_id)
    job = await floor.settled(job_id)
    assert job.state is JobState.SUCCEEDED, job.error
    members, _ = await batches.members(DEFAULT_TENANT, batch_id)
    assert {member.job_id for member in members} == {job_id, *job.result}
    assert len(members) == 4
    assert {(await floor.job(JobId(child))).batch for child in job.result} == {batch_id}


@in_each_isolation
async def test_a_job_of_no_batch_cannot_add_to_one(floor: Floor, isolation: str) -> None:
    """A job that is a member of no batch is told so, wherever it runs."""
    told = await result_of(floor, f"{isolation}.intruding")
    assert told.startswith("InvalidError: ")
    assert "this job is a member of no batch" in told


@in_each_isolation
async def test_a_retried_parent_makes_no_child_twice(floor: Floor, isolation: str) -> None:
    """A key of a child leads a later attempt to the first child, whatever its payload, and one of a batch to each."""
    before = await scheduled(floor)
    one, same, other, *each = await result_of(floor, f"{isolation}.keyed", {"n": 1})
    assert one == same != other
    assert len(set(each)) == 4
    assert (await floor.job(JobId(one))).payload == {"n": 1, "text": "1"}
    assert [(await floor.job(JobId(job_id))).payload["n"] for job_id in each] == [1, 3, 1, 2]
    assert await scheduled(floor) - before == len({one, other, *each})


async def scheduled(floor: Floor) -> int:
    """Return how many children wait for their time."""
    depths = [await floor.broker.store.measure(queue_of_type(job_type)) for job_type in ("child", "sibling")]
    return sum(depth.scheduled for depth in depths)


@in_each_isolation
async def test_a_child_is_in_the_trace_of_its_parent(floor: Floor, isolation: str) -> None:
    """A child continues the trace of the job that submits it, wherever the handler of that runs."""
    job = await floor.run(f"{isolation}.follow", {"n": 1}, traceparent=TRACEPARENT, tracestate="a=b")
    assert job.state is JobState.SUCCEEDED, job.error
    assert (await floor.job(JobId(job.result[0]))).trace_id == job.trace_id == TRACEPARENT.split("-")[1]


@in_each_isolation
async def test_parents_do_not_share_their_keys(floor: Floor, isolation: str) -> None:
    """Two parents that use the same key have a child each."""
    first, second = [await result_of(floor, f"{isolation}.keyed", {"n": 1}) for _ in range(2)]
    assert not set(first) & set(second)


@in_each_isolation
async def test_a_key_for_two_payloads_of_one_attempt_is_refused(floor: Floor, isolation: str) -> None:
    """A key that one attempt uses for two payloads is refused, because the second child would be lost in silence."""
    module, name, text, fields = await result_of(floor, f"{isolation}.reused")
    assert (module, name, fields) == ("millstream_workers.child_jobs", "InvalidChildError", ["/payload"])
    assert "another payload under the idempotency key `one`" in text


@in_each_isolation
@pytest.mark.parametrize("what", REFUSED)
async def test_a_child_is_refused_in_the_same_words_wherever_its_parent_runs(
    floor: Floor, isolation: str, what: str
) -> None:
    """A child that the API would refuse raises the same error in each isolation, and none of its batch is stored."""
    heard = await result_of(floor, f"{isolation}.refused", what)
    assert heard == await result_of(floor, "loop.refused", what)
    assert heard[1] in {"InvalidChildError", "TypeError", "ValueError"}
    if heard[1] == "InvalidChildError":
        assert all(field.startswith("/") for field in heard[3])
        assert heard[3]
    assert (await floor.broker.store.measure(queue_of_type("child"))).queued == (0, 0, 0)


@in_each_isolation
async def test_a_reference_submits_or_says_at_once_why_not(floor: Floor, isolation: str) -> None:
    """A reference submits where its call can be awaited, and elsewhere raises an error with the call that works."""
    heard = await result_of(floor, f"{isolation}.places")
    awaited = isolation in {"loop", "process.async"}
    works = (
        {"here", "its receipt", "a loop in a thread of asyncio"}
        if awaited
        else {"a loop of its own", "context", "context in its own thread", "context in a loop of its own"}
    )
    for place, told in heard.items():
        if place in works:
            assert (await floor.job(JobId(told))).state is JobState.SCHEDULED, place
        elif place == "its own thread":
            assert told.startswith("NotBoundError: cannot submit `child`: no handler runs in this thread"), place
        else:
            assert "is awaited, and no event loop runs in this thread" in told, place


@pytest.mark.parametrize("isolation", ["thread", "process"])
async def test_a_fork_of_a_handler_cannot_submit(floor: Floor, isolation: str) -> None:
    """A process that a handler has forked is told that it cannot submit, and does not wait for ever."""
    heard = await result_of(floor, f"{isolation}.fork")
    assert heard.startswith("NotBoundError: a process that a handler has forked cannot submit")


@in_each_isolation
async def test_parents_that_wait_leave_a_slot_for_their_children(floor: Floor, isolation: str) -> None:
    """A worker lets one handler less wait than it has slots, and refuses the next one at once, with the reason."""
    assert await result_of(floor, f"{isolation}.nested", {"n": 2}) == 2
    job = await floor.run(f"{isolation}.nested", {"n": 3}, max_attempts=1)
    assert job.state is JobState.DEAD
    assert job.error is not None
    refusals = [text for text in [job.error.message] if "a handler cannot wait here" in text]
    assert len(refusals) == 1
    assert "2 of the 3 slots of its worker are held by handlers that wait for jobs" in refusals[0]


@in_each_isolation
async def test_a_wait_ends_when_its_handler_has_to_stop(floor: Floor, isolation: str) -> None:
    """A handler that waits for a child is stopped like any other, in a thread too."""
    job_id = await floor.submit(f"{isolation}.patient")
    await floor.until(job_id, JobState.RUNNING)
    await floor.cancel(job_id)
    assert (await floor.settled(job_id)).state is JobState.CANCELLED
    limit = floor.hired[0].worker.parts.executor._parents.of(DEFAULT_TENANT).reader._limit
    await wait_until(lambda: not limit._waits, "no handler counts as waiting")
