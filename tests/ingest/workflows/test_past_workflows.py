"""A workflow that Redis has forgotten is read, found in lists and refused to run again, from the history."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from history_databases import execute
from ingest.serving import Ingest, patient, problem, running_ingest
from ingest.workflows.test_workflows import PATH, submit
from msgspec.structs import replace

from millstream_contracts import (
    DEFAULT_TENANT,
    JobId,
    NodeInput,
    NodeItems,
    NodeState,
    WorkflowId,
    WorkflowNode,
    WorkflowState,
    WorkflowStatus,
    ms_of,
)
from millstream_history import EndedWorkflow, open_history
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker

BEGAN = datetime(2026, 11, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NODES = [
    WorkflowNode(
        name="list",
        type="album.list",
        state=NodeState.SUCCEEDED,
        job=JobId("album.list_00A"),
        started_at=BEGAN,
        finished_at=BEGAN + MINUTE / 4,
    ),
    WorkflowNode(
        name="thumb",
        type="image.resize",
        state=NodeState.DEAD,
        after=["list"],
        reason="items_failed",
        started_at=BEGAN + MINUTE / 4,
        finished_at=BEGAN + MINUTE,
        items=NodeItems(total=3, counts={NodeState.DEAD: 3}),
        inputs=[NodeInput(node="list", result_bytes=12)],
    ),
    WorkflowNode(name="index", type="album.index", state=NodeState.CANCELLED, after=["list", "thumb"], optional=True),
]


@pytest.fixture
async def ingest(broker: Broker, settings: IngestSettings, history_url: str) -> AsyncIterator[Ingest]:
    """Yield an ingest with an empty history."""
    async with running_ingest(patient(replace(settings, history_url=history_url))) as running:
        yield running


def ended(
    broker: Broker, at: datetime, *, name: str = "album", state: WorkflowState = WorkflowState.FAILED
) -> EndedWorkflow:
    """Return a workflow that began at this time and has ended."""
    workflow_id = broker.workflows.new_id(DEFAULT_TENANT, ms_of(at))
    status = WorkflowStatus(
        id=workflow_id,
        name=name,
        state=state,
        counts={NodeState.SUCCEEDED: 1, NodeState.DEAD: 1, NodeState.CANCELLED: 1},
        created_at=at,
        finished_at=at + MINUTE,
        result={"n": 7} if state is WorkflowState.SUCCEEDED else None,
    )
    return EndedWorkflow(
        tenant=DEFAULT_TENANT, status=status, place=float(ms_of(at)), turn=ms_of(at) * 1000, nodes=NODES
    )


async def store(url: str, *some: EndedWorkflow) -> list[WorkflowId]:
    """Store workflows in the history; return their ids."""
    async with open_history(url) as history:
        await history.workflows.store(some)
    return [one.status.id for one in some]


async def test_a_forgotten_workflow_is_read_with_its_nodes(ingest: Ingest, broker: Broker, history_url: str) -> None:
    """All of it is shown, page by page and by state, and where it comes from."""
    [workflow] = await store(history_url, ended(broker, BEGAN, state=WorkflowState.SUCCEEDED))
    first = await ingest.get(f"{PATH}/{workflow}", limit=2)
    assert (first["workflow"]["source"], first["workflow"]["state"], first["workflow"]["result"]) == (
        "history",
        "succeeded",
        {"n": 7},
    )
    second = await ingest.get(f"{PATH}/{workflow}", limit=2, cursor=first["next_cursor"])
    assert second["next_cursor"] is None
    nodes = first["nodes"] + second["nodes"]
    assert [node["name"] for node in nodes] == ["list", "thumb", "index"]
    assert (nodes[0]["job"], nodes[1]["items"], nodes[2]["after"]) == (
        "album.list_00A",
        {"total": 3, "counts": {"dead": 3}},
        ["list", "thumb"],
    )
    assert (nodes[0]["started_at"], nodes[0]["finished_at"]) == ("2026-11-01T12:00:00Z", "2026-11-01T12:00:15Z")
    assert "started_at" not in nodes[2]
    assert all("inputs" not in node for node in nodes)
    with_inputs = (await ingest.get(f"{PATH}/{workflow}", results=1))["nodes"]
    assert [node.get("inputs") for node in with_inputs] == [None, [{"node": "list", "result_bytes": 12}], None]
    failed = await ingest.get(f"{PATH}/{workflow}", nodes="failed")
    assert [node["name"] for node in failed["nodes"]] == ["thumb", "index"]


async def test_a_forgotten_workflow_does_not_run_again(ingest: Ingest, broker: Broker, history_url: str) -> None:
    """A rerun of it is refused with the reason, as gone; its cancellation as one that has ended."""
    [workflow] = await store(history_url, ended(broker, BEGAN))
    refused = await ingest.http.post(f"{PATH}/{workflow}/rerun", json={"failed": True})
    assert "submit it again" in problem(refused, 410, "workflow-forgotten")["detail"]
    refused = await ingest.http.post(f"{PATH}/{workflow}/cancel")
    assert "it is failed" in problem(refused, 409, "wrong-state")["detail"]


async def test_lists_have_both_in_the_order_of_their_creation(ingest: Ingest, broker: Broker, history_url: str) -> None:
    """Pages have each workflow once, newest first, whether Redis has it, the history, or both."""
    past = await store(history_url, *(ended(broker, BEGAN + at * MINUTE) for at in range(5)))
    live = [(await submit(ingest))["id"] for _ in range(3)]
    [both] = (await broker.workflows.read(DEFAULT_TENANT, [live[1]])).values()
    again = ended(broker, BEGAN)
    [place] = [one.place for one in (await broker.workflows.page(DEFAULT_TENANT))[0] if one.id == both.id]
    status = replace(again.status, id=both.id, created_at=BEGAN)
    await store(history_url, replace(again, status=status, place=place))
    found, cursor = [], ""
    while cursor is not None:
        page = await ingest.get(PATH, limit=2, **({"cursor": cursor} if cursor else {}))
        found += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
        assert page["complete"]
    assert found == [*live[::-1], *past[::-1]]
    # It was stored as failed, and has been run again since: Redis knows better.
    failed = await ingest.get(PATH, state="failed")
    assert [one["id"] for one in failed["items"]] == past[::-1]


async def test_lists_are_narrowed_by_name_and_time(ingest: Ingest, broker: Broker, history_url: str) -> None:
    """A name and the times of a submission leave out all others, of Redis and of the history."""
    early, late, other = await store(
        history_url,
        ended(broker, BEGAN),
        ended(broker, BEGAN + MINUTE),
        ended(broker, BEGAN + MINUTE, name="other"),
    )
    live = (await submit(ingest))["id"]

    async def listed(**query: str) -> list[str]:
        return [one["id"] for one in (await ingest.get(PATH, **query))["items"]]

    assert await listed(name="other") == [other]
    assert await listed(name="thumbnails") == [live]
    since = (BEGAN + MINUTE).isoformat().replace("+00:00", "Z")
    assert set(await listed(created_after=since)) == {live, late, other}
    assert await listed(created_before=since) == [early]
    assert set(await listed(created_after=since, created_before="2026-11-02", name="album")) == {late}
    problem(await ingest.http.get(f"{PATH}?name=No%20name"), 400, "bad-request")


async def test_without_the_database_what_redis_has_is_listed(ingest: Ingest, broker: Broker, history_url: str) -> None:
    """While the history cannot be read, lists have what Redis has and say so, and one that only it has is a 503."""
    [past] = await store(history_url, ended(broker, BEGAN))
    live = (await submit(ingest))["id"]
    await execute(history_url, "ALTER TABLE workflows RENAME TO elsewhere")
    page = await ingest.get(PATH)
    assert ([one["id"] for one in page["items"]], page["complete"]) == ([live], False)
    assert (await ingest.get(PATH, state="running"))["complete"]
    assert "source" not in (await ingest.get(f"{PATH}/{live}"))["workflow"]
    problem(await ingest.http.get(f"{PATH}/{past}"), 503, "history-unavailable")
