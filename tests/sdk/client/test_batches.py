"""Both clients make, fill, follow and steer batches over a real connection."""

from typing import Any

import pytest
from sdk.client.scripted_api import Connect, Lost, Reply, ScriptedApi, problem

from millstream import (
    ApiError,
    BatchState,
    ConflictError,
    InvalidError,
    JobRef,
    MemberState,
    NewJob,
    WaitTimeoutError,
)
from millstream_contracts import limits

ID = "BA_000001KBCSZ4000ABCDEFGHJKM"
PATH = f"/v1/batches/{ID}"
STATUS: dict[str, Any] = {
    "id": ID, "name": "import", "state": "open", "total": 0, "counts": {}, "created_at": "2026-01-02T00:00:00Z",
}  # fmt: skip
DEAD = {"counts": {"succeeded": 1, "dead": 1}, "total": 2}

row = JobRef("row", takes=int, gives=int)
done = JobRef("done", takes=None, gives=None)


def status(code: int = 200, **fields: Any) -> Reply:
    """Return a batch as the API shows it."""
    return Reply(code, {**STATUS, **fields})


def receipt(*ids: str) -> Reply:
    """Return the answer to jobs of which each is accepted."""
    items = [{"index": index, "status": 202, "id": job_id} for index, job_id in enumerate(ids)]
    return Reply(207, {"accepted": len(ids), "rejected": 0, "items": items})


def refusal(index: int = 0) -> dict[str, Any]:
    """Return the item of a job that is refused because its batch is closed."""
    return {"index": index, "status": 409, "problem": {**problem(409, "closed").body, "detail": "it is closed"}}


async def test_a_block_opens_fills_and_closes(connect: Connect, api: ScriptedApi) -> None:
    """The batch is open within the block, with its callbacks, and closed at the end."""
    api.script.extend([status(202), receipt("row_1"), receipt("row_2", "row_3"), status(state="running")])
    async with await connect().batch(
        "import", on_complete=NewJob("report", {"n": 1}), on_death=done, expires_in=60
    ) as batch:
        first = await batch.submit(row, 1)
        many = await batch.submit_many(row, [2, 3], priority="low")
    assert (batch.id, first.id, many.accepted) == (ID, "row_1", 2)
    made, one, two, closed = api.received
    assert made.body == {
        "name": "import", "open": True, "expires_in_s": 60,
        "on_complete": {"type": "report", "payload": {"n": 1}}, "on_death": {"type": "done", "payload": None},
    }  # fmt: skip
    assert [(made.method, made.path), (one.method, one.path)] == [("POST", "/v1/batches"), ("POST", f"{PATH}/jobs")]
    assert one.body == {"jobs": [{"type": "row", "payload": 1}]}
    assert [job["priority"] for job in two.body["jobs"]] == ["low", "low"]
    assert (closed.method, closed.path) == ("POST", f"{PATH}/close")


async def test_making_a_batch_is_repeated_with_its_key(connect: Connect, api: ScriptedApi) -> None:
    """A batch whose answer is lost is asked for again with the same key, so there is one."""
    api.script.extend([Lost(), status(202), status(state="running")])
    async with await connect().batch("import"):
        pass
    first, second, _ = api.received
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] != ""


async def test_a_block_that_raises_cancels_the_batch(connect: Connect, api: ScriptedApi) -> None:
    """A batch that was not filled is cancelled, not closed: `on_success` would miss the rest."""
    api.script.extend([status(202), status(state="cancelled")])
    with pytest.raises(RuntimeError, match="no more rows"):
        async with await connect().batch("import"):
            raise RuntimeError("no more rows")
    assert api.received[-1].path == f"{PATH}/cancel"


async def test_the_error_of_a_block_is_not_replaced_by_that_of_its_cancellation(
    connect: Connect, api: ScriptedApi
) -> None:
    """A batch that cannot be cancelled any more leaves the error of the block as it is."""
    api.script.extend([status(202), problem(409, "it has ended")])
    with pytest.raises(RuntimeError, match="no more rows"):
        async with await connect().batch("import"):
            raise RuntimeError("no more rows")


async def test_a_member_that_is_refused_raises(connect: Connect, api: ScriptedApi) -> None:
    """The refusal of a single member is an error, with the problem of its item."""
    api.script.append(Reply(207, {"accepted": 0, "rejected": 1, "items": [refusal()]}))
    with pytest.raises(ConflictError, match="closed"):
        await (await connect().batch_handle(ID)).submit(row, 1)


async def test_many_members_have_a_receipt(connect: Connect, api: ScriptedApi) -> None:
    """A refused member among many leaves the others as they are."""
    accepted = {"index": 0, "status": 202, "id": "row_1"}
    api.script.append(Reply(207, {"accepted": 1, "rejected": 1, "items": [accepted, refusal(1)]}))
    found = await (await connect().batch_handle(ID)).submit_many(row, [1, 2])
    assert [(item.id, item.status) for item in found.items] == [("row_1", 202), (None, 409)]


async def test_a_batch_of_known_jobs_is_one_request(connect: Connect, api: ScriptedApi) -> None:
    """Jobs that are known go with the batch, which is not open."""
    api.script.append(status(202, state="running"))
    batch = await connect().submit_batch("import", [NewJob(row, 1), NewJob(row, 2)], on_success=done)
    assert batch.id == ID
    [request] = api.received
    assert [job["payload"] for job in request.body["jobs"]] == [1, 2]
    assert (request.body["open"], request.body["on_success"]["type"]) == (False, "done")


async def test_more_jobs_than_a_request_takes_are_added(
    connect: Connect, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit into the first request is added, all or none of it, and then the batch is closed."""
    monkeypatch.setattr(limits, "MAX_BATCH_JOBS", 2)
    api.script.extend([status(202), receipt("row_3"), status(state="running")])
    await connect().submit_batch("import", [NewJob(row, number) for number in range(3)])
    made, added, closed = api.received
    assert (made.body["open"], len(made.body["jobs"]), len(added.body["jobs"])) == (True, 2, 1)
    assert (added.headers["prefer"], closed.path) == ("handling=strict", f"{PATH}/close")


async def test_a_batch_whose_rest_is_refused_is_cancelled(
    connect: Connect, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is submitted whole, or cancelled."""
    monkeypatch.setattr(limits, "MAX_BATCH_JOBS", 2)
    api.script.extend([status(202), problem(422, "no payload"), status(state="cancelled")])
    with pytest.raises(InvalidError, match="no payload"):
        await connect().submit_batch("import", [NewJob(row, number) for number in range(3)])
    assert api.received[-1].path == f"{PATH}/cancel"


async def test_a_batch_of_no_jobs_is_not_sent(connect: Connect, api: ScriptedApi) -> None:
    """No jobs make no batch: an open one is a block."""
    with pytest.raises(ValueError, match=r"client\.batch"):
        await connect().submit_batch("import", [])
    assert not api.received


async def test_a_callback_that_is_no_job_is_refused(connect: Connect) -> None:
    """A callback is a handler, a contract, a type or a `NewJob`."""
    with pytest.raises(TypeError, match="`on_success` takes"):
        await connect().batch("import", on_success=7)


async def test_a_handle_reads_counts_and_members(connect: Connect, api: ScriptedApi) -> None:
    """Members come from all pages, all or those in a state."""
    batch = await connect().batch_handle(ID)
    api.script.append(status(**DEAD))
    assert await batch.counts() == {MemberState.SUCCEEDED: 1, MemberState.DEAD: 1}
    member = {"job": "row_1", "state": "dead"}
    pages = [
        {"items": [member], "next_cursor": "next"},
        {"items": [{**member, "job": "row_2"}], "next_cursor": None},
    ]
    api.script.extend(Reply(200, page) for page in pages)
    assert [(one.job, one.state) for one in await batch.jobs("dead")] == [("row_1", "dead"), ("row_2", "dead")]
    assert (api.received[-1].path, api.received[-1].query) == (f"{PATH}/jobs", {"state": ["dead"], "cursor": ["next"]})


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled", "stalled"])
async def test_a_batch_is_waited_for(connect: Connect, api: ScriptedApi, state: str) -> None:
    """The wait is over once every member has settled, and says how."""
    api.script.extend([status(), status(state="running"), status(state=state, **DEAD)])
    found = await (await connect().batch_handle(ID)).wait(timeout=30)
    assert (found.state, found.total) == (BatchState(state), 2)


async def test_a_wait_lasts_until_callbacks_can_be_read(connect: Connect, api: ScriptedApi) -> None:
    """A callback that has fired is submitted a moment later: who has waited for the batch finds its job."""
    callback = {"job": "report_1", "fired": True}
    for more in ({}, {"submitted": True}):
        api.script.append(status(state="succeeded", callbacks={"on_success": {**callback, **more}}))
    batch = await connect().batch_handle(ID)
    assert [one.submitted for one in (await batch.wait(timeout=30)).callbacks.values()] == [True]
    api.script.append(status(state="failed", callbacks={"on_complete": {**callback, "reason": "no worker"}}))
    assert (await batch.wait(timeout=30)).state is BatchState.FAILED


async def test_a_wait_that_is_too_long_says_where_the_batch_is(connect: Connect, api: ScriptedApi) -> None:
    """A wait ends with its timeout; the batch goes on."""
    api.script.append(status(state="running"))
    with pytest.raises(WaitTimeoutError, match="is running"):
        await (await connect().batch_handle(ID)).wait(timeout=0)


async def test_batches_are_listed_and_steered(connect: Connect, api: ScriptedApi) -> None:
    """Lists are filtered by the state; a batch is closed and cancelled by its handle."""
    client = connect()
    api.script.append(Reply(200, {"items": [STATUS], "next_cursor": None}))
    assert [one.id for one in (await client.batches(state="open")).items] == [ID]
    assert api.received[-1].query == {"state": ["open"]}
    api.script.extend([status(state="running"), status(state="cancelling")])
    batch = await client.batch_handle(ID)
    assert [(await batch.close()).state, (await batch.cancel()).state] == ["running", "cancelling"]


async def test_a_member_adds_by_its_id(connect: Connect, api: ScriptedApi) -> None:
    """A program that runs a member elsewhere adds others in its name."""
    api.script.append(receipt("row_1"))
    await connect().add_to_batch(ID, [NewJob(row, 1)], by="row_0")
    assert api.received[-1].query == {"by": ["row_0"]}


async def test_an_unknown_batch_is_an_error(connect: Connect, api: ScriptedApi) -> None:
    """A batch that there is not is refused by the API."""
    api.script.append(problem(404, "there is no batch"))
    with pytest.raises(ApiError, match="no batch"):
        await (await connect().batch_handle("BA_x")).status()
