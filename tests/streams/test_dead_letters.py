"""redrive.lua and discard.lua carry out the decision of an operator about a dead job."""

import msgspec
from msgspec.structs import replace
from streams.audit import audit
from streams.seeds import (
    ERROR,
    TTL_MS,
    commit,
    events,
    everything,
    fields_of,
    job_of,
    new_job,
    recover_all,
    seed,
    seed_dead,
    seed_running,
    take,
    take_one,
)

from millstream_contracts import Dead, JobState, Priority, Queue, RetryAt, Succeeded
from millstream_streams import ActionCode, Broker, Commit, CommitCode, NewSpec, with_payload


async def test_redrive_makes_a_dead_job_ready_counted_from_zero(broker: Broker, queue: Queue) -> None:
    """A redriven job is ready in the stream of its priority, with attempts and crashes at zero."""
    job_id = await seed_dead(broker, queue, priority=Priority.HIGH)
    assert await broker.store.redrive(queue, [job_id]) == [ActionCode.DONE]
    await audit(broker, queue)
    job = await job_of(broker, queue, job_id)
    assert (job.state, job.attempts, job.crashes, job.reason, job.finished_at) == (JobState.QUEUED, 0, 0, None, None)
    assert job.error == ERROR
    delivery = await take_one(broker, queue)
    assert (delivery.id, delivery.priority_index, delivery.attempts, delivery.deliveries) == (job_id, 1, 0, 2)
    told = [event for event in await events(broker, queue) if event.kind == "redriven"]
    assert [(one.id, one.state) for event in told for one in event.jobs] == [(job_id, "queued")]


async def test_redrive_gives_a_crashed_job_its_crashes_back(broker: Broker, queue: Queue) -> None:
    """A redrive resets the crashes, so that the first crash after it does not bury the job."""
    running = await seed_running(broker, queue)
    await recover_all(broker, queue, max_crashes=1)
    await broker.store.redrive(queue, [running.id])
    await take_one(broker, queue)
    assert await recover_all(broker, queue, max_crashes=2) == [running.id]


async def test_redrive_runs_a_job_that_has_expired_meanwhile(broker: Broker, queue: Queue) -> None:
    """A redriven job runs also after its expiry has passed."""
    job_id = await seed_dead(broker, queue, expires_in_ms=60_000)
    await broker.client.hset(broker.keys.of(queue).job(job_id), "expires_at", 1)
    await broker.store.redrive(queue, [job_id])
    assert [delivery.id for delivery in await take(broker, queue)] == [job_id]


async def test_redrive_refuses_a_job_that_is_not_dead(broker: Broker, queue: Queue) -> None:
    """A redrive of a job that is not dead, also a repeated one, changes nothing."""
    job_id = await seed_dead(broker, queue)
    await broker.store.redrive(queue, [job_id])
    running = await take_one(broker, queue)
    (waiting,) = await seed(broker, queue)
    before = await everything(broker, queue)
    codes = await broker.store.redrive(queue, [running.id, waiting, new_job(queue).id])
    assert codes == [ActionCode.WRONG_STATE, ActionCode.WRONG_STATE, ActionCode.UNKNOWN_JOB]
    assert await everything(broker, queue) == before


async def test_redrive_keeps_the_zombie_of_the_first_life_out(broker: Broker, queue: Queue) -> None:
    """After a redrive the commit that buried the job is recognised as repeated, and any other old token is stale."""
    zombie = await seed_running(broker, queue)
    await recover_all(broker, queue)
    killer = await take_one(broker, queue)
    await commit(broker, killer, Dead("attempts", ERROR))
    await broker.store.redrive(queue, [zombie.id])
    again = await take_one(broker, queue)
    before = await everything(broker, queue)
    assert await commit(broker, killer, Dead("attempts", ERROR)) is CommitCode.COMMITTED_BEFORE
    assert await commit(broker, zombie) is CommitCode.STALE
    assert await everything(broker, queue) == before
    assert await commit(broker, again) is CommitCode.COMMITTED


async def test_redrive_with_a_new_spec_changes_the_payload_in_the_same_step(broker: Broker, queue: Queue) -> None:
    """A redriven job runs with its new spec, and the event says that it was patched."""
    job_id = await seed_dead(broker, queue, payload={"a": 1})
    stored = (await broker.views.stored_specs(queue, [job_id]))[job_id]
    spec = NewSpec(with_payload(stored.blob, msgspec.msgpack.encode({"a": 2})), stored.job.version)
    assert await broker.store.redrive(queue, [job_id], specs={job_id: spec}) == [ActionCode.DONE]
    await audit(broker, queue)
    assert (await job_of(broker, queue, job_id)).payload == {"a": 2}
    assert msgspec.msgpack.decode((await take_one(broker, queue)).spec.payload) == {"a": 2}
    told = [event for event in await events(broker, queue) if event.kind == "redriven"]
    assert [one.detail for event in told for one in event.jobs] == ["patched"]


async def test_redrive_with_a_spec_that_was_made_of_another_one_changes_nothing(broker: Broker, queue: Queue) -> None:
    """A job that has moved since its spec was read keeps the spec that it has, and stays dead."""
    job_id = await seed_dead(broker, queue, payload={"a": 1})
    stored = (await broker.views.stored_specs(queue, [job_id]))[job_id]
    await broker.store.redrive(queue, [job_id])
    await commit(broker, await take_one(broker, queue), Dead("attempts", ERROR))
    before = await everything(broker, queue)
    codes = await broker.store.redrive(queue, [job_id], specs={job_id: NewSpec(stored.blob, stored.job.version)})
    assert codes == [ActionCode.CHANGED]
    assert await everything(broker, queue) == before


def test_a_spec_with_another_payload_keeps_the_fields_of_a_newer_release() -> None:
    """Fields that this release does not know stay in a patched spec."""
    blob = msgspec.msgpack.encode([{"a": 1}, 17, "", "", None, None, None, None, "newer"])
    patched = msgspec.msgpack.decode(with_payload(blob, msgspec.msgpack.encode({"a": 2})))
    assert patched == [{"a": 2}, 17, "", "", None, None, None, None, "newer"]


async def test_discard_lets_a_dead_job_go(broker: Broker, queue: Queue) -> None:
    """A discarded job is cancelled, and is removed after a while."""
    job_id = await seed_dead(broker, queue)
    assert await broker.store.discard(queue, [job_id]) == [ActionCode.DONE]
    await audit(broker, queue)
    job = await job_of(broker, queue, job_id)
    assert (job.state, job.reason) == (JobState.CANCELLED, "discarded")
    assert (await broker.listing.dead([queue], cursor=None, limit=10)).items == []
    told = (await events(broker, queue))[-1]
    assert (told.kind, told.jobs[0].detail) == ("cancelled", "discarded")
    assert "dead_entry" not in await fields_of(broker, queue, job_id)


async def test_discard_refuses_a_job_that_is_not_dead(broker: Broker, queue: Queue) -> None:
    """A discard of a job that is not dead, also a repeated one, changes nothing."""
    job_id = await seed_dead(broker, queue)
    await broker.store.discard(queue, [job_id])
    (waiting,) = await seed(broker, queue)
    before = await everything(broker, queue)
    codes = await broker.store.discard(queue, [job_id, waiting, new_job(queue).id])
    assert codes == [ActionCode.WRONG_STATE, ActionCode.WRONG_STATE, ActionCode.UNKNOWN_JOB]
    assert await everything(broker, queue) == before


async def test_redrive_refuses_a_discarded_job(broker: Broker, queue: Queue) -> None:
    """A discarded job cannot be redriven."""
    job_id = await seed_dead(broker, queue)
    await broker.store.discard(queue, [job_id])
    assert await broker.store.redrive(queue, [job_id]) == [ActionCode.WRONG_STATE]


async def test_a_job_may_die_again_after_a_redrive(broker: Broker, queue: Queue) -> None:
    """A job that dies again after a redrive has one dead letter, the later one."""
    job_id = await seed_dead(broker, queue)
    await broker.store.redrive(queue, [job_id])
    delivery = await take_one(broker, queue)
    await commit(broker, delivery, RetryAt(0, ERROR))
    last = await take_one(broker, queue)
    letter = Commit(last, Dead("again", ERROR), TTL_MS)
    await broker.store.commit(queue, worker="w1", commits=[letter])
    ((_, fields),) = await broker.client.xrange(broker.keys.of(queue).dlq)
    assert fields[b"reason"] == b"again"
    assert (await job_of(broker, queue, job_id)).attempts == 2


async def test_redrive_and_discard_treat_a_mixed_call_job_by_job(broker: Broker, queue: Queue) -> None:
    """A call of jobs in different states redrives or discards those that are dead, and reports on each."""
    await seed(broker, queue, 50)
    taken = await take(broker, queue, limit=50)
    commits = [Commit(one, Dead("x", ERROR), TTL_MS) for one in taken]
    await broker.store.commit(queue, worker="w1", commits=commits)
    ids = [one.id for one in taken]
    assert await broker.store.redrive(queue, ids[:25]) == [ActionCode.DONE] * 25
    assert await broker.store.discard(queue, ids) == [ActionCode.WRONG_STATE] * 25 + [ActionCode.DONE] * 25
    done = Commit(replace(taken[0], token="x"), Succeeded(), TTL_MS)
    assert await broker.store.commit(queue, worker="w1", commits=[done]) == [CommitCode.STALE]
