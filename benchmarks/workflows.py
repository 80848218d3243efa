"""Measures what a node and an edge of a workflow cost Redis, beside plain jobs of the same run.

The duties of a dispatcher run in this process; jobs are claimed and committed a hundred at a time, as in `redis_cpu`.
"""

import time
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from msgspec import Raw, Struct
from redis_cpu import RESULT_TTL_MS, WORKER, cycle
from rig import BATCH, NOOP, Rig, median, redis_cpu_s, report, rig

from millstream_contracts import DEFAULT_TENANT, Queue, Submission, Succeeded, new_job_id
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_dispatcher.flow_teller import FlowTeller
from millstream_dispatcher.messenger import Messenger
from millstream_dispatcher.workflows.closer import WorkflowCloser
from millstream_dispatcher.workflows.starter import WorkflowStarter
from millstream_streams import Broker, Commit, NewNode, NewWorkflow
from millstream_submission import Admission, Intake, KnownQueues, SystemSubmitter, TypeCatalogue
from millstream_telemetry import DispatcherMetrics, JobTracer, MetricRegistry, WorkflowMetrics
from millstream_workflows.blueprints import Blueprint, encode

PAYLOAD = Raw(encode({"x": "y" * 180}))


class Shape(Struct, frozen=True):
    """Workflows of one form."""

    count: int
    parents: tuple[tuple[int, ...], ...]
    """Of each node."""

    @property
    def nodes(self) -> int:
        """Return how many jobs all of them have."""
        return self.count * len(self.parents)


def _chain(length: int) -> tuple[tuple[int, ...], ...]:
    return ((), *((at,) for at in range(length - 1)))


def _fan(width: int) -> tuple[tuple[int, ...], ...]:
    return ((), *(((0,),) * width), tuple(range(1, width + 1)))


def _layers(width: int, *, dense: bool) -> tuple[tuple[int, ...], ...]:
    first = ((),) * width
    return (*first, *((tuple(range(width)) if dense else (at,)) for at in range(width)))


FAN, CHAINS, SPARSE, DENSE = "1 to 100 to 1", "chains of 5", "30 beside 30", "30 times 30"
WIDTH = 30
SHAPES = {
    FAN: Shape(20, _fan(100)),
    CHAINS: Shape(400, _chain(5)),
    SPARSE: Shape(34, _layers(WIDTH, dense=False)),
    DENSE: Shape(34, _layers(WIDTH, dense=True)),
}


class Mill:
    """The duties of a dispatcher that carry workflows out."""

    def __init__(self, one: Rig) -> None:
        self._one = one
        broker, registry, tracer = one.broker, MetricRegistry(), JobTracer(None)
        catalogue = TypeCatalogue(broker.registry, registry)
        submitter = SystemSubmitter(
            broker.store,
            KnownQueues(broker.registry),
            Intake(catalogue, Admission("accept"), broker.templates, clock=broker.clock.now_s),
            tracer,
            clock=broker.clock.now_s,
        )
        closer = WorkflowCloser(broker, tracer)
        self._starter = WorkflowStarter(broker, submitter, closer, WorkflowMetrics(registry), interval_s=5.0)
        self._messenger = Messenger(
            broker.dependencies,
            FlowTeller(broker, closer),
            CheckSchedule(broker.registry, 0.0),
            DispatcherMetrics(registry),
            interval_s=0.0,
        )

    async def run(self) -> int:
        """Carry out all that there is. Returns: how many jobs ran."""
        store, ran, round_ = self._one.broker.store, 0, 0
        while True:
            moved = (await self._starter.run_once()).stored
            while True:
                round_ += 1
                claim = await store.claim(NOOP, consumer=WORKER, nonce=f"mill.{round_:x}", limit=BATCH)
                commits = [Commit(job, Succeeded(), RESULT_TTL_MS) for job in claim.deliveries]
                if not commits:
                    break
                await store.commit(NOOP, worker=WORKER, commits=commits)
                ran += len(commits)
            moved += (await self._messenger.run_once()).told
            if not moved:
                return ran


async def main(options: Namespace) -> dict[str, Any]:
    """Measure each shape beside plain jobs, and print the medians."""
    ratios: dict[str, list[float]] = {name: [] for name in SHAPES}
    plain, edges, rates = [], [], []
    for _ in range(options.rounds):
        async with rig() as one:
            await one.broker.registry.add_queues([NOOP])
            await cycle(one, BATCH)
            plain_us = await _plain_us(one, options.jobs)
            plain.append(plain_us)
            costs = {}
            for name, shape in SHAPES.items():
                costs[name], rate = await _node_us(one, shape)
                ratios[name].append(costs[name] / plain_us)
                rates.append(rate)
            more = WIDTH * WIDTH - WIDTH
            edges.append((costs[DENSE] - costs[SPARSE]) * 2 * WIDTH / more / plain_us)
    rows = [("plain job, us", f"{median(plain):.1f}")]
    rows += [(f"a node, {name}, plain jobs", f"{median(found):.2f}") for name, found in ratios.items()]
    rows += [("an edge more, plain jobs", f"{median(edges):.3f}"), ("nodes/s in one process", f"{median(rates):,.0f}")]
    return report(
        "workflows",
        rows,
        measured={
            "workflow_node": max(median(ratios[FAN]), median(ratios[CHAINS])),
            "workflow_edge": median(edges),
        },
        rounds=options.rounds,
        plain_us=median(plain),
        ratios={name: median(found) for name, found in ratios.items()},
    )


async def _plain_us(one: Rig, jobs: int) -> float:
    before = await redis_cpu_s(one)
    await cycle(one, jobs)
    return (await redis_cpu_s(one) - before) / jobs * 1e6


async def _node_us(one: Rig, shape: Shape) -> tuple[float, float]:
    """Return the CPU of Redis for a node, its job included, and the nodes that one process carries out a second."""
    mill = Mill(one)
    new = [new_workflow(one.broker, NOOP, shape.parents) for _ in range(shape.count)]
    before, begun = await redis_cpu_s(one), time.perf_counter()
    for workflow in new:
        await one.broker.workflows.create(DEFAULT_TENANT, workflow)
    ran = await mill.run()
    if ran != shape.nodes:
        raise RuntimeError(f"{ran} jobs ran of {shape.nodes}")
    seconds = time.perf_counter() - begun
    return (await redis_cpu_s(one) - before) / shape.nodes * 1e6, shape.nodes / seconds


def new_workflow(broker: Broker, queue: Queue, parents: Sequence[tuple[int, ...]]) -> NewWorkflow:
    """Return a workflow of jobs of this queue; `parents` are the positions of those that each of them waits for."""
    blueprint = encode(Blueprint(encode(Submission(type=queue.type, payload=PAYLOAD))))
    nodes = [
        NewNode(name=f"n{at}", queue=queue, job_id=new_job_id(queue), blueprint=blueprint, parents=some)
        for at, some in enumerate(parents)
    ]
    return NewWorkflow(
        id=broker.workflows.new_id(DEFAULT_TENANT),
        name="bench",
        nodes=tuple(nodes),
        created_at_ms=0,
        retention_ms=3_600_000,
    )
