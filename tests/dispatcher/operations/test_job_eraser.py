"""An operation of the kind `erase` removes jobs from Redis and from the history, whatever their state."""

from collections.abc import Sequence

import pytest
from dispatcher.operations.scene import Scene
from history_databases import query
from history_seeds import store
from streams.seeds import commit, job_of, new_job, seed, seed_running, take_one

from millstream_contracts import JobId, OperationState, Queue
from millstream_streams import ActionCode

SECRET = "ann@example.org"


async def test_an_erasure_removes_jobs_that_a_search_finds_in_any_state(scene: Scene) -> None:
    """Dead, waiting and ended jobs go; the query, which names the person, goes with the end of the operation."""
    dead = await scene.dead(1, payload={"to": SECRET})
    running = await seed_running(scene.broker, scene.queue)
    await commit(scene.broker, running)
    waiting = await seed(scene.broker, scene.queue, payload={"to": SECRET})
    for job_id in (*waiting, running.id):
        await store(scene.history, scene.queue, await job_of(scene.broker, scene.queue, job_id))
    operation = await scene.add("erase", q=f'type:{scene.queue.type} -error:"{SECRET}"')
    await scene.run()
    found = await scene.shown(operation)
    assert (found.state, found.done, found.refused, found.q) == (OperationState.DONE, 3, 0, None)
    for job_id in (*dead, *waiting, running.id):
        assert await scene.broker.views.job(scene.queue, job_id) is None
        assert await scene.history.erasures.erased_at(scene.queue.tenant, job_id) is not None
    for table in ("jobs", "transitions", "operations"):
        assert SECRET not in str(await query(scene.url, f"SELECT * FROM {table}"))


async def test_a_running_job_is_refused_and_goes_on_being_stored(scene: Scene) -> None:
    """A job that runs is refused with the reason, and its history is written as before."""
    running = await seed_running(scene.broker, scene.queue, payload={"to": SECRET})
    operation = await scene.add("erase", ids=[running.id, "nonsense", new_job(scene.queue).id])
    await scene.run()
    found = await scene.shown(operation)
    assert (found.done, found.refused) == (0, 3)
    assert {one.reason.partition(":")[0] for one in found.refusals} == {"it runs", "there is no such job"}
    assert await scene.history.erasures.erased_at(scene.queue.tenant, running.id) is None
    await store(scene.history, scene.queue, await job_of(scene.broker, scene.queue, running.id))
    stored = await scene.history.job(scene.queue.tenant, running.id)
    assert stored is not None
    assert stored.job.payload == {"to": SECRET}


async def test_a_job_that_begins_to_run_meanwhile_is_refused_without_a_mark(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that a worker takes between the look and the removal is refused, and its history goes on."""
    [job_id] = await seed(scene.broker, scene.queue)
    erase = scene.broker.store.erase

    async def taken_first(queue: Queue, ids: Sequence[JobId]) -> list[ActionCode]:
        await take_one(scene.broker, queue)
        return await erase(queue, ids)

    monkeypatch.setattr(scene.broker.store, "erase", taken_first)
    operation = await scene.add("erase", ids=[job_id])
    await scene.run()
    found = await scene.shown(operation)
    assert (found.done, [one.id for one in found.refusals]) == (0, [job_id])
    assert await scene.history.erasures.erased_at(scene.queue.tenant, job_id) is None


async def test_an_erasure_that_is_repeated_erases_what_is_left(scene: Scene) -> None:
    """A step whose dispatcher was killed in the middle is done again, to the same end."""
    [one, two] = await scene.dead(2)
    operation = await scene.add("erase", ids=[one, two])
    await scene.history.erasures.mark(scene.queue.tenant, [one, two])
    await scene.broker.store.erase(scene.queue, [one])
    await scene.run()
    assert (await scene.shown(operation)).done == 2
    assert await scene.broker.views.job(scene.queue, two) is None


async def test_a_dry_run_of_an_erasure_counts_and_erases_nothing(scene: Scene) -> None:
    """A dry run says how many jobs would be erased."""
    ids = await scene.dead(2)
    operation = await scene.add("erase", q="state:dead", dry_run=True)
    await scene.run()
    assert (await scene.shown(operation)).done == 2
    assert await scene.states(ids) == ["dead"] * 2
    assert await scene.history.erasures.erased_at(scene.queue.tenant, ids[0]) is None


async def test_a_cancelled_erasure_keeps_no_query(scene: Scene) -> None:
    """The query of an erasure is removed also when a person ends it."""
    operation = await scene.add("erase", q=f"tag.customer:{SECRET}")
    assert (await scene.shown(operation)).q == f"tag.customer:{SECRET}"
    cancelled = await scene.history.operations.cancel(scene.queue.tenant, operation)
    assert cancelled is not None
    assert (cancelled.shown.q, cancelled.query) == (None, None)
    assert SECRET not in str(await query(scene.url, "SELECT * FROM operations"))


async def test_what_other_operations_tell_of_an_erased_job_goes_too(scene: Scene) -> None:
    """Samples and refusals of other operations hold values of payloads, and lose those of an erased job alone."""
    [one, two] = await scene.dead(2, payload={"to": SECRET})
    patch = await scene.add("patch", ids=[one, two, "nonsense"], patch={"to": "x"}, dry_run=True)
    await scene.run()
    assert len((await scene.shown(patch)).samples) == 2
    await scene.add("erase", ids=[one])
    await scene.run()
    found = await scene.shown(patch)
    assert ([sample.id for sample in found.samples], len(found.refusals)) == ([two], 1)
