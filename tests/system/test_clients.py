"""Both clients of the SDK make the same calls to the real API."""

import inspect
from collections.abc import AsyncIterator
from typing import Any

import pytest

from millstream import (
    Client,
    InvalidError,
    JobFailedError,
    JobNotFoundError,
    NewJob,
    SyncClient,
    WaitTimeoutError,
)
from millstream_contracts import JobState


@pytest.fixture(params=["Client", "SyncClient"])
async def sdk(request, system) -> AsyncIterator[Any]:
    """Yield a client of either kind. The sync client blocks the loop of this test alone."""
    if request.param == "Client":
        async with Client(system.url) as client:
            yield client
    else:
        with SyncClient(system.url) as client:
            yield client


async def given(answer: Any) -> Any:
    """Return the result of a call of either client."""
    return await answer if inspect.isawaitable(answer) else answer


async def test_submit_and_result(sdk, folder):
    """A submission returns a handle, which returns the job and its result."""
    job = await given(sdk.submit("chore.count", {"folder": str(folder), "n": 4}, priority="high", tags={"a": "b"}))
    assert (job.job.state, job.job.priority, job.job.tags) == (JobState.QUEUED, "high", {"a": "b"})
    assert await given(job.result(60)) == 4
    assert (await given(job.status())).state is JobState.SUCCEEDED
    assert (await given(sdk.get(job.id))).payload == {"folder": str(folder), "n": 4}


async def test_handler_in_a_process_of_its_own(sdk):
    """The result of a handler in a process of its own is returned as any other."""
    job = await given(sdk.submit("chore.digest", "abc"))
    assert await given(job.result(60)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


async def test_submit_many(sdk, folder):
    """One bad job of many is refused, named in the receipt, and affects no other."""
    good = {"folder": str(folder), "n": 1}
    receipt = await given(sdk.submit_many("chore.count", [good, {"folder": 5}, good]))
    assert (receipt.accepted, receipt.rejected) == (2, 1)
    assert [item.status for item in receipt.items] == [202, 422, 202]
    for item in receipt.items[::2]:
        assert await given(sdk.result(item.id, 60)) == 1
    receipt = await given(sdk.submit_many([NewJob("chore.now"), NewJob("chore.hopeless", "no")]))
    assert await given(sdk.result(receipt.items[0].id, 60)) > 0
    with pytest.raises(JobFailedError):
        await given(sdk.result(receipt.items[1].id, 60))


async def test_same_key_is_the_same_job(sdk, folder):
    """Two submissions with one key make one job."""
    key = f"{sdk.__class__.__name__}-{folder}"
    first, second = [await given(sdk.submit("chore.now", idempotency_key=key)) for _ in range(2)]
    assert first.id == second.id


async def test_wait_that_is_too_short(sdk, folder):
    """A wait that is too short ends, and its job does not."""
    job = await given(sdk.submit("chore.gate", {"folder": str(folder)}))
    with pytest.raises(WaitTimeoutError, match=str(job.id)):
        await given(job.result(0.2))
    assert not (await given(job.status())).state.is_settled
    (folder / "go").touch()
    assert await given(job.result(60)) == 1


async def test_failed_job(sdk):
    """The error about a failed job names its reason."""
    job = await given(sdk.submit("chore.hopeless", "no such city"))
    with pytest.raises(JobFailedError, match=r"dead.*ValueError: no such city") as caught:
        await given(job.result(60))
    assert caught.value.job.error.traceback


async def test_cancel(sdk):
    """A scheduled job is cancelled at once."""
    job = await given(sdk.submit("chore.now", delay=600))
    assert (await given(job.cancel())).state is JobState.CANCELLED


async def test_dead_letters(sdk):
    """Dead letters are listed by type, redriven by id, and discarded."""
    job = await given(sdk.submit("chore.hopeless", "twice"))
    await given(sdk.wait(job.id, 60))
    assert job.id in {letter.id for letter in (await given(sdk.dead(type="chore.hopeless", limit=500))).items}
    report = await given(sdk.redrive(ids=[job.id]))
    assert (report.done, report.refused) == (1, 0)
    again = await given(sdk.wait(job.id, 60))
    assert (again.state, again.deliveries) == (JobState.DEAD, 2)
    assert (await given(sdk.retry(job.id))).id == job.id
    assert (await given(sdk.wait(job.id, 60))).deliveries == 3
    assert (await given(sdk.discard(ids=[job.id]))).done == 1
    assert (await given(sdk.get(job.id))).state is JobState.CANCELLED


async def test_what_the_system_has(sdk):
    """Queues, types with schemas, workers, health and a page of jobs are returned."""
    types = {one.type: one for one in await given(sdk.types())}
    assert types["chore.count"].payload_schema["$defs"]["Chore"]["required"] == ["folder"]
    assert {"email.send", "report.generate"} & types.keys() == {"report.generate"}, "no mail server is configured"
    assert types.keys() <= {queue.type for queue in await given(sdk.queues())}
    workers = await given(sdk.workers())
    assert all("chore.count" in worker.types for worker in workers)
    assert (await given(sdk.health()))["ok"] is True
    job = await given(sdk.submit("chore.now", delay=600))
    page = await given(sdk.jobs(type="chore.now", state="scheduled", limit=500))
    assert job.id in {item.id for item in page.items}
    await given(job.cancel())


async def test_payload_that_no_handler_could_read(sdk):
    """A payload that no handler could read raises an error that points at the field."""
    with pytest.raises(InvalidError) as caught:
        await given(sdk.submit("chore.count", {"folder": 7}))
    assert caught.value.problem.status == 422
    assert [error.pointer for error in caught.value.problem.errors] == ["/payload/folder"]
    with pytest.raises(InvalidError, match=r"chore\.count"):
        await given(sdk.submit("chore.cuont"))


async def test_job_that_there_is_not(sdk):
    """An unknown job raises an error class of its own."""
    with pytest.raises(JobNotFoundError):
        await given(sdk.get("chore.now_0001JD3YQ8Z7M4T6V0RXKBN5C2WA"))
