"""commit.lua stores the outcome of a delivery once, for the worker that has its token and for no other."""

from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from msgspec.structs import replace
from streams.audit import audit
from streams.seeds import (
    ERROR,
    FAR_MS,
    TTL_MS,
    commit,
    events,
    everything,
    fields_of,
    job_of,
    make_due,
    new_job,
    pending,
    recover_all,
    seed,
    seed_running,
    take,
    take_one,
)

from millstream_contracts import (
    Cancelled,
    Dead,
    HandedBack,
    JobError,
    JobState,
    KeptLine,
    KeptLines,
    Outcome,
    Priority,
    Progress,
    Queue,
    RetryAt,
    Snoozed,
    Succeeded,
)
from millstream_streams import HISTORY_GROUP, Broker, Commit, CommitCode, Delivery
from millstream_streams.reading.consumers import make_group

RESULT = msgspec.Raw(msgspec.msgpack.encode({"sent": 3}))

OUTCOMES = {
    "succeeded": Succeeded(RESULT),
    "retry": RetryAt(FAR_MS, ERROR),
    "retry at once": RetryAt(0, ERROR),
    "snoozed": Snoozed(FAR_MS),
    "snoozed for nothing": Snoozed(0),
    "dead": Dead("attempts", ERROR),
    "cancelled": Cancelled("discarded by its handler"),
}
STATES = {
    "succeeded": JobState.SUCCEEDED,
    "retry": JobState.SCHEDULED,
    "retry at once": JobState.QUEUED,
    "snoozed": JobState.SCHEDULED,
    "snoozed for nothing": JobState.QUEUED,
    "dead": JobState.DEAD,
    "cancelled": JobState.CANCELLED,
}
any_outcome = pytest.mark.parametrize("outcome", OUTCOMES.values(), ids=OUTCOMES)


@pytest.mark.parametrize("name", OUTCOMES)
@pytest.mark.parametrize("priority", list(Priority))
async def test_commit_moves_the_job_to_where_its_outcome_says(
    broker: Broker, queue: Queue, name: str, priority: Priority
) -> None:
    """A commit moves the job to the place of its outcome, and deletes its entry from stream and pending list."""
    running = await seed_running(broker, queue, priority=priority)
    assert await commit(broker, running, OUTCOMES[name]) is CommitCode.COMMITTED
    await audit(broker, queue)
    job = await job_of(broker, queue, running.id)
    stream = broker.keys.of(queue).ready[running.priority_index - 1]
    assert job.state is STATES[name]
    assert job.priority is priority
    assert await broker.client.xrange(stream, running.entry, running.entry) == []
    assert await pending(broker, stream) == []


async def test_commit_keeps_the_result_of_a_success(broker: Broker, queue: Queue) -> None:
    """A success counts an attempt and keeps the result for the given time."""
    running = await seed_running(broker, queue)
    await commit(broker, running, Succeeded(RESULT), ttl_ms=60_000)
    job = await job_of(broker, queue, running.id)
    assert (job.state, job.result, job.attempts, job.version) == (JobState.SUCCEEDED, {"sent": 3}, 1, 3)
    assert job.finished_at is not None
    assert 50_000 < await broker.client.pttl(broker.keys.of(queue).job(running.id)) <= 60_000


@pytest.mark.parametrize("outcome", [Succeeded(RESULT), Succeeded(), Cancelled("by hand")])
async def test_what_is_kept_for_no_time_is_gone_at_once(broker: Broker, queue: Queue, outcome: Outcome) -> None:
    """A job whose result is kept for 0 ms leaves nothing behind when it ends, and its event tells of it."""
    running = await seed_running(broker, queue)
    await commit(broker, running, outcome, ttl_ms=0)
    assert await broker.client.exists(broker.keys.of(queue).job(running.id)) == 0
    [*_, last] = await events(broker, queue)
    assert [one.id for one in last.jobs] == [running.id]


async def test_commit_keeps_the_error_after_a_later_success(broker: Broker, queue: Queue) -> None:
    """The error of the last failed attempt stays readable."""
    await commit(broker, await seed_running(broker, queue), RetryAt(0, ERROR))
    second = await take_one(broker, queue)
    await commit(broker, second)
    job = await job_of(broker, queue, second.id)
    assert (job.state, job.error, job.attempts) == (JobState.SUCCEEDED, ERROR, 2)


async def test_commit_refuses_a_zombie_of_a_job_that_succeeded(broker: Broker, queue: Queue) -> None:
    """A commit on a succeeded job is stale unless it carries the token of its commit, also with the same outcome."""
    zombie = await seed_running(broker, queue)
    await recover_all(broker, queue)
    await commit(broker, await take_one(broker, queue))
    assert await commit(broker, zombie) is CommitCode.STALE


async def test_commit_knows_what_an_earlier_release_committed(broker: Broker, queue: Queue) -> None:
    """A commit is recognised as repeated also where an earlier release moved the token to `done_token`."""
    running = await seed_running(broker, queue)
    await commit(broker, running)
    key = broker.keys.of(queue).job(running.id)
    await broker.client.hset(key, mapping={"token": "", "done_token": running.token})
    assert await commit(broker, running) is CommitCode.COMMITTED_BEFORE
    other = Commit(replace(running, token="1:other"), Succeeded(), TTL_MS)
    assert await broker.store.commit(queue, worker="w1", commits=[other]) == [CommitCode.STALE]


@any_outcome
async def test_commit_clears_the_stream_that_the_job_was_claimed_from(
    broker: Broker, queue: Queue, outcome: Outcome
) -> None:
    """A commit deletes the entry from the stream it was claimed from, also when the job's priority changed since."""
    running = await seed_running(broker, queue)
    await broker.client.hset(broker.keys.of(queue).job(running.id), "priority", "high")
    assert await commit(broker, running, outcome) is CommitCode.COMMITTED
    await audit(broker, queue)


async def test_commit_keeps_no_result_where_there_is_none(broker: Broker, queue: Queue) -> None:
    """A handler that returns nothing stores no result, which reads as nothing."""
    running = await seed_running(broker, queue)
    await commit(broker, running, Succeeded())
    assert (await job_of(broker, queue, running.id)).result is None
    assert "result" not in await fields_of(broker, queue, running.id)


async def test_commit_schedules_a_retry_by_the_clock_of_redis(broker: Broker, queue: Queue) -> None:
    """A retry is due after its delay by the clock of Redis, and not by that of a worker."""
    running = await seed_running(broker, queue)
    await commit(broker, running, RetryAt(FAR_MS, ERROR))
    job = await job_of(broker, queue, running.id)
    told = (await events(broker, queue))[-1]
    assert job.run_at is not None
    assert job.run_at.timestamp() * 1000 == told.at_ms + FAR_MS
    assert (job.attempts, job.error, told.kind, told.jobs[0].state) == (1, ERROR, "retrying", "scheduled")


async def test_commit_treats_a_negative_delay_as_none(broker: Broker, queue: Queue) -> None:
    """A retry with a negative delay is ready at once."""
    running = await seed_running(broker, queue)
    await commit(broker, running, RetryAt(-5_000, ERROR))
    assert (await job_of(broker, queue, running.id)).state is JobState.QUEUED


async def test_commit_charges_no_attempt_for_a_snooze(broker: Broker, queue: Queue) -> None:
    """A snooze counts no attempt."""
    running = await seed_running(broker, queue)
    await commit(broker, running, Snoozed(0))
    again = await take_one(broker, queue)
    assert (again.attempts, again.deliveries, again.last_error) == (0, 2, None)


async def test_commit_buries_with_reason_and_fingerprint(broker: Broker, queue: Queue) -> None:
    """A dead letter has a reason and a fingerprint, and its job stays until an operator decides."""
    running = await seed_running(broker, queue)
    await commit(broker, running, Dead("bad address", ERROR), ttl_ms=1_000)
    keys = broker.keys.of(queue)
    ((_, letter),) = await broker.client.xrange(keys.dlq)
    assert letter[b"id"].decode() == running.id
    assert (letter[b"reason"], letter[b"fingerprint"]) == (b"bad address", b"f00d")
    assert await broker.client.pttl(keys.job(running.id)) == -1
    job = await job_of(broker, queue, running.id)
    assert (job.state, job.reason, job.error, job.attempts) == (JobState.DEAD, "bad address", ERROR, 1)


async def test_commit_keeps_the_words_of_a_reason(broker: Broker, queue: Queue) -> None:
    """A reason may be any text and an error may lack a fingerprint: neither is taken for the other."""
    reason, error = " two  words\nand a line\u00e9 ", JobError(type="ValueError", message="")
    running = await seed_running(broker, queue)
    await commit(broker, running, Dead(reason, error))
    ((_, letter),) = await broker.client.xrange(broker.keys.of(queue).dlq)
    assert (letter[b"reason"].decode(), letter[b"fingerprint"]) == (reason, b"")
    job = await job_of(broker, queue, running.id)
    assert (job.reason, job.error) == (reason, error)


async def test_commit_keeps_the_reason_of_a_cancellation(broker: Broker, queue: Queue) -> None:
    """A discard by the handler counts no attempt and keeps its reason."""
    running = await seed_running(broker, queue)
    await commit(broker, running, Cancelled("order withdrawn"))
    job = await job_of(broker, queue, running.id)
    assert (job.state, job.reason, job.attempts) == (JobState.CANCELLED, "order withdrawn", 0)


@pytest.mark.parametrize("name", ["retry", "retry at once", "snoozed", "snoozed for nothing", "cancelled", "dead"])
async def test_commit_ends_a_job_whose_cancellation_was_asked_for(broker: Broker, queue: Queue, name: str) -> None:
    """A failed job whose cancellation was asked for is cancelled, and is neither retried nor buried."""
    running = await seed_running(broker, queue)
    await broker.store.cancel(queue, [running.id])
    assert await commit(broker, running, OUTCOMES[name]) is CommitCode.COMMITTED
    assert (await job_of(broker, queue, running.id)).state is JobState.CANCELLED


async def test_commit_lets_a_success_stand_that_came_before_the_cancellation_was_seen(
    broker: Broker, queue: Queue
) -> None:
    """A success stands although a cancellation was asked for, because the work is done."""
    running = await seed_running(broker, queue)
    await broker.store.cancel(queue, [running.id])
    await commit(broker, running)
    assert (await job_of(broker, queue, running.id)).state is JobState.SUCCEEDED


@any_outcome
async def test_commit_changes_nothing_when_sent_again(broker: Broker, queue: Queue, outcome: Outcome) -> None:
    """A repeated commit answers that it was made before, and changes nothing."""
    running = await seed_running(broker, queue)
    await commit(broker, running, outcome)
    before = await everything(broker, queue)
    assert await commit(broker, running, outcome) is CommitCode.COMMITTED_BEFORE
    assert await everything(broker, queue) == before


@any_outcome
async def test_commit_counts_a_job_once_when_one_call_names_it_twice(
    broker: Broker, queue: Queue, outcome: Outcome
) -> None:
    """The second mention of a job within a call counts as a repetition, without a place or an event of its own."""
    running = await seed_running(broker, queue)
    one = Commit(running, outcome, TTL_MS)
    codes = await broker.store.commit(queue, worker="w1", commits=[one, one])
    assert codes == [CommitCode.COMMITTED, CommitCode.COMMITTED_BEFORE]
    await audit(broker, queue)
    assert [len(event.jobs) for event in await events(broker, queue)] == [1, 1, 1]


@any_outcome
async def test_commit_refuses_a_zombie(broker: Broker, queue: Queue, outcome: Outcome) -> None:
    """A commit is refused once the job was recovered and given to another worker."""
    zombie = await seed_running(broker, queue)
    await recover_all(broker, queue)
    owner = await take_one(broker, queue, "w2")
    before = await everything(broker, queue)
    assert await commit(broker, zombie, outcome) is CommitCode.STALE
    assert await everything(broker, queue) == before
    assert await commit(broker, owner) is CommitCode.COMMITTED


async def test_commit_refuses_a_zombie_before_anybody_took_the_job(broker: Broker, queue: Queue) -> None:
    """A commit is refused once the job was recovered, also while no other worker has it."""
    zombie = await seed_running(broker, queue)
    await recover_all(broker, queue)
    before = await everything(broker, queue)
    assert await commit(broker, zombie) is CommitCode.STALE
    assert await everything(broker, queue) == before


async def test_commit_refuses_an_old_token_after_a_newer_one_was_committed(broker: Broker, queue: Queue) -> None:
    """A token older than the last committed one is stale."""
    first = await seed_running(broker, queue)
    await commit(broker, first, RetryAt(0, ERROR))
    second = await take_one(broker, queue)
    await commit(broker, second, Snoozed(0))
    assert await commit(broker, first, RetryAt(0, ERROR)) is CommitCode.STALE
    assert await commit(broker, second, Snoozed(0)) is CommitCode.COMMITTED_BEFORE


@pytest.mark.parametrize("token", ["", "1:", ":", "2:other"])
async def test_commit_refuses_a_token_that_was_never_given(broker: Broker, queue: Queue, token: str) -> None:
    """A commit is refused with any token other than that of the delivery."""
    running = await seed_running(broker, queue)
    one = Commit(replace(running, token=token), Succeeded(), TTL_MS)
    assert await broker.store.commit(queue, worker="w1", commits=[one]) == [CommitCode.STALE]
    assert (await job_of(broker, queue, running.id)).state is JobState.RUNNING


async def test_commit_refuses_an_empty_token_for_a_waiting_job(broker: Broker, queue: Queue) -> None:
    """A commit with an empty token is refused for a waiting job, which has no token."""
    running = await seed_running(broker, queue)
    (job_id,) = await seed(broker, queue)
    one = Commit(replace(running, id=job_id, token=""), Succeeded(), TTL_MS)
    assert await broker.store.commit(queue, worker="w1", commits=[one]) == [CommitCode.STALE]
    assert (await job_of(broker, queue, job_id)).state is JobState.QUEUED


async def test_commit_says_so_when_there_is_no_such_job(broker: Broker, queue: Queue) -> None:
    """A commit of a job that is gone is reported as an orphan, and the others of the call are made."""
    running = await seed_running(broker, queue)
    gone = replace(running, id=new_job(queue).id)
    commits = [Commit(one, Succeeded(), TTL_MS) for one in (gone, running)]
    codes = await broker.store.commit(queue, worker="w1", commits=commits)
    assert codes == [CommitCode.UNKNOWN_JOB, CommitCode.COMMITTED]


async def test_commit_takes_every_kind_in_one_call(broker: Broker, queue: Queue) -> None:
    """One call commits outcomes of every kind, each to its own place and event."""
    for priority in Priority:
        await seed(broker, queue, 3, priority=priority)
    deliveries = await take(broker, queue)
    commits = [
        Commit(delivery, outcome, TTL_MS) for delivery, outcome in zip(deliveries, OUTCOMES.values(), strict=False)
    ]
    codes = await broker.store.commit(queue, worker="w1", commits=commits)
    assert set(codes) == {CommitCode.COMMITTED}
    states = [(await job_of(broker, queue, one.delivery.id)).state for one in commits]
    assert states == list(STATES.values())
    told = Counter((str(event.kind), one.state) for event in (await events(broker, queue))[4:] for one in event.jobs)
    assert told == {
        ("succeeded", "succeeded"): 1,
        ("retrying", "queued"): 1,
        ("retrying", "scheduled"): 1,
        ("snoozed", "queued"): 1,
        ("snoozed", "scheduled"): 1,
        ("dead", "dead"): 1,
        ("cancelled", "cancelled"): 1,
    }


@pytest.mark.parametrize("name", OUTCOMES)
async def test_commit_tells_of_several_jobs_with_one_outcome(broker: Broker, queue: Queue, name: str) -> None:
    """Jobs with the same outcome and reason share one event, and each keeps its own progress."""
    ids = await seed(broker, queue, 3)
    commits = [
        Commit(one, OUTCOMES[name], TTL_MS, Progress(float(at), f"step {at}"))
        for at, one in enumerate(await take(broker, queue))
    ]
    await broker.store.commit(queue, worker="w1", commits=commits)
    assert [one.id for one in (await events(broker, queue))[-1].jobs] == ids
    progress = [(await job_of(broker, queue, job_id)).progress for job_id in ids]
    assert progress == [one.progress for one in commits]


async def test_commit_stores_the_progress_of_its_own_delivery(broker: Broker, queue: Queue) -> None:
    """A stale outcome in the same call does not write its progress to the job."""
    zombie = await seed_running(broker, queue)
    await recover_all(broker, queue)
    owner = await take_one(broker, queue)
    sent = [Commit(owner, Succeeded(), TTL_MS, Progress(2.0)), Commit(zombie, Succeeded(), TTL_MS, Progress(1.0))]
    codes = await broker.store.commit(queue, worker="w1", commits=sent)
    assert codes == [CommitCode.COMMITTED, CommitCode.STALE]
    assert (await job_of(broker, queue, owner.id)).progress == Progress(2.0)


async def test_commit_takes_a_full_call(broker: Broker, queue: Queue) -> None:
    """One call commits a hundred outcomes."""
    await seed(broker, queue, 100)
    commits = [Commit(one, Succeeded(RESULT), TTL_MS) for one in await take(broker, queue, limit=100)]
    assert set(await broker.store.commit(queue, worker="w1", commits=commits)) == {CommitCode.COMMITTED}
    assert await broker.client.xlen(broker.keys.of(queue).ready[1]) == 0


async def test_commit_keeps_a_retried_job_runnable(broker: Broker, queue: Queue) -> None:
    """A retried job comes back with a new entry and a new token."""
    running = await seed_running(broker, queue)
    await commit(broker, running, RetryAt(FAR_MS, ERROR))
    await make_due(broker, queue, [running.id])
    await broker.store.release_due(queue)
    again = await take_one(broker, queue)
    assert again.id == running.id
    assert again.entry != running.entry
    assert await commit(broker, again) is CommitCode.COMMITTED


async def test_commit_writes_the_version_of_each_transition(broker: Broker, queue: Queue) -> None:
    """A job's versions grow by one with each transition, so that consumers can order its events."""
    running = await seed_running(broker, queue)
    await commit(broker, running, RetryAt(0, ERROR))
    await commit(broker, await take_one(broker, queue))
    versions = [one.version for event in await events(broker, queue) for one in event.jobs]
    assert versions == [1, 2, 3, 4, 5]
    assert int((await fields_of(broker, queue, running.id))["version"]) == 5


async def test_a_plain_life_reads_as_one_that_is_written(broker: Broker, queue: Queue) -> None:
    """A job that was only stored, claimed and succeeded stores no counts, and readers derive them from its state."""
    seen = []
    (job_id,) = await seed(broker, queue)
    seen.append(await job_of(broker, queue, job_id))
    running = await take_one(broker, queue)
    seen.append(await job_of(broker, queue, job_id))
    await commit(broker, running)
    seen.append(await job_of(broker, queue, job_id))
    assert [(job.version, job.deliveries, job.attempts) for job in seen] == [(1, 0, 0), (2, 1, 0), (3, 1, 1)]
    told = [(one.version, one.deliveries) for event in await events(broker, queue) for one in event.jobs]
    assert told == [(1, 0), (2, 1), (3, 1)]
    assert not {"version", "deliveries", "attempts"} & set(await fields_of(broker, queue, job_id))


LEAVING: dict[str, Callable[[Broker, Delivery], Awaitable[object]]] = {
    "retry": lambda broker, running: commit(broker, running, RetryAt(0, ERROR)),
    "hand back": lambda broker, running: broker.store.hand_back(running.queue, worker="w1", deliveries=[running]),
    "recovery": lambda broker, running: recover_all(broker, running.queue),
}


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING)
async def test_whatever_leaves_the_plain_life_goes_on_counting(
    broker: Broker, queue: Queue, leave: Callable[[Broker, Delivery], Awaitable[object]]
) -> None:
    """The delivery after a first one that was not stored counts as the second."""
    running = await seed_running(broker, queue)
    await leave(broker, running)
    left = await job_of(broker, queue, running.id)
    assert (left.version, left.deliveries) == (3, 1)
    again = await take_one(broker, queue)
    assert again.deliveries == 2
    assert (await job_of(broker, queue, running.id)).version == 4


async def test_a_wish_to_cancel_leaves_the_plain_life_too(broker: Broker, queue: Queue) -> None:
    """A request to cancel is a transition, so the success after it has version 4."""
    running = await seed_running(broker, queue)
    await broker.store.cancel(queue, [running.id])
    await commit(broker, running)
    job = await job_of(broker, queue, running.id)
    assert (job.state, job.version, job.deliveries, job.attempts) == (JobState.SUCCEEDED, 4, 1, 1)


async def test_commit_refuses_a_hand_back(broker: Broker, queue: Queue) -> None:
    """A commit refuses a hand-back, which has a script of its own."""
    running = await seed_running(broker, queue)
    with pytest.raises(TypeError, match="hand_back"):
        await commit(broker, running, HandedBack())


@any_outcome
@pytest.mark.parametrize("has_group", [True, False])
async def test_log_lines_go_with_the_event_of_the_end(
    broker: Broker, queue: Queue, outcome: Outcome, has_group: bool
) -> None:
    """Each job of a call has its own lines in its event, whatever its outcome; none has any if no group stores them."""
    if has_group:
        await make_group(broker.client, broker.keys.of(queue).events, HISTORY_GROUP)
    first, second, third = await seed(broker, queue, 3)
    kept = {
        first: KeptLines(0, [KeptLine(1, "info", "a")]),
        third: KeptLines(2, [KeptLine(2, "info", "b", {"c": "d"})]),
    }
    commits = [Commit(one, outcome, TTL_MS, None, kept.get(one.id)) for one in await take(broker, queue)]
    await broker.store.commit(queue, worker="w1", commits=commits)
    told = {job.id: job.log_lines for job in (await events(broker, queue))[-1].jobs}
    assert told == {job_id: kept.get(job_id) if has_group else None for job_id in (first, second, third)}


async def test_lines_of_a_stale_outcome_are_not_those_of_its_job(broker: Broker, queue: Queue) -> None:
    """Lines go by job and token: another delivery of the job in the same call adds none."""
    await make_group(broker.client, broker.keys.of(queue).events, HISTORY_GROUP)
    stale = await seed_running(broker, queue)
    await recover_all(broker, queue)
    owner = await take_one(broker, queue)
    lost, won = (KeptLines(0, [KeptLine(1, "info", word)]) for word in ("lost", "won"))
    commits = [Commit(owner, Succeeded(), TTL_MS, None, won), Commit(stale, Succeeded(), TTL_MS, Progress(1.0), lost)]
    await broker.store.commit(queue, worker="w1", commits=commits)
    [job] = (await events(broker, queue))[-1].jobs
    assert job.log_lines == won
