"""Operations on jobs that have not settled: they are cancelled, run before their time or given another priority."""

from dispatcher.operations.scene import Scene
from history_seeds import store
from streams.seeds import commit, job_of, seed, seed_running, take_one

from millstream_contracts import JobId, OperationState, Priority, Succeeded


async def waiting(scene: Scene, count: int, **options: object) -> list[JobId]:
    """Make jobs that wait, known to the history too."""
    ids = await seed(scene.broker, scene.queue, count, **options)
    for job_id in ids:
        await store(scene.history, scene.queue, await job_of(scene.broker, scene.queue, job_id))
    return ids


async def test_a_cancellation_ends_what_waits_of_its_query(scene: Scene) -> None:
    """All jobs of the query that have not settled are cancelled; dead ones and those of others are not found."""
    dead = await scene.dead(1)
    ids = [*await waiting(scene, 3), *await waiting(scene, 1, delay_ms=3_600_000)]
    operation = await scene.add("cancel", q=f"type:{scene.queue.type}")
    await scene.run()
    found = await scene.shown(operation)
    assert (found.state, found.found, found.done, found.refused) == (OperationState.DONE, 4, 4, 0)
    assert await scene.states([*ids, *dead]) == ["cancelled"] * 4 + ["dead"]


async def test_the_worker_of_a_running_job_is_asked(scene: Scene) -> None:
    """A job that runs counts as done once its worker has been asked, and a repeated step asks no more."""
    running = await seed_running(scene.broker, scene.queue)
    for _ in range(2):
        operation = await scene.add("cancel", ids=[running.id])
        await scene.run()
        assert (await scene.shown(operation)).done == 1
    job = await job_of(scene.broker, scene.queue, running.id)
    assert (job.state, job.cancel_requested) == ("running", True)


async def test_what_has_ended_is_refused(scene: Scene) -> None:
    """A job that has ended since the history heard of it is left alone, as is one that there is not."""
    [job_id] = await waiting(scene, 1)
    await commit(scene.broker, await take_one(scene.broker, scene.queue), Succeeded(b"\xc0"))
    by_query = await scene.add("cancel", q=f"type:{scene.queue.type}")
    by_ids = await scene.add("cancel", ids=[job_id, "nonsense"])
    await scene.run()
    assert [one.reason for one in (await scene.shown(by_query)).refusals] == ["it has ended"]
    assert {one.id: one.reason for one in (await scene.shown(by_ids)).refusals} == {
        job_id: "it has ended",
        "nonsense": "there is no such job",
    }
    assert await scene.states([job_id]) == ["succeeded"]


async def test_a_dry_run_cancels_nothing(scene: Scene) -> None:
    """A dry run counts the jobs that would be cancelled."""
    dead = await scene.dead(1)
    ids = await waiting(scene, 2)
    operation = await scene.add("cancel", ids=[*ids, *dead], dry_run=True)
    await scene.run()
    found = await scene.shown(operation)
    assert (found.done, found.refused) == (2, 1)
    assert await scene.states(ids) == ["queued"] * 2


async def test_what_waits_for_its_time_is_run_now(scene: Scene) -> None:
    """Scheduled jobs are ready, those that were are done, and dead ones are left alone; a dry run only counts."""
    dead = await scene.dead(1)
    late, ready = await waiting(scene, 2, delay_ms=3_600_000), await waiting(scene, 1)
    for dry_run in (True, False):
        operation = await scene.add("run-now", ids=[*late, *ready, *dead], dry_run=dry_run)
        await scene.run()
        found = await scene.shown(operation)
        assert (found.done, found.refused) == (3, 1)
        assert [one.reason for one in found.refusals] == ["it waits for another job, is dead or has ended"]
        assert await scene.states(late) == (["scheduled"] if dry_run else ["queued"]) * 2


async def test_what_has_not_started_is_given_another_priority(scene: Scene) -> None:
    """Jobs of a search have the priority that was asked for; one that runs keeps its own."""
    running = await seed_running(scene.broker, scene.queue)
    ids = [*await waiting(scene, 2), *await waiting(scene, 1, delay_ms=3_600_000)]
    operation = await scene.add("priority", ids=[*ids, running.id], priority=Priority.HIGH)
    await scene.run()
    found = await scene.shown(operation)
    assert (found.done, [one.reason for one in found.refusals]) == (3, ["it runs, is dead or has ended"])
    jobs = [await job_of(scene.broker, scene.queue, job_id) for job_id in [*ids, running.id]]
    assert [job.priority for job in jobs] == [Priority.HIGH] * 3 + [Priority.NORMAL]
