"""An operation of the kind `export` is one job of `data.export`, which it follows to its end."""

from collections.abc import Iterable

import msgspec
from dispatcher.operations.scene import Scene
from intakes import intake_of
from streams.seeds import ERROR, commit, job_of, new_job, take_one

from millstream_contracts import (
    Dead,
    ExportOptions,
    Job,
    JobId,
    JobState,
    OperationGroup,
    OperationState,
    Queue,
    Succeeded,
)
from millstream_dispatcher.operations.operator import Operator
from millstream_submission import BuiltJob, KnownQueues, SystemSubmitter, TypeCatalogue
from millstream_telemetry import JobTracer, MetricRegistry, OperationMetrics


async def export_of(scene: Scene, operation: str) -> tuple[Queue, Job]:
    """Return the queue and the job of an export."""
    job_id = JobId((await scene.shown(operation)).job_id or "")
    queue = msgspec.structs.replace(scene.queue, type="data.export", partition=0)
    return queue, await job_of(scene.broker, queue, job_id)


async def test_an_export_submits_one_job_for_what_was_chosen(scene: Scene) -> None:
    """The job has the query as at the time of the operation, and the tag of it; a repeated step submits no other."""
    operation = await scene.add("export", q="tag.a:b since:1d", export=ExportOptions(format="csv", name="x"))
    taken = await scene.history.operations.take("a dispatcher that is killed", lease_s=60.0)
    assert taken is not None
    assert taken.query is not None
    await scene.run(most=1)
    await scene.make_due()
    await scene.run(most=1)
    queue, job = await export_of(scene, operation)
    as_of = taken.query.asked_at.isoformat()
    assert job.payload == {"query": "tag.a:b since:1d", "as_of": as_of, "format": "csv", "payloads": False, "name": "x"}
    assert job.tags == {"operation": operation}
    assert await scene.broker.client.xlen(scene.broker.keys.of(queue).ready[1]) == 1


async def test_an_export_shows_how_far_its_job_is_and_ends_with_it(scene: Scene) -> None:
    """The operation runs for as long as its job does, and then says how many rows there are, and where."""
    operation = await scene.add("export", group=OperationGroup("a.b", "v2:f"))
    await scene.run(most=1)
    queue, job = await export_of(scene, operation)
    assert job.payload["query"] == 'fingerprint:"v2:f" type:"a.b" state:"dead"'
    await scene.make_due()
    await scene.run(most=1)
    found = await scene.shown(operation)
    assert (found.state, found.detail) == (OperationState.RUNNING, "its job is queued")
    delivery = await take_one(scene.broker, queue)
    result = msgspec.msgpack.encode({"rows": 17, "path": "exports/x.csv"})
    await commit(scene.broker, delivery, Succeeded(msgspec.Raw(result)))
    await scene.make_due()
    await scene.run(most=1)
    found = await scene.shown(operation)
    assert (found.state, found.done, found.detail) == (OperationState.DONE, 17, "exports/x.csv")


async def test_an_export_whose_job_dies_has_failed(scene: Scene) -> None:
    """The operation of a job that ends in another way says how."""
    operation = await scene.add("export", ids=[new_job(scene.queue).id])
    await scene.run(most=1)
    queue, _ = await export_of(scene, operation)
    await commit(scene.broker, await take_one(scene.broker, queue), Dead("attempts", ERROR))
    await scene.make_due()
    await scene.run(most=1)
    found = await scene.shown(operation)
    assert (found.state, found.detail) == (OperationState.FAILED, "its job is dead: attempts")


class Interrupted(SystemSubmitter):
    """A submitter in whose work a person cancels every operation."""

    def __init__(self, scene: Scene, metrics: MetricRegistry) -> None:
        broker = scene.broker
        self.intake = intake_of(broker, TypeCatalogue(broker.registry, metrics))
        clock = broker.clock.now_s
        super().__init__(broker.store, KnownQueues(broker.registry), self.intake, JobTracer(None), clock=clock)
        self.scene = scene

    async def store(self, built: Iterable[BuiltJob]) -> list[JobId]:
        """Store jobs, behind the word of a person."""
        operations = self.scene.history.operations
        for one in await operations.of(self.scene.queue.tenant, before=None, limit=10):
            await operations.cancel(one.tenant, one.shown.id)
        return await super().store(built)


async def test_an_export_that_is_cancelled_while_its_job_is_submitted_leaves_no_job_behind(
    scene: Scene, metrics: MetricRegistry
) -> None:
    """A person's word during the first step ends the job that the step submits."""
    operation = await scene.add("export", q="")
    submitter = Interrupted(scene, metrics)
    shown = OperationMetrics(metrics)
    intake = submitter.intake
    duty = Operator(scene.history, scene.broker, shown, intake=intake, submitter=submitter, tracer=JobTracer(None))
    await duty.run_once()
    assert (await scene.shown(operation)).state is OperationState.CANCELLED
    _, job = await export_of(scene, operation)
    assert job.state is JobState.CANCELLED
