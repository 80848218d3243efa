"""An operation of the kind `patch` changes payloads as it redrives, and refuses what no submission may have."""

from dispatcher.operations.scene import Scene
from intakes import intake_of
from streams.seeds import job_of

from millstream_contracts import OperationSample, OperationState, PayloadChange, TypePolicy, TypeRegistration
from millstream_dispatcher.operations.operator import NO_SPAN
from millstream_dispatcher.operations.payload_patcher import PayloadPatcher
from millstream_submission import Redriver
from millstream_telemetry import JobTracer

SCHEMA = {"type": "object", "properties": {"region": {"enum": ["eu", "us"]}}, "required": ["region"]}


async def register(scene: Scene) -> None:
    """Register the type of the scene, as a worker does."""
    registration = TypeRegistration(type=scene.queue.type, policy=TypePolicy(), payload_schema=SCHEMA)
    await scene.broker.registry.add_types(scene.queue.tenant, [registration])


async def payload_of(scene: Scene, job_id: str) -> object:
    """Return the payload of a job."""
    return (await job_of(scene.broker, scene.queue, job_id)).payload


async def test_a_patch_changes_payloads_and_runs_their_jobs_again(scene: Scene) -> None:
    """The members of a patch are merged into each payload, null removes one, and the jobs are ready again."""
    ids = await scene.dead(2, payload={"region": "europe", "old": 1, "user": {"id": 7, "name": "a"}})
    operation = await scene.add("patch", q="", patch={"region": "eu", "old": None, "user": {"name": "b"}})
    await scene.run()
    found = await scene.shown(operation)
    assert (found.state, found.done, found.refused, found.samples) == (OperationState.DONE, 2, 0, [])
    assert found.patch == {"region": "eu", "old": None, "user": {"name": "b"}}
    assert await scene.states(ids) == ["queued"] * 2
    assert [await payload_of(scene, job_id) for job_id in ids] == [{"region": "eu", "user": {"id": 7, "name": "b"}}] * 2


async def test_a_dry_run_of_a_patch_shows_what_would_change_and_changes_nothing(scene: Scene) -> None:
    """A dry run shows the changes of the first jobs by their place in the payload."""
    ids = await scene.dead(7, payload={"region": "europe", "old": 1})
    operation = await scene.add("patch", ids=ids, patch={"region": "eu", "old": None, "a/b": [1]}, dry_run=True)
    await scene.run()
    found = await scene.shown(operation)
    assert (found.state, found.done, len(found.samples)) == (OperationState.DONE, 7, 5)
    assert found.samples[0] == OperationSample(
        ids[0],
        [
            PayloadChange(pointer="/region", kind="changed", before="europe", after="eu"),
            PayloadChange(pointer="/old", kind="removed", before=1),
            PayloadChange(pointer="/a~1b", kind="added", after=[1]),
        ],
    )
    assert await scene.states(ids) == ["dead"] * 7
    assert await payload_of(scene, ids[0]) == {"region": "europe", "old": 1}


async def test_a_patch_that_breaks_the_schema_is_refused_job_by_job(scene: Scene) -> None:
    """A job whose patched payload no live release accepts stays dead as it is, and the reason is told."""
    await register(scene)
    [good, bad] = await scene.dead(1, payload={"region": "x"}) + await scene.dead(1, payload={"region": "y", "n": 1})
    operation = await scene.add("patch", ids=[good], patch={"region": "eu"})
    other = await scene.add("patch", ids=[bad], patch={"region": None})
    await scene.run()
    assert (await scene.shown(operation)).done == 1
    found = await scene.shown(other)
    assert (found.done, [one.id for one in found.refusals]) == (0, [bad])
    assert "region" in found.refusals[0].reason
    assert (await scene.states([bad]), await payload_of(scene, bad)) == (["dead"], {"region": "y", "n": 1})


async def test_a_job_that_was_patched_and_died_again_is_left_alone(scene: Scene) -> None:
    """A step that is repeated patches no job a second time."""
    [job_id] = await scene.dead(1, payload={"n": 1})
    operation = await scene.add("patch", ids=[job_id], patch={"n": 2})
    taken = await scene.history.operations.take("a dispatcher that is killed", lease_s=60.0)
    assert taken is not None
    redriver = Redriver(scene.broker.store, scene.broker.views, JobTracer(None))
    patcher = PayloadPatcher(scene.broker, intake_of(scene.broker), redriver)
    await patcher.act(taken, scene.queue, [job_id], NO_SPAN)
    await scene.die_again(job_id)
    await scene.make_due()
    await scene.run()
    found = await scene.shown(operation)
    assert (found.done, found.refused, await scene.states([job_id])) == (0, 1, ["dead"])


async def test_a_spec_that_cannot_be_read_is_refused(scene: Scene) -> None:
    """A job whose stored spec is broken stays as it is."""
    [job_id] = await scene.dead(1)
    await scene.broker.client.hset(scene.broker.keys.of(scene.queue).job(job_id), "spec", b"\xc1")
    operation = await scene.add("patch", ids=[job_id], patch={"n": 2})
    await scene.run()
    found = await scene.shown(operation)
    assert [one.reason for one in found.refusals] == ["its payload cannot be read"]


async def test_a_payload_that_gets_too_large_is_refused(scene: Scene) -> None:
    """A patched payload keeps the bounds of every payload."""
    [job_id] = await scene.dead(1, payload={"a": "x" * 200_000})
    operation = await scene.add("patch", ids=[job_id], patch={"b": "x" * 100_000})
    await scene.run()
    found = await scene.shown(operation)
    assert (found.done, "the limit is" in found.refusals[0].reason) == (0, True)
