"""Workflows of the test kit move as those in Redis do: random graphs, in which random nodes fail."""

import random
from collections.abc import Mapping, Sequence

import pytest
from dispatcher.workflows.conftest import DEAD, Mill, T, node

from millstream_contracts import JobState, NodeState, Outcome, Priority, WorkflowState
from millstream_streams import Broker, NewNode, NewWorkflow, RerunCode
from millstream_testing.memory.flows import Flow, FlowNode, Flows, node_ref
from millstream_testing.memory.stored_job import StoredJob
from millstream_testing.virtual_clock import VirtualClock
from millstream_workflows import Plan, PlannedNode

Shown = tuple[WorkflowState, list[tuple[NodeState, str]]]


def graph(rng: random.Random) -> list[NewNode]:
    """Return a graph of a few nodes with random edges and policies."""
    nodes = []
    for place in range(rng.randint(2, 7)):
        parents = sorted(rng.sample(range(place), rng.randint(0, min(place, 3))))
        policy = rng.choice(["wait", "cancel", "run"])
        optional = rng.random() < 0.3
        nodes.append(node(f"n{place}", parents, at=place, after_failure=policy, optional=optional))
    return nodes


def in_memory(new: NewWorkflow) -> tuple[Flows, Flow]:
    """Return the same workflow in the test kit."""
    planned = [
        PlannedNode(
            name=one.name,
            type=one.queue.type,
            blueprint=one.blueprint,
            parents=one.parents,
            after_failure=one.after_failure,
            optional=one.optional,
        )
        for one in new.nodes
    ]
    nodes = [
        FlowNode(
            planned=plan,
            queue=one.queue,
            first_job_id=one.job_id,
            wants_result=False,
            children=[at for at, other in enumerate(new.nodes) if place in other.parents],
        )
        for place, (plan, one) in enumerate(zip(planned, new.nodes, strict=True))
    ]
    flow = Flow(
        id=new.id,
        name=new.name,
        plan=Plan(nodes=tuple(planned)),
        nodes=nodes,
        on_failure=new.on_failure,
        retention_s=3600,
        created_ms=0,
    )
    flows = Flows(VirtualClock())
    flows.add(flow)
    return flows, flow


def work(flows: Flows, flow: Flow, dead: Sequence[str]) -> None:
    """Run in memory all that becomes ready, in waves, as the worker of a mill does."""
    while flows.ready:
        wave, flows.ready = flows.ready, []
        jobs = []
        for _, place in wave:
            one = flow.nodes[place]
            if one.state is NodeState.STARTING:
                flows.started(flow, place)
                jobs.append((place, StoredJob(id=one.job_id, queue=one.queue, spec=b"", priority=Priority.NORMAL)))
        for place, job in jobs:
            if job.id in flows.undone:
                continue
            job.node = node_ref(flow, place)
            job.state = JobState.DEAD if flow.nodes[place].planned.name in dead else JobState.SUCCEEDED
            flows.note(job)
        for place, job in jobs:
            if job.id in flows.undone and flow.nodes[place].state is NodeState.STARTED:
                job.state, job.node = JobState.CANCELLED, node_ref(flow, place)
                flows.note(job)
        flows.undone = []


def shown(flow: Flow) -> Shown:
    """Return what can be seen of a workflow in memory."""
    return flow.state, [(one.state, one.reason) for one in flow.nodes]


async def in_redis(mill: Mill, new: NewWorkflow) -> Shown:
    """Return the same of one in Redis."""
    found = await mill.read(new.id)
    return found.state, [(one.state, one.reason) for one in await mill.nodes(new.id)]


@pytest.mark.parametrize("seed", range(30))
async def test_a_random_graph_ends_as_in_redis(broker: Broker, seed: int) -> None:
    """Nodes and workflow are in the same states, with the same reasons; also after a rerun of what failed."""
    rng, mill = random.Random(seed), Mill(broker)
    new = mill.new(graph(rng))
    await mill.broker.workflows.create(T, new)
    flows, flow = in_memory(new)
    for fails in (0.5, 0.2):
        dead = [one.name for one in new.nodes if rng.random() < fails]
        outcomes: Mapping[str, Outcome] = dict.fromkeys(dead, DEAD)
        await mill.work(outcomes)
        work(flows, flow, dead)
        assert shown(flow) == await in_redis(mill, new)
        code = await mill.broker.workflows.rerun(T, new.id, None, request=str(fails).encode())
        is_done, _ = flows.rerun(flow, None)
        assert is_done is (code is RerunCode.DONE)
    await mill.work()
    work(flows, flow, [])
    assert shown(flow) == await in_redis(mill, new)


async def test_a_cancelled_one_ends_as_in_redis(broker: Broker) -> None:
    """What waits is cancelled, and what has ended stays."""
    mill = Mill(broker)
    new = mill.new([node("n0"), node("n1", [0]), node("n2", [1])])
    await mill.broker.workflows.create(T, new)
    flows, flow = in_memory(new)
    await mill.work_until_started({"n0": DEAD})
    work(flows, flow, ["n0"])
    await mill.broker.workflows.cancel(T, new.id)
    flows.cancel(flow)
    await mill.work()
    assert (flow.state, [one.state for one in flow.nodes]) == (
        (await mill.read(new.id)).state,
        [one.state for one in await mill.nodes(new.id)],
    )
