"""The operator carries out operations a step at a time, and acts on no job twice."""

import msgspec
import pytest
from dispatcher.operations.scene import Scene
from history_databases import execute, query
from streams.seeds import ERROR, commit, seed_running

from millstream_contracts import Canary, Dead, OperationGroup, OperationState
from millstream_history import Advance, HistoryError
from millstream_telemetry import MetricRegistry


async def test_a_redrive_runs_every_dead_job_that_its_query_finds(scene: Scene) -> None:
    """All dead jobs of the query are ready again, over as many pages as that takes, and counted."""
    ids = await scene.dead(5)
    operation = await scene.add(q=f"type:{scene.queue.type}", rate=2.0)
    for _ in range(10):
        await scene.make_due()
        await scene.run(most=1)
    found = await scene.shown(operation)
    assert (found.state, found.found, found.done, found.refused) == (OperationState.DONE, 5, 5, 0)
    assert found.finished_at is not None
    assert await scene.states(ids) == ["queued"] * 5


@pytest.mark.parametrize("kind", ["redrive", "patch"])
async def test_fresh_jobs_have_no_step_behind_them(scene: Scene, kind: str) -> None:
    """Durable handlers of jobs that run again go on behind their steps, and begin anew where the operation is fresh."""
    broker, queue = scene.broker, scene.queue
    patch = {"patch": {"again": True}} if kind == "patch" else {}
    ids = []
    for _ in range(2):
        delivery = await seed_running(broker, queue, payload={})
        await broker.steps.save_step(delivery, "charge", "", "step", msgspec.msgpack.encode(7))
        await commit(broker, delivery, Dead("attempts", ERROR))
        ids.append(delivery.id)
    for job_id, fresh in zip(ids, (False, True), strict=True):
        operation = await scene.add(kind, ids=[job_id], fresh=fresh, **patch)
        await scene.run()
        found = await scene.shown(operation)
        assert (found.done, found.fresh) == (1, fresh)
    assert [list(await broker.views.steps(queue, job_id)) for job_id in ids] == [["charge"], []]


async def test_a_discard_of_ids_ends_them(scene: Scene, metrics: MetricRegistry) -> None:
    """Jobs of ids are discarded; one that is not dead, and one that there is not, are refused."""
    ids = await scene.dead(2)
    operation = await scene.add("discard", ids=[*ids, "nonsense", ids[0]])
    await scene.run()
    found = await scene.shown(operation)
    assert (found.state, found.found, found.done, found.refused) == (OperationState.DONE, 3, 2, 1)
    assert await scene.states(ids) == ["cancelled"] * 2
    assert [(one.id, one.reason) for one in found.refusals] == [("nonsense", "there is no such job")]
    labels = {"kind": "discard", "outcome": "done"}
    assert metrics.get_sample_value("millstream_operation_jobs_total", labels) == 2


async def test_a_group_is_what_its_dead_jobs_have_in_common(scene: Scene) -> None:
    """The jobs of another fingerprint stay dead."""
    ids = await scene.dead(1)
    operation = await scene.add(group=OperationGroup(scene.queue.type, "another"))
    await scene.run()
    assert ((await scene.shown(operation)).found, await scene.states(ids)) == (0, ["dead"])


async def test_a_job_that_dies_again_is_not_redriven_twice(scene: Scene) -> None:
    """A step that is repeated after its dispatcher was killed leaves a job alone that has died again meanwhile."""
    [job_id] = await scene.dead(1)
    operation = await scene.add(ids=[job_id])
    taken = await scene.history.operations.take("a dispatcher that is killed", lease_s=60.0)
    assert taken is not None
    codes = await scene.broker.store.redrive(scene.queue, [job_id], died_by_ms=taken.cutoff_ms)
    assert codes == [1]
    await scene.die_again(job_id)
    assert await scene.run() == 0, "its lease is not over yet"
    await scene.make_due()
    await scene.run()
    found = await scene.shown(operation)
    assert (found.state, found.done, found.refused) == (OperationState.DONE, 0, 1)
    assert [(one.id, "died after" in one.reason) for one in found.refusals] == [(job_id, True)]
    assert await scene.states([job_id]) == ["dead"]


async def test_a_step_after_its_lease_is_not_counted(scene: Scene) -> None:
    """A dispatcher that was slow beyond its lease stores nothing: the step belongs to another one."""
    [job_id] = await scene.dead(1)
    operation = await scene.add(ids=[job_id])
    slow = await scene.history.operations.take("slow", lease_s=60.0)
    assert slow is not None
    await scene.make_due()
    await scene.run()
    assert not await scene.history.operations.advance(slow, Advance(state=OperationState.RUNNING, found=9, done=9))
    assert (await scene.shown(operation)).done == 1


async def test_a_step_that_the_history_refuses_is_due_again_soon(scene: Scene) -> None:
    """A failed step gives its lease back, so that the operation does not wait until it is over."""
    [job_id] = await scene.dead(1)
    operation = await scene.add(q="state:dead")
    await execute(scene.url, "ALTER TABLE jobs RENAME TO away")
    with pytest.raises(HistoryError):
        await scene.operator.run_once()
    await execute(scene.url, "ALTER TABLE away RENAME TO jobs")
    assert await query(scene.url, "SELECT lease FROM operations") == [(None,)]
    await scene.make_due()
    await scene.run()
    assert (await scene.shown(operation)).state is OperationState.DONE
    assert await scene.states([job_id]) == ["queued"]


async def test_a_dry_run_counts_and_does_nothing(scene: Scene) -> None:
    """A dry run ends with the number of jobs that would be acted on."""
    ids = await scene.dead(3)
    operation = await scene.add(q="", dry_run=True, canary=Canary(count=1))
    await scene.run()
    found = await scene.shown(operation)
    assert (found.state, found.found, found.done) == (OperationState.DONE, 3, 3)
    assert await scene.states(ids) == ["dead"] * 3


async def test_the_rate_is_kept(scene: Scene) -> None:
    """A page has the jobs of about a second, and the next one is due when their time is over."""
    ids = await scene.dead(3)
    await scene.add(ids=list(ids), rate=1.0)
    assert await scene.run() == 1
    assert sorted(await scene.states(ids)) == ["dead", "dead", "queued"]
    await scene.make_due()
    assert await scene.run() == 1
    assert sorted(await scene.states(ids)) == ["dead", "queued", "queued"]


async def test_a_canary_that_dies_stops_its_operation(scene: Scene) -> None:
    """When more of the first jobs die again than allowed, the others stay dead until a person resumes it."""
    ids = await scene.dead(3)
    operation = await scene.add(ids=list(ids), canary=Canary(count=1, max_failure=0.0))
    await scene.run()
    assert (await scene.shown(operation)).state is OperationState.WAITING
    assert sorted(await scene.states(ids)) == ["dead", "dead", "queued"]
    await scene.die_again(ids[0])
    await scene.make_due()
    await scene.run()
    found = await scene.shown(operation)
    assert (found.state, found.failed) == (OperationState.PAUSED, 1)
    assert "1 died again" in found.detail
    assert [one.id for one in await scene.history.operations.paused()] == [operation]
    await scene.history.operations.resume(scene.queue.tenant, operation)
    await scene.run()
    assert (await scene.shown(operation)).state is OperationState.DONE
    assert await scene.states(ids) == ["dead", "queued", "queued"]


async def test_a_canary_that_ends_well_lets_the_others_follow(scene: Scene) -> None:
    """Once the first jobs have ended and few enough died, the operation goes on by itself."""
    ids = await scene.dead(3)
    operation = await scene.add(ids=list(ids), canary=Canary(count=1, max_failure=0.5))
    await scene.run()
    await scene.broker.store.cancel(scene.queue, [ids[0]])
    await scene.make_due()
    await scene.run()
    assert (await scene.shown(operation)).state is OperationState.DONE
    assert await scene.states(ids) == ["cancelled", "queued", "queued"]


async def test_a_canary_that_never_ends_stops_its_operation(scene: Scene) -> None:
    """A canary is waited for no longer than its time, and none of its jobs having ended is a failure."""
    ids = await scene.dead(2)
    operation = await scene.add(ids=list(ids), canary=Canary(count=1))
    await scene.run()
    await execute(scene.url, "UPDATE operations SET canary_until = now() - interval '1s', next_at = now()")
    await scene.run()
    found = await scene.shown(operation)
    assert (found.state, "1 have not ended" in found.detail) == (OperationState.PAUSED, True)


async def test_a_person_pauses_resumes_and_cancels(scene: Scene) -> None:
    """A pause in the middle of a step finishes the page; the operation goes on where it was, and an end is an end."""
    operations, tenant = scene.history.operations, scene.queue.tenant
    ids = await scene.dead(3)
    operation = await scene.add(ids=list(ids), rate=1.0)
    taken = await operations.take("one", lease_s=60.0)
    assert taken is not None
    assert await operations.pause(tenant, operation) is not None
    assert await operations.pause(tenant, operation) is None
    step = Advance(state=OperationState.RUNNING, found=1, done=1, cursor="1")
    assert await operations.advance(taken, step)
    await scene.make_due()
    assert await scene.run() == 0
    assert (await scene.shown(operation)).state is OperationState.PAUSED
    resumed = await operations.resume(tenant, operation)
    assert resumed is not None
    assert (resumed.shown.state, resumed.cursor) == (OperationState.RUNNING, "1")
    await scene.run(most=1)
    assert await operations.cancel(tenant, operation) is not None
    assert await operations.cancel(tenant, operation) is None
    await scene.make_due()
    assert await scene.run() == 0
    found = await scene.shown(operation)
    assert (found.state, found.done) == (OperationState.CANCELLED, 2)


async def test_jobs_that_die_after_it_was_asked_for_are_left_alone(scene: Scene) -> None:
    """A query is frozen: a job that was submitted later is not found, and one that died later is refused."""
    [job_id] = await scene.dead(1)
    operation = await scene.add(q="")
    await scene.broker.store.redrive(scene.queue, [job_id])
    await scene.die_again(job_id)
    later = await scene.dead(1)
    await scene.run()
    found = await scene.shown(operation)
    assert (found.found, found.done, found.refused) == (1, 0, 1)
    assert await scene.states([job_id, *later]) == ["dead", "dead"]


async def test_operations_take_turns(scene: Scene) -> None:
    """The operation that has waited for longest has the next step."""
    ids = await scene.dead(2)
    first, second = await scene.add(ids=[ids[0]]), await scene.add(ids=[ids[1]])
    await scene.run(most=1)
    assert (await scene.shown(first)).state is OperationState.DONE
    await scene.run(most=1)
    assert (await scene.shown(second)).state is OperationState.DONE
