"""Measures what a member of a batch costs Redis beside a plain job of the same run, and the memory that it takes.

The duties of a dispatcher run in this process; jobs are stored, claimed and committed a hundred at a time, as in
`redis_cpu`.
"""

from argparse import Namespace
from typing import Any

from msgspec import Raw, Struct
from msgspec.structs import replace
from redis_cpu import RESULT_TTL_MS, WORKER, cycle
from rig import BATCH, NOOP, Rig, median, noop_jobs, redis_cpu_s, report, rig
from workflows import encode

from millstream_contracts import DEFAULT_TENANT, BatchEvent, BatchId, BatchState, Submission, Succeeded, new_job_id
from millstream_dispatcher.batches.starter import BatchStarter
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_dispatcher.flow_teller import FlowTeller
from millstream_dispatcher.messenger import Messenger
from millstream_streams import Commit, NewBatch, NewCallback
from millstream_submission import Admission, Intake, KnownQueues, SystemSubmitter, TypeCatalogue
from millstream_telemetry import BatchMetrics, DispatcherMetrics, JobTracer, MetricRegistry

CALLBACK = encode(Submission(type=NOOP.type, payload=Raw(encode({"x": "y" * 180}))))


class Shape(Struct, frozen=True):
    """Batches of one size."""

    count: int
    members: int

    @property
    def jobs(self) -> int:
        """Return how many members all of them have."""
        return self.count * self.members


SMALL, MIDDLE, LARGE = "batches of 10", "batches of 100", "one of 10,000"
SHAPES = {SMALL: Shape(200, 10), MIDDLE: Shape(20, 100), LARGE: Shape(1, 10_000)}


class Dispatcher:
    """The duties of a dispatcher that follow batches."""

    def __init__(self, one: Rig) -> None:
        self._one = one
        broker, registry, tracer = one.broker, MetricRegistry(), JobTracer(None)
        catalogue = TypeCatalogue(broker.registry, registry)
        intake = Intake(catalogue, Admission("accept"), broker.templates, clock=broker.clock.now_s)
        submitter = SystemSubmitter(
            broker.store, KnownQueues(broker.registry), intake, tracer, clock=broker.clock.now_s
        )
        self._starter = BatchStarter(broker, submitter, tracer, BatchMetrics(registry), interval_s=5.0)
        self._messenger = Messenger(
            broker.dependencies,
            FlowTeller(broker),
            CheckSchedule(broker.registry, 0.0),
            DispatcherMetrics(registry),
            interval_s=0.0,
        )

    async def run(self) -> None:
        """Run jobs, and tell of them, until there are no more."""
        store, round_ = self._one.broker.store, 0
        while True:
            moved = (await self._starter.run_once()).stored
            while True:
                round_ += 1
                claim = await store.claim(NOOP, consumer=WORKER, nonce=f"batches.{round_:x}", limit=BATCH)
                commits = [Commit(job, Succeeded(), RESULT_TTL_MS) for job in claim.deliveries]
                if not commits:
                    break
                await store.commit(NOOP, worker=WORKER, commits=commits)
            moved += (await self._messenger.run_once()).told
            if not moved:
                return


async def main(options: Namespace) -> dict[str, Any]:
    """Measure each shape beside plain jobs, and print the medians."""
    ratios: dict[str, list[float]] = {name: [] for name in SHAPES}
    plain, memory = [], []
    for _ in range(options.rounds):
        async with rig() as one:
            await one.broker.registry.add_queues([NOOP])
            await cycle(one, BATCH)
            before = await redis_cpu_s(one)
            await cycle(one, options.jobs)
            plain.append((await redis_cpu_s(one) - before) / options.jobs * 1e6)
            for name, shape in SHAPES.items():
                cost_us, held_bytes = await _measure(one, shape)
                ratios[name].append(cost_us / plain[-1])
            memory.append(held_bytes)
    rows = [("plain job, us", f"{median(plain):.1f}")]
    rows += [(f"a member, {name}, plain jobs", f"{median(found):.2f}") for name, found in ratios.items()]
    rows += [(f"memory of a member, {LARGE}, bytes", f"{median(memory):.0f}")]
    return report(
        "batches",
        rows,
        measured={"batch_member": max(median(ratios[MIDDLE]), median(ratios[LARGE]))},
        rounds=options.rounds,
        plain_us=median(plain),
        ratios={name: median(found) for name, found in ratios.items()},
        member_bytes=median(memory),
    )


async def _measure(one: Rig, shape: Shape) -> tuple[float, float]:
    """Return the CPU of Redis for a member, its job and its part of the batch included, and the bytes that it takes."""
    dispatcher, batches = Dispatcher(one), one.broker.batches
    new = [_new(one) for _ in range(shape.count)]
    before = await redis_cpu_s(one)
    for batch in new:
        await batches.create(DEFAULT_TENANT, batch)
        await _add(one, batch.id, shape.members)
        await batches.close(DEFAULT_TENANT, batch.id)
    await dispatcher.run()
    cost_us = (await redis_cpu_s(one) - before) / shape.jobs * 1e6
    found = await batches.read(DEFAULT_TENANT, [batch.id for batch in new])
    if any(one.state is not BatchState.SUCCEEDED for one in found.values()):
        raise RuntimeError("a batch has not succeeded")
    return cost_us, await _held_bytes(one, new[0].id) / shape.members


async def _add(one: Rig, batch: BatchId, members: int) -> None:
    jobs = [replace(job, batch=batch) for job in noop_jobs(members, NOOP)]
    for first in range(0, members, BATCH):
        some = jobs[first : first + BATCH]
        ids = [job.id for job in some]
        await one.broker.batches.promise(DEFAULT_TENANT, batch, ids)
        await one.broker.store.enqueue(NOOP, some)
        await one.broker.batches.confirm(DEFAULT_TENANT, batch, stored=ids)


async def _held_bytes(one: Rig, batch: BatchId) -> int:
    """Return the memory of the keys of a batch."""
    keys = [key async for key in one.broker.client.scan_iter(match=f"*{batch}*", count=10_000)]
    # Each value is looked at: a sample of a few would be wrong by a third.
    return sum([await one.broker.client.memory_usage(key, samples=0) or 0 for key in keys])


def _new(one: Rig) -> NewBatch:
    return NewBatch(
        id=one.broker.batches.new_id(DEFAULT_TENANT),
        name="bench",
        callbacks={event: NewCallback(NOOP, new_job_id(NOOP), CALLBACK) for event in BatchEvent},
        expires_at_ms=4_000_000_000_000,
        retention_ms=3_600_000,
    )
