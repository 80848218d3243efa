"""Each node of a workflow runs once and after all before it, whatever dispatchers die of between two steps."""

from collections.abc import Sequence

import anyio
import msgspec
import pytest
from dispatcher.workflows.conftest import DEAD, QUEUES, Mill, T, node
from msgspec.structs import replace
from streams.seeds import commit, job_of, make_due

from millstream_contracts import Cancelled, JobId, NodeState, Succeeded, Tenant, WorkflowId, WorkflowState, limits
from millstream_dispatcher.workflows.closer import WorkflowCloser
from millstream_streams import (
    WORKFLOW_KIND,
    ActionCode,
    Broker,
    CreateCode,
    FlowNews,
    StoreFullError,
    StoreUnavailableError,
)
from millstream_telemetry import JobTracer

DIAMOND = ((), (0,), (0,), (1, 2))


def diamond() -> list:  # type: ignore[type-arg]
    """Return four nodes over three queues."""
    return [node(name, parents, at=at) for at, (name, parents) in enumerate(zip("abcd", DIAMOND, strict=True))]


async def test_nodes_run_in_order_and_the_workflow_succeeds(mill: Mill) -> None:
    """Each node starts once all before it have succeeded, in whatever queue; then the workflow has succeeded."""
    workflow = await mill.create(diamond())
    assert await mill.states(workflow) == {
        "a": NodeState.STARTING, "b": NodeState.WAITING, "c": NodeState.WAITING, "d": NodeState.WAITING
    }  # fmt: skip
    ran = await mill.work()
    assert (ran[0], sorted(ran[1:3]), ran[3:]) == ("a", ["b", "c"], ["d"])
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED
    found = await mill.read(workflow)
    assert found.finished_at_ms is not None
    assert found.finished_at_ms >= found.created_at_ms


async def test_a_job_is_the_one_that_was_decided_on(mill: Mill) -> None:
    """The job of a node has the id that the submission named, and the node shows it once it is started."""
    new = mill.new([node("a"), node("b", [0])])
    await mill.broker.workflows.create(T, new)
    assert [one.job_id for one in await mill.nodes(new.id)] == [None, None]
    await mill.turn()
    assert [one.job_id for one in await mill.nodes(new.id)] == [new.nodes[0].job_id, None]
    assert (await job_of(mill.broker, QUEUES[0], new.nodes[0].job_id)).state == "queued"
    await mill.work()
    assert [one.job_id for one in await mill.nodes(new.id)] == [one.job_id for one in new.nodes]
    assert [one.parents for one in await mill.nodes(new.id)] == [(), ("a",)]


async def test_jobs_of_nodes_are_of_who_has_submitted_the_workflow(mill: Mill) -> None:
    """The job of a node says who has submitted its workflow."""
    new = replace(mill.new([node("a"), node("b")]), owner="7Kq2vXbA")
    await mill.broker.workflows.create(T, new)
    other = mill.new([node("a")])
    await mill.broker.workflows.create(T, other)
    await mill.turn()
    owners = {"7Kq2vXbA": new.nodes, None: other.nodes}
    for owner, nodes in owners.items():
        for one in nodes:
            assert (await job_of(mill.broker, one.queue, one.job_id)).submitted_by == owner


async def test_results_reach_the_nodes_that_refer_to_them(mill: Mill) -> None:
    """A result is put into the payload of the node that refers to it; one to which nothing refers is not kept."""
    payload = {"name": "c", "of": {"$result": "a"}, "whole": [{"$result": "b", "path": "/1"}]}
    nodes = [node("a"), node("b"), node("c", [0, 1], inputs=[0, 1], payload=payload), node("d", [0])]
    workflow = await mill.create(nodes, result_inputs=[2])
    await mill.turn()
    for name, one in (await mill.claim()).items():
        result = {"a": b"\x01", "b": b"\x92\x02\x03"}[name]
        await commit(mill.broker, one, Succeeded(result))
    await mill.turn()
    assert mill.payload((await mill.claim())["c"]) == {"name": "c", "of": 1, "whole": [3]}
    assert await mill.broker.workflows.results(T, workflow, [0, 1, 3]) == {0: b"\x01", 1: b"\x92\x02\x03"}


async def test_a_reference_that_leads_nowhere_makes_the_node_dead(mill: Mill) -> None:
    """A node of which no job can be made is dead with the reason, and keeps those behind it waiting."""
    broken = node("b", [0], inputs=[0], payload={"name": "b", "x": {"$result": "a", "path": "/no"}})
    workflow = await mill.create([node("a"), broken, node("c", [1])])
    assert await mill.work() == ["a"]
    assert await mill.state(workflow) is WorkflowState.STALLED
    (_, dead, _) = await mill.nodes(workflow)
    assert (dead.state, dead.reason, dead.job_id) == (NodeState.DEAD, "input_missing", None)


async def test_many_dispatchers_start_each_node_once(mill: Mill) -> None:
    """Of many dispatchers that take nodes and news whose leases are over, each node is started by one."""
    workflow = await mill.create(
        [node("a"), *(node(f"b{at}", [0], at=at) for at in range(20)), node("z", range(1, 21))]
    )
    ran = []
    for _ in range(3):
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(mill.starter().run_once)
                    tasks.start_soon(mill.messenger().run_once)
            await mill.free_leases()
        for name, one in (await mill.claim()).items():
            ran.append(name)
            await commit(mill.broker, one)
    await mill.turn()
    assert sorted(ran) == sorted(["a", "z", *(f"b{at}" for at in range(20))])
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED


async def test_a_start_that_comes_after_the_lease_is_refused(mill: Mill) -> None:
    """A dispatcher that slept until another may have started a node starts nothing, also when its job is forgotten."""
    workflow = await mill.create([node("a")])
    shard = WORKFLOW_KIND.shard_of(T, workflow)
    assert shard is not None
    taken = await mill.broker.workflows.take_starts(shard, 10)
    slow = mill.starter()
    await mill.free_leases()
    assert await mill.work() == ["a"]
    (job_id,) = [one.job_id for one in await mill.nodes(workflow)]
    await mill.broker.client.delete(mill.broker.keys.of(QUEUES[0]).job(str(job_id)))
    done, failure = await slow._carry_out(T, taken.tasks, anyio.current_time() - 1000.0)
    assert done == []
    assert isinstance(failure, StoreUnavailableError)
    assert await mill.claim() == {}


async def test_a_workflow_that_ends_beside_a_queue_that_is_away_has_its_trace_ended(
    mill: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The span of a workflow is written also where its last node is confirmed before a pass fails."""
    mill.closer = closer = Noting(mill.broker, JobTracer(None))
    refused = await mill.create([node("a", payload="x" * (limits.MAX_PAYLOAD_BYTES + 1))])
    await mill.create([node("b", at=1)])

    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(type(mill.broker.store), "enqueue", away)
        with pytest.raises(StoreUnavailableError):
            await mill.starter().run_once()
    assert await mill.state(refused) is WorkflowState.FAILED
    assert closer.ended == [refused]


class Noting(WorkflowCloser):
    """Notes which workflows have ended."""

    def __init__(self, broker: Broker, tracer: JobTracer) -> None:
        super().__init__(broker, tracer)
        self.ended: list[WorkflowId] = []

    async def close(self, tenant: Tenant, ended: Sequence[WorkflowId]) -> None:
        """Note these workflows."""
        self.ended += ended


async def test_a_dispatcher_that_died_before_it_confirmed_leaves_one_job(mill: Mill) -> None:
    """A node that was started and not confirmed is taken again, and its end may be told before it is confirmed."""
    workflow = await mill.create([node("a"), node("b", [0])])
    await mill.unconfirmed_starter().run_once()
    assert (await mill.states(workflow))["a"] is NodeState.STARTING
    (one,) = (await mill.claim()).values()
    await commit(mill.broker, one)
    await mill.messenger().run_once()
    assert (await mill.states(workflow))["a"] is NodeState.SUCCEEDED
    await mill.free_leases()
    assert await mill.work() == ["b"]
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED


async def test_news_that_are_told_again_change_nothing(mill: Mill) -> None:
    """News of a node count once, and older ones and those of another run not at all."""
    workflow = await mill.create([node("a"), node("b", [0]), node("c", [0, 1])])
    shard = WORKFLOW_KIND.shard_of(T, workflow)
    assert shard is not None
    for run, state, version in ((2, "succeeded", "9"), (1, "succeeded", "3"), (1, "succeeded", "3"), (1, "dead", "2")):
        await mill.broker.workflows.note(shard, [FlowNews(workflow, "0", run, JobId(""), state, version)] * 2)
    assert await mill.states(workflow) == {
        "a": NodeState.SUCCEEDED, "b": NodeState.STARTING, "c": NodeState.WAITING
    }  # fmt: skip
    assert await mill.state(workflow) is WorkflowState.RUNNING
    await mill.claim()


async def test_a_job_is_kept_until_its_workflow_knows_of_its_end(mill: Mill) -> None:
    """The job of a node has no TTL until its workflow was told, and one after that."""
    await mill.create([node("a")])
    await mill.turn()
    (one,) = (await mill.claim()).values()
    await commit(mill.broker, one)
    key = mill.broker.keys.of(one.queue).job(one.id)
    assert await mill.broker.client.pttl(key) == -1
    await mill.turn()
    assert await mill.broker.client.pttl(key) > 0


@pytest.mark.parametrize(
    ("policy", "states"),
    [
        ("wait", ("dead", "waiting", "waiting", "stalled")),
        ("cancel", ("dead", "cancelled", "cancelled", "failed")),
        ("run", ("dead", "succeeded", "succeeded", "failed")),
    ],
)
async def test_nodes_behind_a_dead_one_do_as_they_say(mill: Mill, policy: str, states: tuple[str, ...]) -> None:
    """A node waits, is cancelled or runs when the one before it is dead; so do those behind it."""
    nodes = [node("a"), node("b", [0], after_failure=policy), node("c", [1])]  # type: ignore[arg-type]
    workflow = await mill.create(nodes)
    await mill.work({"a": DEAD})
    assert (*(await mill.states(workflow)).values(), await mill.state(workflow)) == states


async def test_an_edge_counts_once_also_after_a_redrive(mill: Mill) -> None:
    """A node that runs after failures does not start by a node alone that died and then succeeded."""
    workflow = await mill.create([node("a"), node("b"), node("z", [0, 1], after_failure="run")])
    await mill.turn()
    taken = await mill.claim()
    await commit(mill.broker, taken["a"], DEAD)
    await mill.turn()
    assert await mill.broker.store.redrive(QUEUES[0], [taken["a"].id]) == [ActionCode.DONE]
    assert await mill.work() == ["a"]
    assert (await mill.states(workflow))["z"] is NodeState.WAITING
    await commit(mill.broker, taken["b"])
    assert await mill.work() == ["z"]


@pytest.mark.parametrize("policy", ["wait", "cancel", "run"])
async def test_a_redriven_node_goes_on(mill: Mill, policy: str) -> None:
    """A redrive of a dead node has those go on that waited for it, and repeats nothing of what was done meanwhile."""
    nodes = [node("a"), node("b", [0], after_failure=policy), node("c")]  # type: ignore[arg-type]
    workflow = await mill.create(nodes)
    first = await mill.work({"a": DEAD})
    (dead, *_) = await mill.nodes(workflow)
    assert dead.job_id is not None
    assert await mill.broker.store.redrive(QUEUES[0], [dead.job_id]) == [ActionCode.DONE]
    await mill.turn()
    assert await mill.state(workflow) is WorkflowState.RUNNING
    again = await mill.work()
    assert again == (["a", "b"] if policy == "wait" else ["a"])
    assert (first.count("b"), again.count("b")) == (int(policy == "run"), int(policy == "wait"))
    ends = WorkflowState.FAILED if policy == "cancel" else WorkflowState.SUCCEEDED
    assert await mill.state(workflow) is ends


async def test_a_node_behind_a_cancelled_one_is_cancelled(mill: Mill) -> None:
    """A node behind a cancelled one is cancelled, unless it runs after failures."""
    nodes = [node("a"), node("b", [0]), node("c", [0], after_failure="run"), node("d", [1])]
    workflow = await mill.create(nodes)
    assert await mill.work({"a": Cancelled("cancelled")}) == ["a", "c"]
    states = await mill.states(workflow)
    assert (states["b"], states["c"], states["d"]) == (
        NodeState.CANCELLED, NodeState.SUCCEEDED, NodeState.CANCELLED
    )  # fmt: skip
    assert [one.reason for one in await mill.nodes(workflow)][1] == "parent_cancelled"
    assert await mill.state(workflow) is WorkflowState.FAILED


async def test_an_optional_node_that_failed_does_not_count(mill: Mill) -> None:
    """A workflow succeeds when all nodes have that are not optional."""
    nodes = [node("a"), node("b", [0], optional=True), node("c", [1], after_failure="run")]
    workflow = await mill.create(nodes)
    await mill.work({"b": DEAD})
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED


async def test_the_first_dead_node_cancels_the_rest_where_it_is_asked_for(mill: Mill) -> None:
    """With `on_failure: cancel` a dead node cancels what waits and what is queued, and the workflow has failed."""
    nodes = [node("a"), node("b"), node("c", [1]), node("d", [2])]
    workflow = await mill.create(nodes, on_failure="cancel")
    await mill.turn()
    taken = await mill.claim()
    await commit(mill.broker, taken["a"], DEAD)
    await mill.turn()
    assert await mill.state(workflow) is WorkflowState.CANCELLING
    assert (await job_of(mill.broker, QUEUES[0], taken["b"].id)).cancel_requested
    await commit(mill.broker, taken["b"], Cancelled("cancelled"))
    assert await mill.work() == []
    assert await mill.state(workflow) is WorkflowState.FAILED
    assert (await mill.read(workflow)).reason == "node_failed"


async def test_a_cancelled_workflow_ends(mill: Mill) -> None:
    """Nodes that wait are cancelled, queued jobs too, running ones are asked to stop, and then it is cancelled."""
    workflow = await mill.create([node("a"), node("b"), node("c", [0]), node("d", [2])])
    await mill.turn()
    taken = await mill.claim()
    assert await mill.broker.workflows.cancel(T, workflow) is ActionCode.REQUESTED
    assert await mill.broker.workflows.cancel(T, workflow) is ActionCode.DONE_BEFORE
    await mill.turn()
    assert await mill.state(workflow) is WorkflowState.CANCELLING
    await commit(mill.broker, taken["a"])
    await commit(mill.broker, taken["b"], Cancelled("cancelled"))
    assert await mill.work() == []
    assert list((await mill.states(workflow)).values()) == ["succeeded", "cancelled", "cancelled", "cancelled"]
    assert await mill.state(workflow) is WorkflowState.CANCELLED
    assert await mill.broker.workflows.cancel(T, workflow) is ActionCode.WRONG_STATE
    assert await mill.broker.workflows.cancel(T, WorkflowId("WF_00" + "0" * 26)) is ActionCode.UNKNOWN_JOB
    assert await mill.broker.workflows.cancel(T, WorkflowId("no id")) is ActionCode.UNKNOWN_JOB


async def test_a_cancelled_node_that_was_not_stored_never_is(mill: Mill) -> None:
    """A node whose start is under way when its workflow is cancelled is looked at after the lease: no job, no start."""
    workflow = await mill.create([node("a")])
    shard = WORKFLOW_KIND.shard_of(T, workflow)
    assert shard is not None
    await mill.broker.workflows.take_starts(shard, 10)
    await mill.broker.workflows.cancel(T, workflow)
    await mill.turn()
    assert await mill.state(workflow) is WorkflowState.CANCELLING
    await mill.free_leases()
    assert await mill.work() == []
    assert await mill.state(workflow) is WorkflowState.CANCELLED


async def test_a_cancelled_node_that_was_stored_meanwhile_is_ended(mill: Mill) -> None:
    """A dispatcher that stores a job while its workflow is cancelled confirms it, and the job is cancelled then."""
    workflow = await mill.create([node("a")])
    await mill.unconfirmed_starter().run_once()
    await mill.broker.workflows.cancel(T, workflow)
    await mill.free_leases()
    assert await mill.work() == []
    assert await mill.state(workflow) is WorkflowState.CANCELLED
    (one,) = await mill.nodes(workflow)
    assert (one.state, one.job_id is not None) == (NodeState.CANCELLED, True)


async def test_a_request_with_a_key_makes_one_workflow(mill: Mill) -> None:
    """A repetition finds the workflow of the first request, and another request with its key is refused."""
    first = await mill.broker.workflows.create(T, mill.new([node("a")], key="k"))
    again = await mill.broker.workflows.create(T, mill.new([node("a")], key="k"))
    other = await mill.broker.workflows.create(T, mill.new([node("a")], key="k", fingerprint="beef"))
    assert [one.code for one in (first, again, other)] == [
        CreateCode.STORED, CreateCode.REPLAYED, CreateCode.KEY_REUSED
    ]  # fmt: skip
    assert {one.id for one in (first, again, other)} == {first.id}
    assert await mill.work() == ["a"]


async def test_a_key_outlives_its_workflow(mill: Mill) -> None:
    """A repetition that arrives when the workflow was forgotten makes no second one."""
    first = await mill.broker.workflows.create(T, mill.new([node("a")], key="k"))
    await mill.work()
    await mill.make_checked(first.id)
    await mill.auditor().run_once()
    assert await mill.broker.workflows.read(T, [first.id]) == {}
    again = await mill.broker.workflows.create(T, mill.new([node("a")], key="k"))
    assert again.code is CreateCode.REPLAYED
    assert await mill.work() == []


async def test_a_large_workflow_is_stored_and_walked_in_parts(mill: Mill) -> None:
    """A thousand and more nodes behind one run once each, and the last one after all of them."""
    count = 2300
    nodes = [node("a"), *(node(f"b{at}", [0], at=at) for at in range(count)), node("z", range(1, count + 1))]
    workflow = await mill.create(nodes)
    ran = await mill.work()
    assert (ran[0], ran[-1]) == ("a", "z")
    assert sorted(ran[1:-1]) == sorted(f"b{at}" for at in range(count))
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED
    page, following = await mill.broker.workflows.nodes(T, workflow, start=5, limit=3)
    assert ([one.place for one in page], following) == ([5, 6, 7], 8)


async def test_a_draft_does_not_run_and_is_dropped(mill: Mill) -> None:
    """A workflow of which some nodes are missing starts nothing, cannot be seen, and is dropped after a while."""
    new = mill.new([node("a"), *(node(f"b{at}") for at in range(600))])
    await mill.store_first_part(new)
    assert await mill.work() == []
    assert await mill.broker.workflows.read(T, [new.id]) == {}
    assert await mill.broker.workflows.page(T) == ([], None)
    await mill.make_checked(new.id)
    await mill.auditor().run_once()
    assert await mill.keys_of(new.id) == []


async def test_a_repeated_request_goes_on_with_a_draft(mill: Mill) -> None:
    """A submitter that dies in the middle leaves a draft, with which a repetition goes on."""
    new = mill.new([node("a"), *(node(f"b{at}", [0]) for at in range(600))], key="k")
    await mill.store_first_part(new)
    assert (await mill.broker.workflows.create(T, new)).code is CreateCode.STORED
    assert len(await mill.work()) == 601
    assert await mill.state(new.id) is WorkflowState.SUCCEEDED


async def test_workflows_are_listed_newest_first(mill: Mill) -> None:
    """Pages have all workflows once, newest first, and only those in the states that are asked for."""
    made = []
    for _ in range(7):
        made.append(await mill.create([node("a")]))
        await mill.pass_a_millisecond()
    found, start = [], None
    while True:
        page, start = await mill.broker.workflows.page(T, start=start, limit=3)
        found += [one.id for one in page]
        if start is None:
            break
    assert found == made[::-1]
    await mill.broker.workflows.cancel(T, made[3])
    await mill.work()
    states = frozenset({WorkflowState.CANCELLED})
    page, _ = await mill.broker.workflows.page(T, states=states, limit=2)
    assert [one.id for one in page] == [made[3]]


async def test_an_ended_workflow_is_forgotten_with_all_that_is_stored_of_it(mill: Mill) -> None:
    """The auditor forgets a workflow when its retention is over, and not before."""
    nodes = [node("a"), node("b", [0], inputs=[0], payload={"name": "b", "a": {"$result": "a"}})]
    workflow = await mill.create(nodes)
    await mill.work()
    await mill.auditor().run_once()
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED
    await mill.make_checked(workflow)
    await mill.auditor().run_once()
    assert await mill.keys_of(workflow) == []
    assert await mill.broker.workflows.page(T) == ([], None)


async def test_the_auditor_starts_again_what_redis_has_lost(mill: Mill) -> None:
    """A started node whose job is gone is started again; one whose job goes on, or has ended, is left or told of."""
    workflow = await mill.create([node("lost"), node("runs"), node("untold")])
    await mill.turn()
    taken = await mill.claim()
    await mill.broker.client.delete(mill.broker.keys.of(QUEUES[0]).job(taken["lost"].id))
    await commit(mill.broker, taken["untold"])
    await mill.broker.client.delete(mill.broker.keys.of(QUEUES[0]).outbox)
    await mill.make_checked(workflow)
    await mill.auditor().run_once()
    assert await mill.work() == ["lost"]
    assert await mill.states(workflow) == {
        "lost": NodeState.SUCCEEDED, "runs": NodeState.STARTED, "untold": NodeState.SUCCEEDED
    }  # fmt: skip
    assert mill.registry.get_sample_value("millstream_workflow_repairs_total", {"what": "restarted"}) == 1


async def test_an_erased_job_is_a_cancelled_node(mill: Mill) -> None:
    """A node whose job was erased is cancelled, and is not started again."""
    workflow = await mill.create([node("a"), node("b", [0])])
    await mill.turn()
    (one, _) = await mill.nodes(workflow)
    assert one.job_id is not None
    assert await mill.broker.store.erase(QUEUES[0], [one.job_id]) == [ActionCode.DONE]
    await mill.make_checked(workflow)
    await mill.auditor().run_once()
    assert await mill.work() == []
    assert set((await mill.states(workflow)).values()) == {NodeState.CANCELLED}
    assert await mill.broker.client.exists(mill.broker.keys.of(QUEUES[0]).erased) == 0


async def test_a_delay_counts_from_the_start_of_a_node(mill: Mill) -> None:
    """A node with a delay is scheduled when those before it have succeeded."""
    workflow = await mill.create([node("a"), node("b", [0], delay_s=3600.0)])
    assert await mill.work() == ["a"]
    (_, later) = await mill.nodes(workflow)
    assert later.job_id is not None
    assert (await job_of(mill.broker, QUEUES[0], later.job_id)).state == "scheduled"
    await make_due(mill.broker, QUEUES[0], [later.job_id])
    await mill.broker.store.release_due(QUEUES[0])
    assert await mill.work() == ["b"]


async def test_results_beyond_the_bound_make_their_node_dead(mill: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result for which a workflow has no room makes its node dead with a reason."""
    monkeypatch.setattr(limits, "MAX_RESULT_BYTES", limits.MAX_WORKFLOW_RESULTS_BYTES * 2)
    workflow = await mill.create([node("a"), node("b", [0], inputs=[0], payload={"name": "b"})])
    shard = WORKFLOW_KIND.shard_of(T, workflow)
    assert shard is not None
    large = b"\xc6" + (limits.MAX_WORKFLOW_RESULTS_BYTES + 1).to_bytes(4) + bytes(limits.MAX_WORKFLOW_RESULTS_BYTES + 1)
    await mill.broker.workflows.note(shard, [FlowNews(workflow, "0", 1, JobId(""), "succeeded", "3", large)])
    (dead, _) = await mill.nodes(workflow)
    assert (dead.state, dead.reason) == (NodeState.DEAD, "results_too_large")


async def test_inputs_are_told_with_their_sizes(mill: Mill) -> None:
    """A node tells whose results it takes, and how many bytes each has; before the end of that node it has none."""
    payload = {"name": "c", "a": {"$result": "a"}, "b": {"$result": "b", "default": 0}}
    nodes = [node("a"), node("b", [0]), node("c", [0, 1], inputs=[0, 1], payload=payload)]
    workflow = await mill.create(nodes)
    assert await mill.broker.workflows.inputs(T, workflow, [1, 2]) == {1: [], 2: [("a", None), ("b", None)]}
    shard = WORKFLOW_KIND.shard_of(T, workflow)
    assert shard is not None
    result = msgspec.msgpack.encode("of a")
    await mill.broker.workflows.note(shard, [FlowNews(workflow, "0", 1, JobId(""), "succeeded", "3", result)])
    assert await mill.broker.workflows.inputs(T, workflow, [2]) == {2: [("a", len(result)), ("b", None)]}


@pytest.mark.parametrize("part", ["", "nodes", "graph", "live", "edges", "results"])
async def test_garbage_in_a_key_stops_one_workflow(mill: Mill, part: str) -> None:
    """A key that another program wrote stops its workflow, and neither another one nor a duty."""
    payload = {"name": "b", "a": {"$result": "a"}}
    torn = await mill.create([node("x"), node("y", [0])])
    sound = await mill.create([node("a"), node("b", [0], inputs=[0], payload=payload)])
    await mill.turn()
    shard = WORKFLOW_KIND.shard_of(T, torn)
    assert shard is not None
    key = mill.broker.keys.of_workflows(shard).part(torn, part)
    await mill.broker.client.delete(key)
    await mill.broker.client.lpush(key, "garbage")
    assert {"a", "b"} <= set(await mill.work())
    assert await mill.state(sound) is WorkflowState.SUCCEEDED
    await mill.make_checked(torn)
    await mill.auditor().run_once()
    await mill.broker.workflows.read(T, [torn])
    await mill.broker.workflows.nodes(T, torn)
    await mill.broker.workflows.inputs(T, torn, [0, 1])
    await mill.broker.workflows.page(T)
    await mill.broker.client.delete(key)


async def test_a_full_redis_takes_no_workflow_and_goes_on_with_those_it_has(roomy: Mill) -> None:
    """While Redis is full no workflow is stored; ends are told, and nodes start when there is room again."""
    mill = roomy
    workflow = await mill.create([node("a"), node("b", [0])])
    await mill.turn()
    (one,) = (await mill.claim()).values()
    await mill.broker.client.config_set("maxmemory", 1)
    with pytest.raises(StoreFullError):
        await mill.broker.workflows.create(T, mill.new([node("c")]))
    await commit(mill.broker, one)
    await mill.messenger().run_once()
    assert (await mill.states(workflow))["b"] is NodeState.STARTING
    with pytest.raises(StoreFullError):
        await mill.starter().run_once()
    await mill.broker.client.config_set("maxmemory", 0)
    await mill.free_leases()
    assert await mill.work() == ["b"]
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED


async def test_a_node_that_waits_names_what_holds_it(mill: Mill) -> None:
    """Of the nodes before it those are named that have not ended, or are dead where that keeps it waiting."""
    nodes = [
        node("done"),
        node("dead", at=1),
        node("runs", at=2),
        node("waits", [0, 1, 2]),
        node("goes on", [1, 2], at=1, after_failure="run"),
    ]
    workflow = await mill.create(nodes)
    await mill.turn()
    taken = await mill.claim()
    await commit(mill.broker, taken["done"])
    await commit(mill.broker, taken["dead"], DEAD)
    await mill.turn()
    held = {one.name: dict(one.waits_for) for one in await mill.nodes(workflow)}
    assert held == {
        "done": {},
        "dead": {},
        "runs": {},
        "waits": {"dead": NodeState.DEAD, "runs": NodeState.STARTED},
        "goes on": {"runs": NodeState.STARTED},
    }


async def test_nodes_have_their_times(mill: Mill) -> None:
    """A node begins when the last before it has ended, however; one that never could begin has no times."""
    workflow = await mill.create([node("a"), node("b", [0]), node("c", [1], after_failure="cancel")])
    waiting = {one.name: (one.began_at_ms, one.ended_at_ms) for one in await mill.nodes(workflow)}
    created = (await mill.read(workflow)).created_at_ms
    assert waiting == {"a": (created, None), "b": (None, None), "c": (None, None)}
    await mill.work({"b": DEAD})
    a, b, c = [(one.began_at_ms, one.ended_at_ms) for one in await mill.nodes(workflow)]
    assert a[0] == created
    assert a[1] is not None
    assert b[0] == a[1]
    assert b[1] is not None
    assert b[1] >= a[1] >= created
    assert c == (None, None)


async def test_a_lost_job_that_was_redriven_is_told_of_in_its_second_life(mill: Mill) -> None:
    """A job that Redis loses after a redrive starts anew, and its end counts although its versions begin at one."""
    workflow = await mill.create([node("a"), node("b", [0])])
    await mill.work({"a": DEAD})
    await mill.broker.store.redrive(QUEUES[0], [mill.ids["a"]])
    await mill.turn()
    await mill.forget((await mill.claim()).values())
    await mill.make_checked(workflow)
    await mill.auditor().run_once()
    assert await mill.work() == ["a", "b"]
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED


async def test_a_redrive_before_the_news_of_the_death_keeps_the_counts(mill: Mill) -> None:
    """A node whose job was redriven before its workflow heard that it is dead stays started, and the workflow ends."""
    workflow = await mill.create([node("a"), node("b", [0])])
    await mill.turn()
    dead = (await mill.claim())["a"]
    await commit(mill.broker, dead, DEAD)
    await mill.broker.store.redrive(dead.queue, [dead.id])
    await mill.turn()
    assert await mill.state(workflow) is WorkflowState.RUNNING
    assert await mill.work() == ["a", "b"]
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED
