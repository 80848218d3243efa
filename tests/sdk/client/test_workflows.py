"""Both clients run, read and steer workflows over a real connection."""

from typing import Any

import pytest
from sdk.client.scripted_api import Connect, Lost, Reply, ScriptedApi, job_body, problem

from millstream import (
    ConflictError,
    JobRef,
    ResultError,
    WaitTimeoutError,
    Workflow,
    WorkflowFailedError,
    WorkflowPage,
    WorkflowState,
)
from millstream_contracts import WorkflowId

ID = "WF_000001KBCSZ4000ABCDEFGHJKM"
PATH = f"/v1/workflows/{ID}"
STATUS: dict[str, Any] = {
    "id": ID, "name": "a", "state": "running", "counts": {"waiting": 1}, "created_at": "2026-01-02T00:00:00Z",
}  # fmt: skip
ACCEPTED = {"id": ID, "state": "running", "counts": {"starting": 1}, "nodes": {"one": "a_0001"}}

count = JobRef("a", takes=None, gives=int)


def page(nodes: list[Any] | None = None, cursor: str | None = None, **fields: Any) -> Reply:
    """Return a workflow as the API shows it."""
    return Reply(200, {"workflow": {**STATUS, **fields}, "nodes": nodes or [], "next_cursor": cursor})


def one_node() -> Workflow:
    """Return a workflow with one node."""
    flow = Workflow("a")
    flow.add("one", count)
    return flow


async def started(connect: Connect, api: ScriptedApi) -> Any:
    """Submit a workflow, and return its handle."""
    api.script.append(Reply(202, ACCEPTED))
    return await connect().run(one_node())


async def test_a_workflow_is_one_request_with_a_key(connect: Connect, api: ScriptedApi) -> None:
    """A submission whose answer is lost is repeated with the same key."""
    api.script.extend([Lost(), Reply(202, ACCEPTED)])
    flow = one_node()
    run = await connect().run(flow)
    assert run.id == ID
    first, second = api.received
    assert (first.method, first.path, first.content) == ("POST", "/v1/workflows", flow.content)
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] != ""


async def test_a_key_of_ones_own_goes_along(connect: Connect, api: ScriptedApi) -> None:
    """A program may name its submission."""
    api.script.append(Reply(202, ACCEPTED))
    await connect().run(one_node(), idempotency_key="mine")
    assert api.received[-1].headers["idempotency-key"] == "mine"


async def test_a_handle_reads_state_and_nodes(connect: Connect, api: ScriptedApi) -> None:
    """The nodes come from all pages; the state alone asks for no page of nodes."""
    run = await started(connect, api)
    api.script.append(page(state="stalled"))
    assert await run.state() is WorkflowState.STALLED
    assert (api.received[-1].path, api.received[-1].query) == (PATH, {"limit": ["1"]})
    node = {"name": "one", "type": "a", "state": "dead", "job": "a_1"}
    api.script.extend([page([node], "next"), page([{**node, "name": "two"}])])
    assert [(one.name, one.state) for one in await run.nodes("failed")] == [("one", "dead"), ("two", "dead")]
    assert api.received[-1].query == {"nodes": ["failed"], "cursor": ["next"]}


async def test_a_result_is_waited_for(connect: Connect, api: ScriptedApi) -> None:
    """The server holds its answer back until the workflow has ended; the result is plain data, or what is asked for."""
    run = await started(connect, api)
    api.script.extend([page(), page(state="succeeded", result={"n": 3})])
    assert await run.result(timeout=60) == {"n": 3}
    assert [float(one.query["wait"][0]) for one in api.received[1:]] == [30, 30]
    api.script.append(page(state="succeeded", result=[1]))
    assert await run.result(into=list[int]) == [1]
    api.script.append(page(state="succeeded", result=["x"]))
    with pytest.raises(ResultError):
        await run.result(into=list[int])


@pytest.mark.parametrize("state", ["failed", "cancelled", "stalled"])
async def test_a_workflow_without_success_is_an_error(connect: Connect, api: ScriptedApi, state: str) -> None:
    """The error says where it is, why, and how many nodes are in which state."""
    run = await started(connect, api)
    api.script.append(page(state=state, reason="by hand", counts={"dead": 1, "waiting": 2}))
    with pytest.raises(WorkflowFailedError, match=rf"is {state} \(by hand\); nodes: 1 dead, 2 waiting") as caught:
        await run.result()
    assert caught.value.workflow.id == ID


async def test_a_wait_ends_in_time(connect: Connect, api: ScriptedApi) -> None:
    """A workflow that goes on is no failure of it."""
    run = await started(connect, api)
    api.script.extend([page()] * 9)
    with pytest.raises(WaitTimeoutError, match="goes on"):
        await run.result(timeout=0.15)


async def test_the_job_of_a_node_has_a_handle(connect: Connect, api: ScriptedApi) -> None:
    """The handle on the job of a node decodes what the job gives; there is none while the job is not known."""
    flow = one_node()
    flow.map("many", count, over=flow.nodes["one"].result)
    api.script.append(Reply(202, ACCEPTED))
    run = await connect().run(flow)
    api.script.append(Reply(200, job_body("a_0001", "succeeded", result=3)))
    assert await (await run.job(flow.nodes["one"])).result() == 3
    with pytest.raises(LookupError):
        await run.job(flow.nodes["many"])


async def test_workflows_are_cancelled_and_run_again(connect: Connect, api: ScriptedApi) -> None:
    """A rerun has a key, so that it happens once; a workflow that has ended cannot be cancelled."""
    run, flow = await started(connect, api), one_node()
    api.script.append(Reply(200, {**STATUS, "state": "cancelling"}))
    assert (await run.cancel()).state is WorkflowState.CANCELLING
    assert (api.received[-1].method, api.received[-1].path) == ("POST", f"{PATH}/cancel")
    for arguments, body in [
        ({"failed": True}, {"failed": True}),
        ({"nodes": ["one"]}, {"from": ["one"]}),
        ({"nodes": [flow.nodes["one"]]}, {"from": ["one"]}),
    ]:
        api.script.append(Reply(200, STATUS))
        await run.rerun(**arguments)
        assert (api.received[-1].path, {key: value for key, value in api.received[-1].body.items() if value}) == (
            f"{PATH}/rerun",
            body,
        )
        assert api.received[-1].headers["idempotency-key"]
    for arguments in ({}, {"nodes": ["one"], "failed": True}):
        with pytest.raises(TypeError, match="either"):
            await run.rerun(**arguments)
    api.script.append(problem(409, "The state forbids this"))
    with pytest.raises(ConflictError):
        await run.cancel()


async def test_workflows_are_listed(connect: Connect, api: ScriptedApi) -> None:
    """A list is a page, by state."""
    api.script.append(Reply(200, {"items": [STATUS]}))
    assert isinstance(await connect().workflows(state="running", limit=2), WorkflowPage)
    assert api.received[-1].query == {"state": ["running"], "limit": ["2"]}
    assert WorkflowId(ID) == ID
