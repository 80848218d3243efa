"""Workflows in the test kit: nodes run in order with the results of others, fail, are redriven and run again."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from millstream import (
    ITEM,
    ApiError,
    App,
    ConflictError,
    InvalidError,
    NodeState,
    Retry,
    WaitTimeoutError,
    Workflow,
    WorkflowFailedError,
    WorkflowState,
    chain,
)
from millstream.jobs import NewJob
from millstream.testing import Testing
from millstream_contracts import NodeInput

app = App("flows")
ran: list[str] = []


@app.job("flow.list")
async def list_images(count: int) -> list[int]:
    """Return so many numbers."""
    ran.append("list")
    return list(range(count))


@app.job("flow.resize", retry=Retry(max_attempts=2, base=60))
async def resize(image: int) -> int:
    """Return ten times a number; three is broken."""
    ran.append(f"resize {image}")
    if image == 3:
        raise ValueError("broken")
    return image * 10


@app.job("flow.index")
def index(sizes: list[int | None]) -> str:
    """Return what was made."""
    ran.append("index")
    return f"{len(sizes)} images, {sum(one or 0 for one in sizes)} wide"


@app.job("flow.fails", retry=Retry(max_attempts=1))
async def fails(_: None = None) -> None:
    """Fail."""
    ran.append("fails")
    raise ValueError("never")


@app.job("flow.last", retry=Retry(max_attempts=1))
async def last(text: str) -> str:
    """Return a text."""
    ran.append("last")
    return text.upper()


def album(count: int, **options: Any) -> Workflow:
    """Return a workflow with a map in the middle."""
    flow = Workflow("album")
    images = flow.add("list", list_images, count)
    sizes = flow.map("resize", resize, over=images.result, **options)
    flow.returns(flow.add("index", index, sizes.result).result)
    return flow


@pytest.fixture
async def kit() -> AsyncIterator[Testing[None]]:
    """Yield an open kit."""
    ran.clear()
    async with app.testing() as t:
        yield t


async def test_a_workflow_runs_to_its_result(kit: Testing[None]) -> None:
    """Each node runs after those before it, with their results; a wait for the workflow runs it."""
    run = await kit.client.run(album(3))
    assert (await run.state(), ran) == (WorkflowState.RUNNING, [])
    assert await run.result() == "3 images, 30 wide"
    assert ran == ["list", "resize 0", "resize 1", "resize 2", "index"]
    nodes = {node.name: node for node in await run.nodes()}
    assert nodes["resize"].items is not None
    assert (nodes["resize"].items.total, nodes["index"].after) == (3, ["resize"])
    job = await kit.client.get(nodes["index"].job or "")
    assert (job.workflow, job.result) == (run.id, "3 images, 30 wide")


async def test_nodes_tell_whose_results_they_take(kit: Testing[None]) -> None:
    """With `results` a node has the nodes whose results it takes, with sizes once they have succeeded."""
    run = await kit.client.run(album(3))
    before = (await kit.client.workflow_nodes(run.id, results=True)).nodes
    assert [node.inputs for node in before[:2]] == [[], [NodeInput(node="list")]]
    await run.result()
    resize = (await kit.client.workflow_nodes(run.id, results=True)).nodes[1]
    assert resize.inputs is not None
    assert (resize.inputs[0].result_bytes or 0) > 0
    assert all(node.inputs is None for node in await run.nodes())


async def test_a_map_over_nothing_succeeds(kit: Testing[None]) -> None:
    """A node with `map` over an empty list has the empty list as its result."""
    assert await (await kit.client.run(album(0))).result() == "0 images, 0 wide"


async def test_a_map_bears_failures_within_bounds(kit: Testing[None]) -> None:
    """Items may fail within `max_failures`, with None for their results; retries pass by the clock of the test."""
    begun = kit.now
    run = await kit.client.run(album(5, max_failures=1))
    assert await run.result(timeout=3600) == "5 images, 70 wide"
    assert kit.now > begun
    assert ran.count("resize 3") == 2


async def test_a_dead_node_stalls_until_it_is_redriven(kit: Testing[None]) -> None:
    """A dead node keeps those behind it waiting; a redrive of its job has the workflow go on."""
    flow = Workflow("stalls")
    first = flow.add("first", last, "a")
    flow.returns(flow.add("second", last, first.result).result)
    kit.stub(last).raises(ValueError("away"), times=1)
    run = await kit.client.run(flow)
    with pytest.raises(WorkflowFailedError, match="stalled") as failed:
        await run.result()
    assert failed.value.workflow.counts == {NodeState.DEAD: 1, NodeState.WAITING: 1}
    [dead] = await run.nodes("failed")
    assert {one.name: one.waits_for for one in await run.nodes()} == {"first": [], "second": ["first"]}
    await kit.client.retry(dead.job or "")
    assert await run.result() == "A"


async def test_failed_nodes_run_again(kit: Testing[None]) -> None:
    """A rerun gives what failed, and all behind it, new jobs; results of others are kept."""
    run = await kit.client.run(album(4))
    with pytest.raises(WorkflowFailedError):
        await run.result(timeout=3600)
    kit.stub(resize).returns(1, times=4)
    assert (await run.rerun(failed=True)).run == 2
    assert await run.result() == "4 images, 4 wide"
    assert ran.count("list") == 1
    with pytest.raises(ConflictError):
        await run.rerun(failed=True)
    with pytest.raises(InvalidError, match="did you mean"):
        await run.rerun(["lst"])


async def test_policies_of_failures(kit: Testing[None]) -> None:
    """A node may run although one before it failed, be cancelled by it, or not count."""
    flow = Workflow("policies")
    broken = flow.add("broken", fails, optional=True)
    flow.add("runs", last, "x", after=[broken], after_failure="run")
    flow.add("ends", last, "y", after=[broken], after_failure="cancel", optional=True)
    run = await kit.client.run(flow)
    await run.result()
    assert {node.name: (node.state, node.reason) for node in await run.nodes()} == {
        "broken": (NodeState.DEAD, None),
        "runs": (NodeState.SUCCEEDED, None),
        "ends": (NodeState.CANCELLED, "parent_dead"),
    }


async def test_a_failure_may_cancel_the_rest(kit: Testing[None]) -> None:
    """With `on_failure="cancel"` the first dead node ends the workflow as failed; a cancelled one is cancelled."""
    flow = Workflow("ends", on_failure="cancel")
    flow.add("broken", fails)
    flow.add("later", last, "x", delay=3600)
    run = await kit.client.run(flow)
    with pytest.raises(WorkflowFailedError, match="failed"):
        await run.result(timeout=10)
    assert [node.state for node in await run.nodes()] == [NodeState.DEAD, NodeState.CANCELLED]
    other = await kit.client.run(chain(NewJob(last, "a"), last))
    assert (await other.cancel()).state is WorkflowState.CANCELLED
    with pytest.raises(ConflictError):
        await other.cancel()


async def test_inputs_that_cannot_be_made(kit: Testing[None]) -> None:
    """A node whose part of a result is missing is dead with the reason, and no job is made."""
    flow = Workflow("missing")
    images = flow.add("list", list_images, 1)
    flow.add("one", resize, images.result[7])
    run = await kit.client.run(flow)
    with pytest.raises(WorkflowFailedError):
        await run.result()
    [dead] = await run.nodes("failed")
    assert (dead.name, dead.reason, dead.job) == ("one", "input_missing", None)


async def test_what_is_no_graph_is_refused(kit: Testing[None]) -> None:
    """A workflow with a payload that its type refuses is not stored; one that is not there is not found."""
    flow = Workflow("broken")
    flow.add("list", "flow.list", "many")
    with pytest.raises(InvalidError, match="/nodes/list/payload"):
        await kit.client.run(flow)
    with pytest.raises(ApiError, match="there is no workflow"):
        await kit.client.workflow("WF_000001KBCSZ4000ABCDEFGHJKMNP")
    assert (await kit.client.workflows()).items == []


async def test_time_passes_for_a_workflow(kit: Testing[None]) -> None:
    """`advance` runs nodes at their time, and a wait that is too short leaves the workflow running."""
    flow = Workflow("later")
    flow.add("one", last, "x", delay=3600)
    run = await kit.client.run(flow)
    with pytest.raises(WaitTimeoutError):
        await run.result(timeout=60)
    await kit.advance(hours=2)
    assert await run.state() is WorkflowState.SUCCEEDED
    assert [one.id for one in (await kit.client.workflows(state="succeeded", name="later")).items] == [run.id]


async def test_items_get_their_parts(kit: Testing[None]) -> None:
    """A payload says what becomes of an item."""
    flow = Workflow("items")
    images = flow.add("list", list_images, 2)
    lists = flow.map("again", list_images, over=images.result, payload=ITEM)
    flow.returns(lists.result)
    assert await (await kit.client.run(flow)).result() == [[], [0]]


async def test_templates_fill_submissions_up(kit: Testing[None]) -> None:
    """A submission that names a template says the rest as it does; a template is shown, replaced and removed."""
    loud = NewJob(last, "loud", priority="low", tags={"a": "b"})
    await kit.client.put_template("shout", loud, description="What is loud")
    assert [one.name for one in (await kit.client.templates()).items] == ["shout"]
    handle = await kit.client.submit(last, "other", template="shout")
    assert await handle.result() == "OTHER"
    [job] = kit.submitted(last)
    assert (job.priority, job.tags) == ("low", {"a": "b"})
    assert (await kit.client.template("shout")).description == "What is loud"
    await kit.client.remove_template("shout")
    with pytest.raises(InvalidError, match="template"):
        await kit.client.submit(last, "other", template="shout")
    with pytest.raises(ApiError, match="there is no template"):
        await kit.client.template("shout")
