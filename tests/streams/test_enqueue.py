"""enqueue.lua stores a new job once, in the place that its time and priority name."""

import time
from typing import Any

import pytest
from streams.audit import audit
from streams.seeds import (
    FAR_MS,
    LONG_AGO_MS,
    commit,
    events,
    everything,
    fields_of,
    job_of,
    kinds,
    new_job,
    seed,
    take,
    take_one,
)

from millstream_contracts import JobState, Priority, Queue, limits
from millstream_streams import Broker, EnqueueCode, Idempotency, JobStore, NewJob, QueueScripts, RedisClock
from millstream_streams.store import script_runner
from millstream_streams.store.scripting import run_script


@pytest.mark.parametrize("priority", list(Priority))
async def test_enqueue_puts_a_job_into_the_stream_of_its_priority(
    broker: Broker, queue: Queue, priority: Priority
) -> None:
    """A ready job is one entry in the stream of its priority, and nowhere else."""
    job = new_job(queue, {"to": "ann"}, priority=priority)
    (stored,) = await broker.store.enqueue(queue, [job])
    snapshot = await audit(broker, queue)
    fields = await fields_of(broker, queue, job.id)
    assert stored.code is EnqueueCode.STORED
    assert stored.id == job.id
    assert snapshot.places_of(job.id) == [(f"ready:{priority}", fields["entry"].decode())]
    assert (int(fields["ready_at"]), stored.due_ms) == (stored.now_ms, None)
    assert fields["spec"] == job.spec
    seen = await job_of(broker, queue, job.id)
    assert (seen.state, seen.priority, seen.payload) == (JobState.QUEUED, priority, {"to": "ann"})


@pytest.mark.parametrize(
    "when",
    [{"delay_ms": FAR_MS}, {"run_at_ms": 4_102_444_800_000}],
    ids=["delay", "run_at"],
)
async def test_enqueue_schedules_a_job_whose_time_is_to_come(
    broker: Broker, queue: Queue, when: dict[str, int]
) -> None:
    """A delayed job waits in `due` under its time, and is in no stream."""
    job = new_job(queue, **when)
    (stored,) = await broker.store.enqueue(queue, [job])
    snapshot = await audit(broker, queue)
    assert snapshot.due == {job.id: stored.due_ms}
    assert (await job_of(broker, queue, job.id)).state is JobState.SCHEDULED
    assert "run_at_ms" not in when or stored.due_ms == when["run_at_ms"]


@pytest.mark.parametrize(
    "when",
    [{"delay_ms": 0}, {"delay_ms": -60_000}, {"run_at_ms": 0}, {"run_at_ms": LONG_AGO_MS}, {"run_at_ms": -1}],
    ids=str,
)
async def test_enqueue_makes_a_job_ready_when_its_time_is_past(
    broker: Broker, queue: Queue, when: dict[str, int]
) -> None:
    """A job whose time is past is ready at once, and is not written to `due`."""
    job = new_job(queue, **when)
    await broker.store.enqueue(queue, [job])
    seen = await job_of(broker, queue, job.id)
    assert (seen.state, seen.run_at) == (JobState.QUEUED, None)


async def test_enqueue_writes_large_times_with_all_their_digits(broker: Broker, queue: Queue) -> None:
    """The last day of the calendar is stored exactly, though it has more digits than Lua prints of a number."""
    last_ms = 253_402_300_799_999
    (job_id,) = await seed(broker, queue, run_at_ms=last_ms, expires_at_ms=last_ms - 1)
    fields = await fields_of(broker, queue, job_id)
    assert (int(fields["run_at"]), int(fields["expires_at"])) == (last_ms, last_ms - 1)


async def test_enqueue_stores_nothing_twice_when_sent_again(broker: Broker, queue: Queue) -> None:
    """A repeated call with the same ids changes nothing."""
    jobs = [new_job(queue), new_job(queue, delay_ms=FAR_MS), new_job(queue, priority=Priority.LOW)]
    await broker.store.enqueue(queue, jobs)
    before = await everything(broker, queue)
    again = await broker.store.enqueue(queue, jobs)
    assert [one.code for one in again] == [EnqueueCode.STORED_BEFORE] * 3
    assert [one.id for one in again] == [job.id for job in jobs]
    assert await everything(broker, queue) == before


async def test_enqueue_stores_an_id_once_when_one_call_names_it_twice(broker: Broker, queue: Queue) -> None:
    """The second mention of an id within a call counts as a repetition."""
    job = new_job(queue)
    codes = [one.code for one in await broker.store.enqueue(queue, [job, job])]
    assert codes == [EnqueueCode.STORED, EnqueueCode.STORED_BEFORE]


async def test_enqueue_does_not_revive_a_job_that_has_moved_on(broker: Broker, queue: Queue) -> None:
    """A late repetition leaves a running job as it is."""
    job = new_job(queue)
    await broker.store.enqueue(queue, [job])
    await take(broker, queue)
    (again,) = await broker.store.enqueue(queue, [job])
    assert again.code is EnqueueCode.STORED_BEFORE
    assert (await job_of(broker, queue, job.id)).state is JobState.RUNNING


async def test_enqueue_replays_when_the_idempotency_key_and_the_request_are_known(broker: Broker, queue: Queue) -> None:
    """One idempotency key and one request make one job, whatever ids the repetitions carry."""
    known = Idempotency(b"\x00\xff {}:\nkey ", "ab12")
    first, second = new_job(queue, idempotency=known), new_job(queue, idempotency=known)
    await broker.store.enqueue(queue, [first])
    (replayed,) = await broker.store.enqueue(queue, [second])
    assert (replayed.code, replayed.id) == (EnqueueCode.REPLAYED, first.id)
    assert await broker.views.job(queue, second.id) is None


async def test_enqueue_refuses_an_idempotency_key_used_for_another_request(broker: Broker, queue: Queue) -> None:
    """A known idempotency key with another request is refused, and the response names the first job."""
    first = new_job(queue, idempotency=Idempotency(b"key", "ab12"))
    second = new_job(queue, idempotency=Idempotency(b"key", "cd34"))
    await broker.store.enqueue(queue, [first])
    before = await everything(broker, queue)
    (refused,) = await broker.store.enqueue(queue, [second])
    assert (refused.code, refused.id) == (EnqueueCode.KEY_REUSED, first.id)
    assert await everything(broker, queue) == before


async def test_enqueue_honours_an_idempotency_key_within_one_call(broker: Broker, queue: Queue) -> None:
    """Of two requests with one idempotency key in one call, the first makes the job."""
    known = Idempotency(b"key", "ab12")
    first, second = new_job(queue, idempotency=known), new_job(queue, idempotency=known)
    stored, replayed = await broker.store.enqueue(queue, [first, second])
    assert (stored.code, replayed.code, replayed.id) == (EnqueueCode.STORED, EnqueueCode.REPLAYED, first.id)


async def test_enqueue_says_stored_before_when_its_own_keyed_job_is_sent_again(broker: Broker, queue: Queue) -> None:
    """A repeated call with the same key and id answers that the job was stored before, and is no replay."""
    job = new_job(queue, idempotency=Idempotency(b"key", "ab12"))
    await broker.store.enqueue(queue, [job])
    (again,) = await broker.store.enqueue(queue, [job])
    assert (again.code, again.id) == (EnqueueCode.STORED_BEFORE, job.id)


async def test_enqueue_keeps_an_idempotency_key_for_a_day(broker: Broker, queue: Queue) -> None:
    """An idempotency key is remembered for a day."""
    await seed(broker, queue, idempotency=Idempotency(b"key", "ab12"))
    ttl_ms = await broker.client.pttl(broker.keys.of(queue).idempotency_prefix + "key")
    assert limits.IDEMPOTENCY_TTL_S * 1000 - 60_000 < ttl_ms <= limits.IDEMPOTENCY_TTL_S * 1000


async def test_enqueue_keeps_all_that_one_job_asks_for(broker: Broker, queue: Queue) -> None:
    """Each option of a job is stored in its own place."""
    known = Idempotency(b"a key", "ab12")
    job = new_job(
        queue, priority=Priority.LOW, delay_ms=FAR_MS, expires_at_ms=4_102_444_800_000, waited=True, idempotency=known
    )
    (stored,) = await broker.store.enqueue(queue, [job])
    (again,) = await broker.store.enqueue(queue, [new_job(queue, idempotency=known)])
    fields = await fields_of(broker, queue, job.id)
    assert (again.code, again.id) == (EnqueueCode.REPLAYED, job.id)
    assert (fields["priority"], fields["expires_at"], fields["waited"]) == (b"low", b"4102444800000", b"1")
    assert int(fields["run_at"]) == stored.due_ms
    assert (await audit(broker, queue)).expiring == {job.id: 4_102_444_800_000}


async def test_enqueue_keeps_the_payload_as_it_is(broker: Broker, queue: Queue) -> None:
    """A spec is an opaque blob, and each of its bytes comes back."""
    payload = {"n": 2**63 - 1, "f": 1.1, "b": bytes(range(256)), "e": [], "o": {}, "s": "\x00\u2028\U0001f600"}
    job = new_job(queue, payload)
    await broker.store.enqueue(queue, [job])
    assert (await job_of(broker, queue, job.id)).payload == payload


async def test_enqueue_stores_a_batch_of_large_payloads(broker: Broker, queue: Queue) -> None:
    """A full call of the largest payloads is stored whole."""
    blob = b"x" * limits.MAX_PAYLOAD_BYTES
    jobs = [new_job(queue, blob) for _ in range(limits.MAX_SCRIPT_JOBS)]
    stored = await broker.store.enqueue(queue, jobs)
    assert {one.code for one in stored} == {EnqueueCode.STORED}
    assert (await job_of(broker, queue, jobs[-1].id)).payload == blob


async def test_enqueue_tells_of_each_job_in_one_event_per_kind_of_place(broker: Broker, queue: Queue) -> None:
    """A call writes one event for its ready jobs, and one for its scheduled jobs."""
    ready = [new_job(queue), new_job(queue)]
    waiting = [new_job(queue, delay_ms=FAR_MS)]
    await broker.store.enqueue(queue, [*ready, *waiting])
    seen = [
        [(one.id, one.version, one.state, one.deliveries) for one in event.jobs]
        for event in await events(broker, queue)
    ]
    assert await kinds(broker, queue) == ["submitted", "submitted"]
    assert seen == [[(job.id, 1, "queued", 0) for job in ready], [(waiting[0].id, 1, "scheduled", 0)]]


async def test_enqueue_stores_a_job_that_is_born_expired(broker: Broker, queue: Queue) -> None:
    """A job whose expiry is past is stored, and the claim expires it."""
    (job_id,) = await seed(broker, queue, expires_at_ms=LONG_AGO_MS)
    assert (await job_of(broker, queue, job_id)).state is JobState.QUEUED
    assert await take(broker, queue) == []
    assert (await job_of(broker, queue, job_id)).state is JobState.EXPIRED


async def test_enqueue_keeps_partitions_apart(broker: Broker, queue: Queue) -> None:
    """Two partitions of a type share no key."""
    other = Queue(queue.tenant, queue.type, 255)
    (job_id,) = await seed(broker, other)
    assert await take(broker, queue) == []
    assert [delivery.id for delivery in await take(broker, other)] == [job_id]
    assert "_ff" in job_id


async def enqueue_by(broker: Broker, queue: Queue, job: NewJob, not_after_ms: int, options: str = "") -> Any:
    """Send one call as JobStore sends it, with a bound of this time; return the reply for the job."""
    keys = broker.keys.of(queue)
    arguments = [keys.job_prefix, limits.IDEMPOTENCY_TTL_S * 1000, not_after_ms, "", job.id, job.spec, options]
    script = script_runner.load_script("enqueue")
    return (await run_script(broker.client, script, keys.script_keys, arguments))[1]


async def test_enqueue_gives_a_job_no_second_life(broker: Broker, queue: Queue) -> None:
    """A repetition that arrives when its job has run and was forgotten is refused, and stores nothing."""
    job = new_job(queue)
    assert await enqueue_by(broker, queue, job, broker.clock.now_ms() + FAR_MS) == EnqueueCode.STORED
    await commit(broker, await take_one(broker, queue))
    await broker.client.delete(broker.keys.of(queue).job(job.id))
    assert await enqueue_by(broker, queue, job, LONG_AGO_MS) == EnqueueCode.TOO_LATE
    assert (await everything(broker, queue))[broker.keys.of(queue).ready[1]] == []
    assert await fields_of(broker, queue, job.id) == {}


async def test_enqueue_meets_a_job_that_is_still_there_however_late(broker: Broker, queue: Queue) -> None:
    """A late repetition whose job can still be read answers that it was stored before."""
    job = new_job(queue)
    await broker.store.enqueue(queue, [job])
    assert await enqueue_by(broker, queue, job, LONG_AGO_MS) == EnqueueCode.STORED_BEFORE


async def test_enqueue_stores_a_late_job_that_has_a_key(broker: Broker, queue: Queue) -> None:
    """An idempotency key is kept for longer than any call lasts, so a call with one is never too late."""
    key = broker.keys.of(queue).idempotency_prefix + "k"
    options = f"2         f00d {key}"
    assert await enqueue_by(broker, queue, new_job(queue), LONG_AGO_MS, options) == EnqueueCode.STORED


@pytest.mark.parametrize("more", [{}, {"delay_ms": 60_000}, {"key": "acme"}], ids=["plain", "later", "with a key"])
async def test_enqueue_keeps_who_has_submitted_a_job(broker: Broker, queue: Queue, more: dict[str, Any]) -> None:
    """A job says who has submitted it, whatever else there is to it, and one without an owner says nothing."""
    own, other = new_job(queue, owner="7Kq2vXbA", **more), new_job(queue, **more)
    await broker.store.enqueue(queue, [own, other])
    assert [(await job_of(broker, queue, one.id)).submitted_by for one in (own, other)] == ["7Kq2vXbA", None]
    assert [await broker.views.owner(queue, one.id) for one in (own, other)] == ["7Kq2vXbA", ""]
    if not more:
        assert (await take_one(broker, queue)).id == own.id


def slow_store(broker: Broker, by_s: float) -> JobStore:
    """Return a store of a process whose clock is late by this much."""
    return JobStore(QueueScripts(broker.client, broker.keys), clock=RedisClock(wall=lambda: time.time() - by_s))


async def test_enqueue_learns_the_time_from_a_refusal(broker: Broker, queue: Queue) -> None:
    """A process whose clock is hours late stores its first jobs all the same."""
    job = new_job(queue)
    (stored,) = await slow_store(broker, 7200.0).enqueue(queue, [job])
    assert stored.code is EnqueueCode.STORED
