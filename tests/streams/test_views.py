"""Views return jobs as the API shows them."""

import msgspec
from streams.seeds import ERROR, commit, job_of, new_job, seed, seed_running

from millstream_contracts import Backoff, JobSpec, JobState, Queue, RetryAt, Submission, Succeeded, moment, new_job_id
from millstream_streams import Broker, Depths, NewJob, assemble, sum_depths

SPEC = JobSpec(
    payload=msgspec.Raw(msgspec.msgpack.encode({"to": ["ann"]})),
    created_at_ms=1_700_000_000_123,
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    max_attempts=7,
    timeout_s=1.5,
    tags={"customer": "42"},
)


async def test_job_shows_what_the_spec_holds(broker: Broker, queue: Queue) -> None:
    """A job shows every field of its spec."""
    job = NewJob(id=new_job_id(queue, at_ms=1_700_000_000_122), spec=msgspec.msgpack.encode(SPEC), delay_ms=60_000)
    (stored,) = await broker.store.enqueue(queue, [job])
    seen = await job_of(broker, queue, job.id)
    assert (seen.type, seen.payload, seen.max_attempts) == ("email.send", {"to": ["ann"]}, 7)
    assert (seen.tags, seen.timeout_s, seen.created_at) == ({"customer": "42"}, 1.5, moment(1_700_000_000_122))
    assert seen.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert stored.due_ms is not None
    assert seen.run_at == moment(stored.due_ms)


async def test_job_is_none_when_there_is_no_such_job(broker: Broker, queue: Queue) -> None:
    """An unknown id, or one of another tenant, is None."""
    (job_id,) = await seed(broker, queue)
    assert await broker.views.job(queue, new_job_id(queue)) is None
    assert await broker.views.job(msgspec.structs.replace(queue, tenant="other"), job_id) is None


async def test_jobs_come_in_the_asked_order_without_payload_and_result(broker: Broker, queue: Queue) -> None:
    """A list keeps the order of its ids, omits payloads and results, and skips jobs that are gone."""
    first, second = await seed(broker, queue, 2, payload={"big": 1})
    running = await seed_running(broker, msgspec.structs.replace(queue, partition=1))
    await commit(broker, running, Succeeded(msgspec.Raw(b"\x01")))
    found = await broker.views.jobs(queue, [second, new_job_id(queue), first])
    assert [job.id for job in found] == [second, first]
    assert [job.payload for job in found] == [None, None]
    (done,) = await broker.views.jobs(msgspec.structs.replace(queue, partition=1), [running.id])
    assert (done.state, done.result) == (JobState.SUCCEEDED, None)


async def test_jobs_of_nothing_is_nothing(broker: Broker, queue: Queue) -> None:
    """No ids return no jobs."""
    assert await broker.views.jobs(queue, []) == []
    assert await broker.views.dead_letters(queue, []) == []


async def test_dead_letters_pass_over_jobs_that_are_not_dead(broker: Broker, queue: Queue) -> None:
    """The list of dead letters skips a job that was redriven since."""
    (job_id,) = await seed(broker, queue)
    assert await broker.views.dead_letters(queue, [job_id]) == []


async def test_job_shows_every_count_apart(broker: Broker, queue: Queue) -> None:
    """A job shows attempts, deliveries, crashes and hand-backs apart."""
    running = await seed_running(broker, queue)
    await commit(broker, running, RetryAt(0, ERROR))
    (again,) = (await broker.store.claim(queue, consumer="w2", nonce="n", limit=1)).deliveries
    await broker.store.hand_back(queue, worker="w2", deliveries=[again])
    job = await job_of(broker, queue, running.id)
    assert (job.attempts, job.deliveries, job.crashes, job.handbacks, job.version) == (1, 2, 0, 1, 5)
    assert (job.error, job.worker) == (ERROR, "w2")
    assert job.started_at is not None
    assert job.finished_at is None


def test_assemble_turns_a_submission_into_a_job() -> None:
    """A submission becomes a job with milliseconds for seconds, Unix times for moments, and a fixed spec."""
    submission = msgspec.json.decode(
        b'{"type":"a","priority":"high","delay_s":1.5,"expires_in_s":0.25,"max_attempts":2,'
        b'"timeout_s":3,"backoff":{"kind":"linear","base_s":2},"tags":{"k":"v"}}',
        type=Submission,
    )
    job_id = new_job_id(Queue("default", "a", 3))
    job = assemble(job_id, submission, b"\x81\xa1a\x01", traceparent="t", tracestate="s", waited=True)
    spec = msgspec.msgpack.decode(job.spec, type=JobSpec)
    assert job.id == job_id
    assert (job.priority, job.delay_ms, job.expires_in_ms, job.waited) == ("high", 1500, 250, True)
    assert (job.run_at_ms, job.expires_at_ms, job.idempotency) == (None, None, None)
    assert (bytes(spec.payload), spec.traceparent, spec.tracestate) == (b"\x81\xa1a\x01", "t", "s")
    assert (spec.max_attempts, spec.timeout_s, spec.tags) == (2, 3.0, {"k": "v"})
    assert spec.backoff == Backoff(kind="linear", base_s=2.0)


def test_assemble_takes_moments_as_unix_times() -> None:
    """A moment in any zone becomes one Unix time."""
    submission = msgspec.json.decode(
        b'{"type":"a","run_at":"2026-01-01T01:00:00.5+01:00","expires_at":"2026-01-01T00:00:01Z"}', type=Submission
    )
    job = assemble(new_job_id(Queue("default", "a")), submission, b"\xc0")
    assert (job.run_at_ms, job.expires_at_ms) == (1_767_225_600_500, 1_767_225_601_000)


def test_sum_depths_adds_the_partitions_of_a_type() -> None:
    """Counts of partitions are summed, ages are those of the oldest, and one paused partition shows."""
    status = sum_depths(
        "a",
        [
            Depths((1, 2, 3), 4, 5, 6, paused=False, oldest_ready_age_ms=500, oldest_dead_age_ms=9000, events=1),
            Depths((10, 20, 30), 40, 50, 60, paused=True, oldest_ready_age_ms=1500, oldest_dead_age_ms=0, events=1),
        ],
    )
    assert status.queued == {"high": 11, "normal": 22, "low": 33}
    assert (status.partitions, status.running, status.scheduled, status.dead) == (2, 44, 55, 66)
    assert (status.paused, status.oldest_ready_age_s, status.oldest_dead_age_s) == (True, 1.5, 9.0)
    assert sum_depths("a", []).partitions == 0


async def test_a_spec_that_cannot_be_read_harms_no_other_job(broker: Broker, queue: Queue) -> None:
    """A job whose spec cannot be read is delivered, and so are the jobs of the same claim."""
    torn = NewJob(id=new_job_id(queue), spec=b"\xc1 not MessagePack")
    good = new_job(queue)
    await broker.store.enqueue(queue, [torn, good])
    claim = await broker.store.claim(queue, consumer="w1", nonce="n", limit=2)
    assert [one.id for one in claim.deliveries] == [torn.id, good.id]
    for delivery in claim.deliveries:
        await commit(broker, delivery)


async def test_a_job_in_a_state_of_a_newer_release_is_shown_as_blocked(broker: Broker, torn_queue: Queue) -> None:
    """A job in an unknown state is shown as blocked, and a client that waits for it keeps waiting."""
    (job_id,) = await seed(broker, torn_queue)
    key = broker.keys.of(torn_queue).job(job_id)
    await broker.client.hset(key, mapping={"state": "parked", "version": 4, "colour": "red"})
    shown = await job_of(broker, torn_queue, job_id)
    assert (shown.state, shown.state.is_settled, shown.version) == (JobState.BLOCKED, False, 4)
    assert [job.state for job in await broker.views.jobs(torn_queue, [job_id])] == [JobState.BLOCKED]
