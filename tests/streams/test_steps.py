"""What a durable handler has behind it is stored once, under its token, and a signal is lost at no time."""

import msgspec
import pytest
from streams.audit import audit
from streams.seeds import (
    ERROR,
    FAR_MS,
    commit,
    events,
    fields_of,
    job_of,
    recover_all,
    seed,
    seed_dead,
    seed_running,
    take_one,
)

from millstream_contracts import (
    Cancelled,
    Dead,
    JobId,
    JobState,
    Outcome,
    Queue,
    RetryAt,
    Snoozed,
    StepAnswer,
    StepCode,
    StoredStep,
    Succeeded,
    Waiting,
    limits,
)
from millstream_streams import ActionCode, Broker, Delivery, Idempotency, SignalCode, StoreError

PAID = msgspec.msgpack.encode({"paid": 3})
AGAIN = msgspec.msgpack.encode({"paid": 4})


async def save(
    broker: Broker, delivery: Delivery, name: str = "charge", content: bytes = PAID, version: str = ""
) -> StepAnswer:
    """Store what a step has given."""
    return await broker.steps.save_step(delivery, name, version, "step", content)


async def left_of(broker: Broker, queue: Queue, job_id: JobId) -> list[str]:
    """Return which keys of steps there are of a job."""
    keys = broker.keys.of(queue)
    named = {"steps": keys.steps_prefix + job_id, "signals": keys.signals_prefix + job_id}
    return [name for name, key in named.items() if await broker.client.exists(key)]


async def test_save_step_keeps_what_it_has_stored(broker: Broker, queue: Queue) -> None:
    """A step that is stored is answered, whatever a repetition has given."""
    delivery = await seed_running(broker, queue)
    first = await save(broker, delivery)
    assert first.code is StepCode.SAVED
    assert await save(broker, delivery, content=AGAIN) == StepAnswer(StepCode.FOUND, first.step)
    assert await broker.views.steps(queue, delivery.id) == {"charge": first.step}
    assert first.step is not None
    assert first.step.content == PAID


async def test_save_step_refuses_a_zombie(broker: Broker, queue: Queue) -> None:
    """A delivery that is another worker's by now stores nothing."""
    zombie = await seed_running(broker, queue)
    await recover_all(broker, queue)
    assert (await save(broker, zombie)).code is StepCode.STALE
    delivery = await take_one(broker, queue)
    assert (await save(broker, zombie)).code is StepCode.STALE
    assert await broker.views.steps(queue, delivery.id) == {}


async def test_await_step_refuses_a_zombie(broker: Broker, queue: Queue) -> None:
    """A delivery that is another worker's by now waits for nothing, and takes no signal."""
    zombie = await seed_running(broker, queue)
    await broker.steps.signal(queue, zombie.id, "approved", PAID)
    await recover_all(broker, queue)
    assert (await broker.steps.await_step(zombie, "nap", "", "+5")).code is StepCode.STALE
    assert (await broker.steps.await_step(zombie, "approved", "approved", "")).code is StepCode.STALE
    assert await broker.views.kept_signals(queue, zombie.id) == ["approved"]


async def test_save_step_replaces_one_of_another_version(broker: Broker, queue: Queue) -> None:
    """What is stored under another version is void."""
    delivery = await seed_running(broker, queue)
    await save(broker, delivery, version="1")
    answer = await save(broker, delivery, content=AGAIN, version="2")
    assert answer.code is StepCode.SAVED
    assert (await broker.views.steps(queue, delivery.id))["charge"] == answer.step


async def test_steps_outlive_a_retry_and_a_death(broker: Broker, queue: Queue) -> None:
    """A later attempt and a redriven job find the steps of the earlier ones; a fresh one finds none."""
    delivery = await seed_running(broker, queue)
    await save(broker, delivery)
    await commit(broker, delivery, RetryAt(0, ERROR))
    delivery = await take_one(broker, queue)
    await commit(broker, delivery, Dead("attempts", ERROR))
    await broker.store.redrive(queue, [delivery.id])
    assert list(await broker.views.steps(queue, delivery.id)) == ["charge"]
    await commit(broker, await take_one(broker, queue), Dead("attempts", ERROR))
    await broker.store.redrive(queue, [delivery.id], fresh=True)
    assert await broker.views.steps(queue, delivery.id) == {}


@pytest.mark.parametrize("outcome", [Succeeded(), Cancelled("no more")], ids=["success", "discard"])
async def test_steps_go_with_the_end_of_their_job(broker: Broker, queue: Queue, outcome: Outcome) -> None:
    """Nothing of steps and signals is left of a job that has ended, and the job can be read as long as any."""
    delivery = await seed_running(broker, queue)
    await save(broker, delivery)
    await broker.steps.signal(queue, delivery.id, "approved", PAID)
    await commit(broker, delivery, outcome, ttl_ms=FAR_MS)
    assert await left_of(broker, queue, delivery.id) == []
    assert 0 < await broker.client.pttl(broker.keys.of(queue).job(delivery.id)) <= FAR_MS
    await audit(broker, queue)


@pytest.mark.parametrize("end", ["cancel", "discard", "erase"])
async def test_steps_go_with_a_job_that_is_ended(broker: Broker, queue: Queue, end: str) -> None:
    """A decision about a job takes its steps with it."""
    delivery = await seed_running(broker, queue)
    await save(broker, delivery)
    await broker.steps.signal(queue, delivery.id, "other", PAID)
    await commit(broker, delivery, Dead("attempts", ERROR) if end == "discard" else Snoozed(FAR_MS))
    assert await left_of(broker, queue, delivery.id) == ["steps", "signals"]
    action = {"cancel": broker.store.cancel, "discard": broker.store.discard, "erase": broker.store.erase}[end]
    assert await action(queue, [delivery.id]) == [ActionCode.DONE]
    assert await left_of(broker, queue, delivery.id) == []


async def test_steps_are_bounded_in_number(broker: Broker, queue: Queue) -> None:
    """A job has no more steps than is allowed; those that it has may still be replaced."""
    delivery = await seed_running(broker, queue)
    for number in range(limits.MAX_STEPS):
        await save(broker, delivery, f"step {number}")
    assert (await broker.steps.await_step(delivery, "one more", "", "+5")).code is StepCode.TOO_MANY
    assert (await save(broker, delivery, "one more")).code is StepCode.TOO_MANY
    assert (await save(broker, delivery, "step 0", AGAIN, version="2")).code is StepCode.SAVED
    assert len(await broker.views.steps(queue, delivery.id)) == limits.MAX_STEPS


async def test_steps_are_bounded_in_size(broker: Broker, queue: Queue) -> None:
    """The steps of a job are no larger together than is allowed, and a smaller one makes room."""
    delivery, half = await seed_running(broker, queue), limits.MAX_STEPS_BYTES // 2
    assert (await save(broker, delivery, "a", bytes(half))).code is StepCode.SAVED
    assert (await save(broker, delivery, "b", bytes(half))).code is StepCode.TOO_LARGE
    assert (await save(broker, delivery, "a", PAID, version="2")).code is StepCode.SAVED
    assert (await save(broker, delivery, "b", bytes(half))).code is StepCode.SAVED


async def test_await_step_notes_once_until_when_it_waits(broker: Broker, queue: Queue) -> None:
    """A sleep ends when its first call says, and not by the one of a later delivery."""
    delivery = await seed_running(broker, queue)
    first = await broker.steps.await_step(delivery, "nap", "", f"+{FAR_MS}")
    assert first.code is StepCode.FOUND
    assert first.left_ms == FAR_MS
    later = await broker.steps.await_step(delivery, "nap", "", f"+{2 * FAR_MS}")
    assert later.left_ms is not None
    assert later.left_ms <= FAR_MS


async def test_await_step_ends_a_sleep_for_good(broker: Broker, queue: Queue) -> None:
    """A sleep that is over stays so."""
    delivery = await seed_running(broker, queue)
    over = await broker.steps.await_step(delivery, "nap", "", "1")
    assert over.step is not None
    assert over.step.kind == "slept"
    assert await broker.steps.await_step(delivery, "nap", "", f"+{FAR_MS}") == over


async def test_await_step_takes_a_signal_that_has_come_before(broker: Broker, queue: Queue) -> None:
    """A signal is kept until a wait takes it, the oldest of a name first, and each once."""
    (job_id,) = await seed(broker, queue)
    assert await broker.steps.signal(queue, job_id, "approved", PAID) is SignalCode.KEPT
    assert await broker.steps.signal(queue, job_id, "other", PAID) is SignalCode.KEPT
    assert await broker.steps.signal(queue, job_id, "approved", AGAIN) is SignalCode.KEPT
    delivery = await take_one(broker, queue)
    found = [await broker.steps.await_step(delivery, name, "approved", "") for name in ("one", "two", "three")]
    assert [one.step.content if one.step else None for one in found] == [PAID, AGAIN, None]
    assert await broker.steps.await_step(delivery, "one", "approved", "") == found[0]
    assert await broker.views.kept_signals(queue, job_id) == ["other"]


async def test_signal_makes_a_job_ready_that_waits_for_it(broker: Broker, queue: Queue) -> None:
    """A job that waits for a signal is shown as such, and becomes ready with the signal of that name alone."""
    delivery = await seed_running(broker, queue)
    await broker.steps.await_step(delivery, "approved", "approved", f"+{FAR_MS}")
    await commit(broker, delivery, Waiting("approved", FAR_MS))
    job = await job_of(broker, queue, delivery.id)
    assert (job.state, job.waiting_for) == (JobState.SCHEDULED, "approved")
    assert await broker.steps.signal(queue, delivery.id, "other", PAID) is SignalCode.KEPT
    assert (await job_of(broker, queue, delivery.id)).state is JobState.SCHEDULED
    assert await broker.steps.signal(queue, delivery.id, "approved", PAID) is SignalCode.DELIVERED
    job = await job_of(broker, queue, delivery.id)
    assert (job.state, job.waiting_for, job.run_at) == (JobState.QUEUED, None, None)
    await audit(broker, queue)
    again = await take_one(broker, queue)
    assert (again.attempts, again.deliveries) == (0, 2)
    taken = await broker.steps.await_step(again, "approved", "approved", "")
    assert taken.step is not None
    assert (taken.step.kind, taken.step.content) == ("signal", PAID)


async def test_commit_loses_no_signal_that_comes_between_look_and_wait(broker: Broker, queue: Queue) -> None:
    """A job whose signal has come since its handler has looked is ready at once."""
    delivery = await seed_running(broker, queue)
    await broker.steps.await_step(delivery, "approved", "approved", "")
    assert await broker.steps.signal(queue, delivery.id, "approved", PAID) is SignalCode.KEPT
    await commit(broker, delivery, Waiting("approved", FAR_MS))
    job = await job_of(broker, queue, delivery.id)
    assert (job.state, job.waiting_for) == (JobState.QUEUED, None)
    assert [kind for kind, _ in await _kinds(broker, queue, delivery.id)][-1] == "snoozed"


async def _kinds(broker: Broker, queue: Queue, job_id: JobId) -> list[tuple[str, str]]:
    return [
        (str(event.kind), one.state) for event in await events(broker, queue) for one in event.jobs if one.id == job_id
    ]


async def test_a_wait_is_shown_no_longer_than_it_lasts(broker: Broker, queue: Queue) -> None:
    """A job that is tried again later for another reason waits for no signal."""
    delivery = await seed_running(broker, queue)
    await broker.steps.await_step(delivery, "approved", "approved", "")
    await commit(broker, delivery, Waiting("approved", 0))
    await commit(broker, await take_one(broker, queue), Snoozed(FAR_MS))
    assert (await job_of(broker, queue, delivery.id)).waiting_for is None
    assert await broker.steps.signal(queue, delivery.id, "approved", PAID) is SignalCode.KEPT


async def test_a_timeout_stays_one_when_the_signal_comes_late(broker: Broker, queue: Queue) -> None:
    """What has ended a wait is not changed by a later signal."""
    delivery = await seed_running(broker, queue)
    over = await broker.steps.await_step(delivery, "approved", "approved", "1")
    assert over.step is not None
    assert over.step.kind == "timeout"
    await broker.steps.signal(queue, delivery.id, "approved", PAID)
    assert await broker.steps.await_step(delivery, "approved", "approved", "") == over


async def test_signal_is_sent_once_by_its_key(broker: Broker, queue: Queue) -> None:
    """A repetition changes nothing, also when the job has ended since; another request with the key is refused."""
    delivery = await seed_running(broker, queue)
    key = Idempotency(b"key", "f00d")
    send = broker.steps.signal
    assert await send(queue, delivery.id, "approved", PAID, key) is SignalCode.KEPT
    assert await send(queue, delivery.id, "approved", PAID, key) is SignalCode.REPLAYED
    assert await send(queue, delivery.id, "approved", AGAIN, Idempotency(b"key", "beef")) is SignalCode.KEY_REUSED
    assert await broker.views.kept_signals(queue, delivery.id) == ["approved"]
    await commit(broker, delivery)
    assert await send(queue, delivery.id, "approved", PAID, key) is SignalCode.REPLAYED


async def test_signal_refuses_a_job_that_has_ended(broker: Broker, queue: Queue) -> None:
    """An ended and an unknown job take no signal; a dead one does, because it may be redriven."""
    delivery = await seed_running(broker, queue)
    await commit(broker, delivery)
    assert await broker.steps.signal(queue, delivery.id, "approved", PAID) is SignalCode.ENDED
    assert await broker.steps.signal(queue, JobId(f"{queue.type}_00none"), "approved", PAID) is SignalCode.UNKNOWN_JOB
    assert await left_of(broker, queue, delivery.id) == []
    dead = await seed_dead(broker, queue)
    assert await broker.steps.signal(queue, dead, "approved", PAID) is SignalCode.KEPT


async def test_signals_that_nothing_takes_are_bounded(broker: Broker, queue: Queue) -> None:
    """A job keeps so many signals, and no more."""
    (job_id,) = await seed(broker, queue)
    for _ in range(limits.MAX_KEPT_SIGNALS):
        assert await broker.steps.signal(queue, job_id, "approved", PAID) is SignalCode.KEPT
    assert await broker.steps.signal(queue, job_id, "approved", PAID) is SignalCode.TOO_MANY


async def test_a_job_without_steps_pays_nothing(broker: Broker, queue: Queue) -> None:
    """A plain job has no field and no key of steps."""
    delivery = await seed_running(broker, queue)
    await commit(broker, delivery)
    assert "waited" not in await fields_of(broker, queue, delivery.id)
    assert await left_of(broker, queue, delivery.id) == []


async def test_a_garbled_step_is_as_none(broker: Broker, queue: Queue) -> None:
    """A step that something else has written is left out, and is stored anew."""
    delivery = await seed_running(broker, queue)
    await broker.client.hset(broker.keys.of(queue).steps_prefix + delivery.id, mapping={"charge": b"\xff", "": "x"})
    assert await broker.views.steps(queue, delivery.id) == {}
    answer = await save(broker, delivery)
    assert answer.code is StepCode.SAVED
    assert await broker.views.steps(queue, delivery.id) == {"charge": answer.step}


async def test_garbage_in_place_of_steps_and_signals_stops_one_job(broker: Broker, queue: Queue) -> None:
    """With other things under its keys a job still waits, ends and leaves nothing; others do not notice."""
    delivery, other = await seed_running(broker, queue), await seed_running(broker, queue)
    keys = broker.keys.of(queue)
    await save(broker, delivery)
    await broker.client.set(keys.steps_prefix + delivery.id, "x")
    await broker.client.set(keys.signals_prefix + delivery.id, "x")
    with pytest.raises(StoreError):
        await save(broker, delivery, "two")
    with pytest.raises(StoreError):
        await broker.steps.signal(queue, delivery.id, "approved", PAID)
    assert await broker.views.steps(queue, delivery.id) == {}
    assert await broker.views.kept_signals(queue, delivery.id) == []
    await commit(broker, delivery, Waiting("approved", 0))
    await commit(broker, await take_one(broker, queue))
    assert await left_of(broker, queue, delivery.id) == []
    assert (await save(broker, other)).code is StepCode.SAVED


def test_a_step_reads_what_scripts_write() -> None:
    """The text of a step has its kind, its time and its version, and then what it has given."""
    assert StoredStep.read(b"step 17 v 1\n\n\xc0") == StoredStep("step", 17, "v 1", b"\n\xc0")
    with pytest.raises(ValueError, match="unpack"):
        StoredStep.read(b"something else")
