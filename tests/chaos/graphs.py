"""The scenario of workflows: each node runs once, after all before it, whichever processes are killed."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import anyio
import msgspec
from chaos.evidence import Evidence
from chaos.kills import kills
from chaos.moves import failover, slot_move
from chaos.stage import Stage
from msgspec import Struct
from waiting import wait_until

from millstream_contracts import (
    DEFAULT_TENANT,
    JobType,
    NodeState,
    Queue,
    Submission,
    WorkflowId,
    WorkflowState,
    new_job_id,
)
from millstream_streams import NewNode, NewWorkflow, StoredWorkflow, StoreError
from millstream_workflows.blueprints import Blueprint, encode

GRAPH = "graph "
"""How the keys of jobs of nodes begin: then come the number of the workflow, the node, and those before it."""

GRAPHS_PER_S = 3.0
WITHIN_S = 90.0
REPAIRED_WITHIN_S = 300.0
"""The auditor looks at workflows that have been still for a minute, and later at those that still are."""

SLOW = Queue(DEFAULT_TENANT, JobType("chaos.slow"))
QUEUES = [SLOW, *(Queue(DEFAULT_TENANT, JobType(name)) for name in ("chaos.quick", "chaos.flaky"))]
SHAPES: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((), (0,), (1,), (2,)),
    ((), (0,), (0,), (1, 2)),
    ((), *(((0,),) * 12), tuple(range(1, 13))),
    ((), (), (), (0, 1, 2), (0, 1, 2), (3, 4)),
)


async def workflows(stage: Stage) -> None:
    """Kill every service while workflows run: each node starts once and after all before it, and all succeed."""
    made, found = await _run_graphs(stage, kills, WITHIN_S)
    stage.expect(len(found) == len(made), f"{len(made) - len(found)} workflows are nowhere")
    await _are_remembered(stage, found)


async def workflows_failover(stage: Stage) -> None:
    """Kill the primary, or let Sentinel swap it, while workflows run: each that Redis has kept goes on to its end."""
    made, found = await _run_graphs(stage, failover, REPAIRED_WITHIN_S)
    stage.figures["workflows lost by the failovers"] = str(len(made) - len(found))


async def workflows_slot_move(stage: Stage) -> None:
    """Move slots of a cluster while workflows run whose nodes lie apart: each node runs once and in order."""
    made, found = await _run_graphs(stage, slot_move, WITHIN_S)
    stage.expect(len(found) == len(made), f"{len(made) - len(found)} workflows are nowhere")


async def _run_graphs(
    stage: Stage, faults: Callable[[Stage], Awaitable[None]], within_s: float
) -> tuple[list[WorkflowId], Mapping[WorkflowId, StoredWorkflow]]:
    """Run workflows under faults until all have succeeded. Returns: those that were stored, those that are there."""
    made: list[WorkflowId] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_found_graphs, stage.apart("graphs"), made)
        await faults(stage)

    async def have_ended() -> bool:
        try:
            found = await stage.broker.workflows.read(DEFAULT_TENANT, made)
        except StoreError:
            return False
        return all(found[one].state.is_terminal for one in made if one in found)

    await wait_until(have_ended, "all workflows have ended", within_s)
    found = await stage.broker.workflows.read(DEFAULT_TENANT, made)
    for one in found.values():
        stage.expect(one.state is WorkflowState.SUCCEEDED, f"{one.id} is {one.state}: {one.counts}")
    nodes = sum(one.counts.get(NodeState.SUCCEEDED, 0) for one in found.values())
    stage.figures["workflows"] = f"{len(found)}, with {nodes} nodes"
    return made, found


async def _are_remembered(stage: Stage, found: Mapping[WorkflowId, StoredWorkflow]) -> None:
    """Wait until the history has each workflow, once, as Redis has it."""
    history = stage.history
    assert history is not None
    live = {one.id: (one.state.value, sum(one.counts.values())) for one in found.values()}

    async def are_there() -> bool:
        return len(await history.workflows()) >= len(live)

    await wait_until(are_there, "the history has all workflows", WITHIN_S)
    past = await history.workflows()
    stage.expect(past == live, f"the history has {past}, and Redis {live}")


class Node(Struct):
    """A node as its jobs have left effects of it."""

    number: str
    name: str
    parents: list[str]
    jobs: set[str]
    began: list[int]
    done: list[int]


def each_node_ran_once_and_in_order(evidence: Evidence) -> Iterator[str]:
    """Complain of a node with two jobs, and of one that began before all before it had ended."""
    nodes = _nodes(evidence)
    if not nodes:
        yield "no workflow ran: nothing was shown"
    for node in nodes.values():
        where = f"{node.name} of workflow {node.number}"
        if len(node.jobs) > 1:
            yield f"{where} has {len(node.jobs)} jobs"
        for name in node.parents:
            parent = nodes.get((node.number, name))
            if parent is None or not parent.done:
                yield f"{where} ran without {name}"
            elif node.began and min(node.began) < min(parent.done):
                yield f"{where} began before {name} had ended"


def _nodes(evidence: Evidence) -> dict[tuple[str, str], Node]:
    """Return all nodes of which there are effects, by the number of the workflow and their names."""
    found: dict[tuple[str, str], Node] = {}
    effects = (effect for some in evidence.effects.values() for effect in some if effect.key.startswith(GRAPH))
    for effect in effects:
        number, name, *parents = effect.key.removeprefix(GRAPH).split(" ")
        node = found.setdefault((number, name), Node(number, name, parents, set(), [], []))
        node.jobs.add(effect.job)
        if effect.event in {"started", "done"}:
            (node.began if effect.event == "started" else node.done).append(effect.at_ms)
    return found


async def _found_graphs(stage: Stage, made: list[WorkflowId]) -> None:
    ends_at = anyio.current_time() + stage.seconds
    while anyio.current_time() < ends_at:
        # One that could not be stored may be there or not, and a draft harms nothing.
        with suppress(StoreError):
            made.append((await stage.broker.workflows.create(DEFAULT_TENANT, _new(stage, len(made)))).id)
        await anyio.sleep(stage.rng.uniform(0.5, 1.5) / GRAPHS_PER_S)


def _new(stage: Stage, number: int) -> NewWorkflow:
    shape = stage.rng.choice(SHAPES)
    queues = [stage.rng.choice(QUEUES) for _ in shape]
    return _workflow(stage, number, shape, queues, (0.1,) * len(shape))


async def run_one(stage: Stage, shape: tuple[tuple[int, ...], ...], *, seconds: tuple[float, ...]) -> None:
    """Run one workflow whose nodes take so long, and return once it has ended."""
    new = _workflow(stage, 0, shape, [SLOW] * len(shape), seconds)
    await stage.broker.workflows.create(DEFAULT_TENANT, new)

    async def has_ended() -> bool:
        found = await stage.broker.workflows.read(DEFAULT_TENANT, [new.id])
        return found[new.id].state.is_terminal

    await wait_until(has_ended, "the workflow has ended", WITHIN_S)


def _workflow(
    stage: Stage, number: int, shape: tuple[tuple[int, ...], ...], queues: Sequence[Queue], seconds: Sequence[float]
) -> NewWorkflow:
    parts = zip(shape, queues, seconds, strict=True)
    return NewWorkflow(
        id=stage.broker.workflows.new_id(DEFAULT_TENANT),
        name="chaos",
        nodes=tuple(_node(number, place, *part) for place, part in enumerate(parts)),
        created_at_ms=0,
        retention_ms=3_600_000,
    )


def _node(number: int, place: int, parents: tuple[int, ...], queue: Queue, seconds: float) -> NewNode:
    key = " ".join([f"{GRAPH}{number}", f"n{place}", *(f"n{one}" for one in parents)])
    payload: dict[str, Any] = {"key": key, "seconds": seconds, "times": 1}
    if parents:
        payload["seen"] = {"$result": f"n{parents[0]}"}
    submission = Submission(type=queue.type, payload=msgspec.Raw(encode(payload)))
    return NewNode(
        name=f"n{place}",
        queue=queue,
        job_id=new_job_id(queue),
        blueprint=encode(Blueprint(encode(submission), bool(parents))),
        parents=parents,
        inputs=parents[:1],
    )
