"""The pages of workflows over a real ingest, read without script."""

from datetime import timedelta

import msgspec
import pytest
from console.serving import Browser
from history_seeds import store_at
from ingest.workflows.test_past_workflows import BEGAN, ended, store
from streams.seeds import commit, job_of, seed_running

from millstream import Workflow, WorkflowNode, WorkflowStatus
from millstream_console.drawing.graph_layout import layout_of
from millstream_console.drawing.numbers import size
from millstream_console.pages.workflows import one_workflow, results, workflow_words
from millstream_console.pages.workflows.critical_path import critical_path, told
from millstream_contracts import DEFAULT_TENANT, JobId, JobType, NodeInput, NodeItems, NodeState, Queue, Waiting
from millstream_streams import Broker, FlowNews, NodeRef

HOSTILE = "<img src=x onerror=alert(1)>\u202e"


def album() -> Workflow:
    """Return a workflow of three nodes, of which one maps."""
    flow = Workflow("album.pages", on_failure="cancel")
    images = flow.add("list", "album.list", {"text": HOSTILE})
    thumbs = flow.map("resize", "album.resize", over=images.result["images"])
    flow.add("index", "album.index", {"sizes": thumbs.result}, optional=True)
    return flow


@pytest.fixture
async def workflow(console: Browser) -> str:
    """Submit a workflow, and return its id. No dispatcher runs: its first node is about to start."""
    return (await console.desk.client.run(album())).id


async def test_the_list_says_how_far_workflows_are(console: Browser, workflow: str) -> None:
    """A row has state, name and id, how many nodes are done, run and are dead, and a bar of them in words."""
    page = await console.get("/workflows")
    (row,) = page.rows()
    assert row.startswith(f"running album.pages {workflow} 0 /3 1 0 ")
    assert page.the(".flowbar")["aria-label"] == "1 starting, 2 waiting"


async def test_the_list_can_be_filtered(console: Browser, workflow: str) -> None:
    """Workflows are found by their state."""
    assert len((await console.get("/workflows", state="running")).rows()) == 1
    assert "No workflow is like that" in (await console.get("/workflows", state="stalled")).main


async def test_without_workflows_the_page_says_how_to_run_one(console: Browser) -> None:
    """An empty list shows the command that fills it."""
    assert "millstream workflows run" in (await console.get("/workflows")).main


async def test_a_workflow_shows_its_graph(console: Browser, workflow: str) -> None:
    """The graph is a drawing of links with an edge for each dependency, and says of each node what it is."""
    page = await console.get(f"/workflows/{workflow}")
    titles = [title.get_text() for title in page.all(".dag title")]
    assert titles == [
        "list, album.list: starting",
        "resize, album.resize: waiting, takes the result of list",
        "index, album.index: waiting, takes the result of resize",
    ]
    assert [edge["data-e"] for edge in page.all(".dag path.e")] == ["0-1", "1-2"]
    assert [one["class"] for one in page.all(".dag a")] == [["running"], ["waiting"], ["waiting"]]
    assert page.the(".dag")["aria-label"] == "Graph of 3 nodes; the table below lists them"
    assert "the others are cancelled" in page.main
    assert page.all("[style]") == []


async def test_results_are_told_at_edges_and_in_words(console: Browser, broker: Broker, workflow: str) -> None:
    """A node says whose results it takes, and how large those are that there are; so does the edge, and never more."""
    length = size(await succeed_first(broker, workflow, {"images": [HOSTILE]}))
    page = await console.get(f"/workflows/{workflow}")
    assert [(edge["data-e"], edge.get_text()) for edge in page.all(".dag text.of")] == [
        ("0-1", length),
        ("1-2", "result"),
    ]
    titles = [title.get_text() for title in page.all(".dag title")]
    assert titles[1].endswith(f", takes the result of list ({length})")
    assert titles[2].endswith(", takes the result of resize")
    rows = page.rows("#live_nodes tbody")
    assert [row for row in rows if f"takes list ({length})" in row and "resize" in row]
    assert HOSTILE not in page.main


async def succeed_first(broker: Broker, workflow: str, result: object) -> int:
    """Tell a workflow that its first node has succeeded, as a dispatcher does; return the bytes of the result."""
    [shard] = await broker.workflows.shards()
    packed = msgspec.msgpack.encode(result)
    await broker.workflows.note(shard, [FlowNews(workflow, "0", 1, JobId(""), "succeeded", "7", packed)])
    return len(packed)


def test_many_results_are_counted() -> None:
    """Of many results the first are named; names are text, and where nodes are drawn by groups edges have no words."""
    inputs = [NodeInput(node=f"n{at}", result_bytes=2048) for at in range(results.NAMED + 3)]
    told = results.said(node("a", inputs=inputs))
    assert told.startswith(", takes the results of n0 (2.0 KiB), n1")
    assert told.endswith(" and 3 more")
    assert results.said(node("a")) == ""
    drawn = workflow_words.drawn([node("b"), node("a", inputs=[NodeInput(node=HOSTILE)], after=["b"])], str, str)
    assert "<img" not in str(drawn)
    middle = [
        node(f"m{at}", after=["first"], inputs=[NodeInput(node="first")]) for at in range(workflow_words.DRAWN_NODES)
    ]
    assert 'class="of"' not in str(workflow_words.drawn([node("first"), *middle], address, address))


async def test_the_nodes_are_listed_and_filtered(console: Browser, workflow: str) -> None:
    """What stands in the way comes first; a filter shows nodes of a state."""
    rows = (await console.get(f"/workflows/{workflow}")).rows("#live_nodes tbody")
    assert [row.split()[:2] for row in rows] == [["starting", "list"], ["waiting", "resize"], ["waiting", "index"]]
    assert "optional" in rows[2]
    filtered = await console.get(f"/workflows/{workflow}", nodes="failed")
    assert "No node is like that." in filtered.main


async def test_a_workflow_that_there_is_not_is_a_page_that_says_so(console: Browser) -> None:
    """The page of an unknown workflow is 404."""
    await console.get("/workflows/WF_000001KBCSZ4000ABCDEFGHJKMNP", 404)


async def test_cancelling(console: Browser, workflow: str) -> None:
    """The toast says where the workflow is; what is cancelled cannot be cancelled again from its page."""
    assert "cancel" in (await console.post(f"/workflows/{workflow}/cancel")).toast
    assert (await console.get(f"/workflows/{workflow}")).all('#live_steer [commandfor="cancel"]') == []


async def test_one_of_the_history_says_so_and_cannot_run_again(
    archive: Browser, broker: Broker, history_url: str
) -> None:
    """A workflow that Redis has forgotten is listed and shown with its nodes; no button offers to run it again."""
    [past] = await store(history_url, ended(broker, BEGAN))
    assert past in (await archive.get("/workflows")).rows()[0]
    page = await archive.get(f"/workflows/{past}")
    assert "from the history" in page.the("#live_state").get_text()
    assert [row.split()[:2] for row in page.rows("#live_nodes tbody")] == [
        ["dead", "thumb"],
        ["cancelled", "index"],
        ["succeeded", "list"],
    ]
    assert page.all('[commandfor="rerun"]') == []
    assert page.all("#live_nodes form") == []


async def test_the_critical_path_is_drawn_and_said(archive: Browser, broker: Broker, history_url: str) -> None:
    """The chain that took longest stands out in the graph, and is told with the node that took most of it."""
    [past] = await store(history_url, ended(broker, BEGAN))
    page = await archive.get(f"/workflows/{past}")
    assert page.the("#critical").get_text() == (
        "Critical path: list → thumb. 2 nodes took 1 m, most of it in thumb (45 s)."
    )
    assert [edge["data-e"] for edge in page.all(".dag path.crit")] == ["0-1"]
    titles = [title.get_text() for title in page.all(".dag a.crit title")]
    assert titles == [
        "list, album.list: succeeded, on the critical path for 15 s",
        "thumb, image.resize: dead, items_failed, on the critical path for 45 s, takes the result of list (12 bytes)",
    ]
    rows = page.rows("#live_nodes tbody")
    assert [("critical" in row.split()) for row in rows] == [True, False, True]


async def test_a_rerun_that_cannot_be_says_why(console: Browser, workflow: str) -> None:
    """A refusal is told on the page from which it was asked for."""
    toast = (await console.post(f"/workflows/{workflow}/rerun", key="k")).toast
    assert "no node has failed" in toast
    toast = (await console.post(f"/workflows/{workflow}/rerun", node="lst", key="l")).toast
    assert "did you mean" in toast


async def test_a_job_that_waits_for_a_signal_gets_it_from_the_graph(
    archive: Browser, broker: Broker, history_url: str
) -> None:
    """What jobs of a workflow wait for is found, and a signal that is sent from there leads back there."""
    queue, client = Queue(DEFAULT_TENANT, JobType("album.approve")), archive.desk.client
    status = (await client.run(album())).id
    delivery = await seed_running(broker, queue, node=NodeRef(status, "0"))
    await commit(broker, delivery, Waiting("approved", 60_000))
    await store_at(history_url, queue, await job_of(broker, queue, delivery.id))
    assert await one_workflow._awaited(client, await client.workflow(status)) == {delivery.id: "approved"}
    page = await archive.post(f"/jobs/{delivery.id}/signal", name="approved", workflow=status)
    assert page.toast == "The job goes on."
    assert page.the("h1").text == "album.pages"
    assert await one_workflow._awaited(client, await client.workflow(status)) == {}


def test_a_node_says_which_signal_it_waits_for() -> None:
    """The box and its title have the signal, inert, of a node whose job runs; the others have their type."""
    waiting, other = node("ask", NodeState.STARTED, job="a_1"), node("go", after=["ask"])
    drawn = workflow_words.drawn([waiting, other], str, str, None, {JobId("a_1"): HOSTILE})
    assert "<img" not in str(drawn)
    assert "waits for the signal &lt;img" in str(drawn)
    assert workflow_words.signal_of(other, {JobId("a_1"): "x"}) == ""


def node(name: str, state: NodeState = NodeState.WAITING, **fields: object) -> WorkflowNode:
    """Return a node as the API shows it."""
    return WorkflowNode(name=name, type="a", state=state, **fields)  # type: ignore[arg-type]


def address(path: str) -> str:
    """Return an address as the console has it."""
    return path


def test_names_that_users_wrote_are_text() -> None:
    """A reason and a name are never markup in a drawing, and are cut there."""
    broken = node("x" * 60, NodeState.DEAD, reason=HOSTILE, job="a_1")
    drawing = workflow_words.drawn([broken], address, address)
    assert drawing is not None
    assert "<img" not in drawing
    assert "&lt;img" in drawing
    assert "xxx…</text>" in drawing
    trouble = workflow_words.trouble_of(status(dead=1), [broken], address)
    assert trouble is not None
    assert "<img" not in trouble


def status(**counts: int) -> WorkflowStatus:
    """Return a workflow that is stalled, with so many nodes in each state."""
    from datetime import UTC, datetime

    from millstream_contracts import WorkflowId, WorkflowState

    by_state = {NodeState(state): count for state, count in counts.items()}
    return WorkflowStatus(
        id=WorkflowId("WF_1"), name="a", state=WorkflowState.STALLED, counts=by_state, created_at=datetime.now(UTC)
    )


def test_large_graphs_are_drawn_by_groups() -> None:
    """Nodes of a type that are equally far from the beginning are one box, with the loudest of their states."""
    count = workflow_words.DRAWN_NODES
    middle = [
        node(f"m{at}", NodeState.DEAD if at == 7 else NodeState.SUCCEEDED, after=["first"]) for at in range(count)
    ]
    drawing = workflow_words.drawn([node("first"), *middle], address, address)
    assert drawing is not None
    assert drawing.count("<rect") == 2
    assert f"{count} nodes of a: 1 dead, {count - 1} succeeded" in drawing
    chain = [node(f"n{at}", after=[f"n{at - 1}"] if at else []) for at in range(workflow_words.DRAWN_GROUPS + 1)]
    assert workflow_words.drawn(chain, address, address) is None


def timed(name: str, begin: float, end: float | None, *after: str) -> WorkflowNode:
    """Return a node that began and ended so many seconds after the beginning."""
    over = None if end is None else BEGAN + timedelta(seconds=end)
    return node(
        name,
        NodeState.STARTED if end is None else NodeState.SUCCEEDED,
        after=list(after),
        started_at=BEGAN + timedelta(seconds=begin),
        finished_at=over,
    )


def test_the_path_goes_through_what_took_longest() -> None:
    """Of two branches the path has the longer one, with what runs until now, and nothing that waits."""
    nodes = [
        timed("a", 0, 10),
        timed("short", 10, 12, "a"),
        timed("long", 10, 50, "a"),
        timed("join", 50, None, "short", "long"),
        node("later", after=["join"]),
    ]
    path = critical_path(nodes, BEGAN + timedelta(seconds=55))
    assert path is not None
    assert path.took_s == {"a": 10.0, "long": 40.0, "join": 5.0}
    assert (path.longest, path.total_s) == ("long", 55.0)
    assert critical_path([timed("a", 0, 10), timed("b", 0, 20)], BEGAN) is None
    assert critical_path([node("a"), node("b", after=["a"])], BEGAN) is None


def test_a_path_of_a_grouped_graph_stands_out_too() -> None:
    """Where nodes are drawn by groups, those with the path and the line between them stand out."""
    middle = [timed(f"m{at}", 1, 2 + at, "first") for at in range(workflow_words.DRAWN_NODES)]
    nodes = [timed("first", 0, 1), *middle, node("other")]
    drawing = workflow_words.drawn(nodes, address, address, critical_path(nodes, BEGAN))
    assert drawing is not None
    assert drawing.count(' crit"') == 3
    assert drawing.count('class="e crit"') == 1


def test_a_long_path_is_shortened_in_words() -> None:
    """Of a path with many nodes the first and the last are named, the others counted; names are text."""
    names = [f"n{at}" for at in range(9)] + [HOSTILE]
    nodes = [timed(name, at, at + 1, *names[at - 1 : at]) for at, name in enumerate(names)]
    path = critical_path(nodes, BEGAN)
    assert path is not None
    text = told(path, status(dead=1))
    assert "so far" in text
    assert "4 more" in text
    assert "<img" not in text


def test_items_of_a_map_are_counted() -> None:
    """A node with `map` says how many of its jobs have succeeded, and that its list is not known yet."""
    items = NodeItems(total=1200, counts={NodeState.SUCCEEDED: 390})
    assert workflow_words.items_of(node("a", items=items)) == "390 of 1,200"
    assert workflow_words.items_of(node("a", items=NodeItems())) == "a list"
    assert workflow_words.items_of(node("a")) == ""


def test_no_boxes_lie_upon_each_other() -> None:
    """Each box has room of its own, children stand behind their parents, and what is too wide goes downwards."""
    parents = ((), (0,), (0,), (1, 2), (0, 3), (3,), (3,), (4, 5, 6), ())
    for room, is_down in ((10_000, False), (200, True)):
        layout = layout_of(parents, 150, 40, room)
        assert len(layout.paths) == sum(map(len, parents))
        along = [y if is_down else x for x, y in layout.corners]
        assert all(along[parent] < along[child] for child, before in enumerate(parents) for parent in before)
        for at, (x, y) in enumerate(layout.corners):
            assert 0 <= x <= layout.width - 150
            assert 0 <= y <= layout.height - 40
            assert all(abs(x - x2) >= 150 or abs(y - y2) >= 40 for x2, y2 in layout.corners[at + 1 :])


def test_a_tree_is_drawn_without_crossings() -> None:
    """Children are ordered like their parents, whatever order they were submitted in."""
    parents = ((), (), (), (2,), (1,), (0,), (3,), (5,), (4,))
    layout = layout_of(parents, 150, 40, 10_000)
    rows = {parent: layout.corners[parent][1] for parent in range(9)}
    first = sorted((0, 1, 2), key=rows.__getitem__)
    assert [rows[child] for child in ({0: 5, 1: 4, 2: 3}[parent] for parent in first)] == sorted(
        rows[child] for child in (3, 4, 5)
    )
