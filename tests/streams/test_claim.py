"""claim.lua gives each ready job to one worker, by share and age, and a lost response loses no job."""

import msgspec
import pytest
from streams.audit import audit
from streams.seeds import (
    ERROR,
    FAR_MS,
    LONG_AGO_MS,
    commit,
    events,
    everything,
    fields_of,
    job_of,
    kinds,
    lease,
    new_job,
    nonce,
    pending,
    recover_all,
    seed,
    seed_running,
    take,
    take_one,
)

from millstream_contracts import JobState, Priority, Progress, Queue, RetryAt
from millstream_streams import Broker, Claim, ReadEntry


async def read_one(broker: Broker, queue: Queue, consumer: str = "w1") -> ReadEntry:
    """Let the blocking read take one entry, as an idle worker does."""
    reader = broker.reader()
    try:
        (entry,) = await reader.wait([queue], consumer=consumer, block_ms=0)
    finally:
        await reader.close()
    return entry


async def test_claim_marks_jobs_as_running_in_the_order_of_their_age(broker: Broker, queue: Queue) -> None:
    """The oldest jobs are claimed first, and hash, pending list and response agree."""
    ids = await seed(broker, queue, 3)
    deliveries = await take(broker, queue, "w1", 2)
    assert [delivery.id for delivery in deliveries] == ids[:2]
    snapshot = await audit(broker, queue)
    for delivery in deliveries:
        fields = snapshot.jobs[delivery.id]
        assert fields["state"] == b"running"
        assert fields["token"].decode() == delivery.token
        assert fields["worker"] == b"w1"
        assert int(fields["started_at"]) == delivery.claimed_at_ms
        assert (delivery.attempts, delivery.deliveries, delivery.crashes) == (0, 1, 0)
        assert delivery.claimed_at_ms >= delivery.ready_at_ms > 0
    owners = await pending(broker, broker.keys.of(queue).ready[1])
    assert owners == [(delivery.entry.encode(), b"w1") for delivery in deliveries]
    assert (await job_of(broker, queue, ids[2])).state is JobState.QUEUED


async def test_claim_gives_a_job_to_one_worker(broker: Broker, queue: Queue) -> None:
    """Two workers never get the same job."""
    ids = await seed(broker, queue, 4)
    first, second = await take(broker, queue, "w1", 3), await take(broker, queue, "w2", 3)
    assert sorted(delivery.id for delivery in (*first, *second)) == sorted(ids)


async def test_claim_returns_nothing_when_the_queue_was_never_used(broker: Broker, queue: Queue) -> None:
    """A claim on a queue that was never used is empty and makes the consumer groups."""
    claim = await broker.store.claim(queue, consumer="w1", nonce="n", limit=5)
    assert claim == Claim([])


async def test_claim_delivers_what_waited_when_the_group_has_vanished(broker: Broker, queue: Queue) -> None:
    """A lost group is made again at the start of the stream, so that waiting jobs are delivered."""
    ids = await seed(broker, queue, 2)
    await take(broker, queue, limit=0)
    for stream in broker.keys.of(queue).ready:
        await broker.client.xgroup_create(stream, "workers", "$", mkstream=True)
        await broker.client.xgroup_destroy(stream, "workers")
    assert [delivery.id for delivery in await take(broker, queue)] == ids


@pytest.mark.parametrize(
    ("limit", "shares", "wanted"),
    [
        pytest.param(10, (7, 2, 1), {"high": 7, "normal": 2, "low": 1}, id="by share"),
        pytest.param(20, (14, 4, 2), {"high": 10, "normal": 8, "low": 2}, id="filled up from the top"),
        pytest.param(5, (0, 0, 0), {"high": 5}, id="strict"),
        pytest.param(3, (0, 0, 3), {"low": 3}, id="a turn for low"),
        pytest.param(4, (4, 4, 4), {"high": 4}, id="shares beyond the limit"),
        pytest.param(30, (21, 6, 3), {"high": 10, "normal": 10, "low": 10}, id="all there is"),
        pytest.param(0, (0, 0, 0), {}, id="none"),
    ],
)
async def test_claim_takes_from_each_priority_by_share(
    broker: Broker, queue: Queue, limit: int, shares: tuple[int, int, int], wanted: dict[str, int]
) -> None:
    """A claim serves the shares first, and fills the rest from high to low."""
    for priority in Priority:
        await seed(broker, queue, 10, priority=priority)
    deliveries = await take(broker, queue, limit=limit, shares=shares)
    names = [("high", "normal", "low")[delivery.priority_index - 1] for delivery in deliveries]
    assert {name: names.count(name) for name in set(names)} == wanted


async def test_claim_takes_a_full_limit_from_low_when_nothing_else_waits(broker: Broker, queue: Queue) -> None:
    """Shares of empty priorities go to those that have jobs."""
    await seed(broker, queue, 8, priority=Priority.LOW)
    assert len(await take(broker, queue, limit=8, shares=(6, 2, 0))) == 8


async def test_claim_returns_the_same_jobs_when_its_answer_was_lost(broker: Broker, queue: Queue) -> None:
    """A claim that resumes returns what the first one took: same tokens, no further charge and no further job."""
    await seed(broker, queue, 5)
    call = {"consumer": "w1", "nonce": nonce(), "limit": 3}
    first = await broker.store.claim(queue, **call)
    before = await everything(broker, queue)
    again = await broker.store.claim(queue, **call, resume=True)
    assert [(one.id, one.token, one.deliveries) for one in again.deliveries] == [
        (one.id, one.token, one.deliveries) for one in first.deliveries
    ]
    assert await everything(broker, queue) == before


async def test_a_claim_that_was_sent_again_began_with_its_first_try(broker: Broker, queue: Queue) -> None:
    """What the first try took has been running since then: its wait for a worker ended there."""
    (job_id,) = await seed(broker, queue)
    call = {"consumer": "w1", "nonce": nonce(), "limit": 1}
    (first,) = (await broker.store.claim(queue, **call)).deliveries
    await broker.client.hset(broker.keys.of(queue).job(job_id), "started_at", first.claimed_at_ms - 5_000)
    (again,) = (await broker.store.claim(queue, **call, resume=True)).deliveries
    assert again.claimed_at_ms == first.claimed_at_ms - 5_000


async def test_claim_fills_up_when_resuming_leaves_room(broker: Broker, queue: Queue) -> None:
    """Resuming counts against the limit; the rest of it is read as usual."""
    ids = await seed(broker, queue, 5)
    mark = nonce()
    await broker.store.claim(queue, consumer="w1", nonce=mark, limit=2)
    again = await broker.store.claim(queue, consumer="w1", nonce=mark, limit=4, resume=True)
    assert [one.id for one in again.deliveries] == ids[:4]


async def test_claim_leaves_the_jobs_of_earlier_calls_alone_when_resuming(broker: Broker, queue: Queue) -> None:
    """A claim that resumes does not return jobs of earlier claims whose responses arrived."""
    running = await seed_running(broker, queue)
    assert await take(broker, queue, resume=True) == []
    assert (await job_of(broker, queue, running.id)).state is JobState.RUNNING


async def test_claim_does_not_resume_what_another_worker_holds(broker: Broker, queue: Queue) -> None:
    """A nonce that two workers happen to share gives neither the other's jobs."""
    await seed(broker, queue)
    await broker.store.claim(queue, consumer="w1", nonce="n", limit=1)
    other = await broker.store.claim(queue, consumer="w2", nonce="n", limit=1, resume=True)
    assert other.deliveries == []


async def test_claim_adopts_what_a_lost_blocking_read_left(broker: Broker, queue: Queue) -> None:
    """A claim that resumes delivers an entry that a blocking read took and whose response was lost."""
    await take(broker, queue)
    (job_id,) = await seed(broker, queue)
    await read_one(broker, queue)
    assert await take(broker, queue) == []
    (delivery,) = await take(broker, queue, resume=True)
    assert (delivery.id, delivery.deliveries) == (job_id, 1)


async def test_claim_adopts_a_read_entry(broker: Broker, queue: Queue) -> None:
    """What a blocking read returned becomes a delivery like any other, beyond the limit."""
    await take(broker, queue)
    ids = await seed(broker, queue, 2)
    entry = await read_one(broker, queue)
    deliveries = await take(broker, queue, limit=2, read=[entry])
    assert [delivery.id for delivery in deliveries] == ids
    assert deliveries[0].entry == entry.entry


@pytest.mark.parametrize("limit", [0, 5])
async def test_claim_gives_a_read_entry_once_when_it_resumes_too(broker: Broker, queue: Queue, limit: int) -> None:
    """An entry that was read and is in the pending list becomes one delivery, so that its handler runs once."""
    await take(broker, queue)
    (job_id,) = await seed(broker, queue)
    entry = await read_one(broker, queue)
    deliveries = await take(broker, queue, limit=limit, read=[entry], resume=True)
    assert [delivery.id for delivery in deliveries] == [job_id]


async def test_claim_gives_a_read_entry_once_when_its_answer_was_lost(broker: Broker, queue: Queue) -> None:
    """Sent again with the same entries, a claim returns each of its deliveries once."""
    await take(broker, queue)
    await seed(broker, queue, 3)
    call = {"consumer": "w1", "nonce": nonce(), "limit": 3, "read": [await read_one(broker, queue)]}
    first = await broker.store.claim(queue, **call)
    again = await broker.store.claim(queue, **call, resume=True)
    assert sorted(one.token + one.id for one in again.deliveries) == sorted(
        one.token + one.id for one in first.deliveries
    )


async def test_claim_drops_a_read_entry_whose_job_was_cancelled(broker: Broker, queue: Queue) -> None:
    """An entry whose job was cancelled between read and claim is dropped."""
    await take(broker, queue)
    (job_id,) = await seed(broker, queue)
    entry = await read_one(broker, queue)
    await broker.store.cancel(queue, [job_id])
    assert await take(broker, queue, read=[entry]) == []
    assert (await job_of(broker, queue, job_id)).state is JobState.CANCELLED


async def test_claim_drops_a_read_entry_that_was_recovered(broker: Broker, queue: Queue) -> None:
    """An entry that was recovered between read and claim is dropped."""
    await take(broker, queue)
    (job_id,) = await seed(broker, queue)
    entry = await read_one(broker, queue)
    assert await recover_all(broker, queue) == [job_id]
    other = await take_one(broker, queue, "w2")
    assert await take(broker, queue, read=[entry]) == []
    assert (await job_of(broker, queue, job_id)).worker == "w2"
    assert other.token == (await fields_of(broker, queue, job_id))["token"].decode()


async def test_claim_takes_no_entry_that_another_worker_read(broker: Broker, queue: Queue) -> None:
    """A claim takes no entry that another worker has read."""
    await take(broker, queue)
    await seed(broker, queue)
    entry = await read_one(broker, queue, "w2")
    assert await take(broker, queue, "w1", read=[entry], resume=True) == []


async def test_claim_ignores_a_read_entry_when_all_keys_have_vanished(broker: Broker, queue: Queue) -> None:
    """A claim ignores a read entry after a FLUSHALL or a failover to an empty server, without an error."""
    entry = ReadEntry(queue, 2, "1700000000000-0", new_job(queue).id)
    claim = await broker.store.claim(queue, consumer="w1", nonce="n", limit=1, read=[entry], resume=True)
    assert claim.deliveries == []


async def test_claim_drops_an_entry_without_a_job(broker: Broker, torn_queue: Queue) -> None:
    """A claim removes an entry whose hash is gone."""
    stream = broker.keys.of(torn_queue).ready[1]
    (job_id,) = await seed(broker, torn_queue)
    await broker.client.delete(broker.keys.of(torn_queue).job(job_id))
    assert await take(broker, torn_queue) == []
    assert await broker.client.xlen(stream) == 0
    assert await pending(broker, stream) == []


async def test_claim_forgets_a_pending_entry_that_was_deleted(broker: Broker, torn_queue: Queue) -> None:
    """A claim that resumes acknowledges a pending entry that was deleted from its stream."""
    stream = broker.keys.of(torn_queue).ready[1]
    running = await seed_running(broker, torn_queue)
    await broker.client.xdel(stream, running.entry)
    assert await take(broker, torn_queue, resume=True) == []
    assert await pending(broker, stream) == []
    await broker.client.delete(broker.keys.of(torn_queue).job(running.id))


async def test_claim_expires_a_job_whose_time_is_over(broker: Broker, queue: Queue) -> None:
    """A claim expires a job whose time is over, and goes on to the next."""
    late = await seed(broker, queue, 2, expires_at_ms=LONG_AGO_MS)
    (good,) = await seed(broker, queue, expires_in_ms=FAR_MS)
    claim = await broker.store.claim(queue, consumer="w1", nonce="n", limit=10)
    assert ([one.id for one in claim.deliveries], claim.expired) == ([good], 2)
    assert [(await job_of(broker, queue, one)).state for one in late] == [JobState.EXPIRED] * 2
    expired = next(event for event in await events(broker, queue) if event.kind == "expired")
    assert [(one.id, one.state) for one in expired.jobs] == [(one, "expired") for one in late]


async def test_claim_gives_nothing_while_the_queue_is_paused(broker: Broker, queue: Queue) -> None:
    """A claim on a paused queue returns nothing but the time of the next attempt."""
    await seed(broker, queue)
    await broker.client.hset(broker.keys.of(queue).settings, "paused", "1")
    claim = await broker.store.claim(queue, consumer="w1", nonce="n", limit=1)
    assert claim.deliveries == []
    assert claim.ask_again_ms > 0
    await broker.client.hdel(broker.keys.of(queue).settings, "paused")
    assert len(await take(broker, queue)) == 1


async def test_claim_asks_again_once_a_second_while_the_queue_is_paused(broker: Broker, queue: Queue) -> None:
    """A claim on a paused queue asks to be repeated after a second; a value of `paused` other than 1 is no pause."""
    settings = broker.keys.of(queue).settings
    await broker.client.hset(settings, "paused", "1")
    assert await broker.store.claim(queue, consumer="w1", nonce="n", limit=1) == Claim([], 1000)
    await broker.client.hset(settings, "paused", "0")
    assert await broker.store.claim(queue, consumer="w1", nonce="n", limit=1) == Claim([], 0)


async def test_claim_resumes_in_every_priority_and_each_entry(broker: Broker, queue: Queue) -> None:
    """A claim that resumes returns every entry of all three streams."""
    ids = [job_id for priority in Priority for job_id in await seed(broker, queue, 2, priority=priority)]
    call = {"consumer": "w1", "nonce": nonce(), "limit": 6}
    await broker.store.claim(queue, **call)
    again = await broker.store.claim(queue, **call, resume=True)
    assert sorted(one.id for one in again.deliveries) == sorted(ids)


async def test_claim_adopts_every_read_entry(broker: Broker, queue: Queue) -> None:
    """A claim delivers every entry that a blocking read returned, one of each stream."""
    await take(broker, queue)
    ids = [job_id for priority in Priority for job_id in await seed(broker, queue, priority=priority)]
    reader = broker.reader()
    entries = await reader.wait([queue], consumer="w1", block_ms=0)
    await reader.close()
    assert sorted(one.id for one in await take(broker, queue, limit=0, read=entries)) == sorted(ids)


@pytest.mark.parametrize(("setting", "taken"), [("!limit", 0), ("colour", 1)])
async def test_claim_leaves_a_queue_with_a_setting_that_it_must_honour_to_a_release_that_knows_it(
    broker: Broker, queue: Queue, setting: str, taken: int
) -> None:
    """A claim skips a queue with a required setting that this release does not know, and ignores an optional one."""
    await seed(broker, queue)
    await broker.client.hset(broker.keys.of(queue).settings, setting, "7")
    claim = await broker.store.claim(queue, consumer="w1", nonce="n", limit=1)
    assert (len(claim.deliveries), claim.ask_again_ms > 0) == (taken, taken == 0)
    await broker.client.hdel(broker.keys.of(queue).settings, setting)
    assert len(await take(broker, queue)) == 1 - taken


async def test_claim_adopts_a_read_entry_while_the_queue_is_paused(broker: Broker, queue: Queue) -> None:
    """A claim delivers a read entry also while the queue is paused, because this worker holds it already."""
    await take(broker, queue)
    ids = await seed(broker, queue, 2)
    entry = await read_one(broker, queue)
    await broker.client.hset(broker.keys.of(queue).settings, "paused", "1")
    deliveries = await take(broker, queue, read=[entry])
    assert [delivery.id for delivery in deliveries] == ids[:1]


async def test_claim_counts_each_delivery_and_each_failure(broker: Broker, queue: Queue) -> None:
    """A delivery carries the job's deliveries, attempts and crashes, each counted apart, and its last error."""
    first = await seed_running(broker, queue)
    await commit(broker, first, RetryAt(0, ERROR))
    second = await take_one(broker, queue)
    await recover_all(broker, queue)
    third = await take_one(broker, queue)
    assert (second.deliveries, second.attempts, second.crashes) == (2, 1, 0)
    assert (third.deliveries, third.attempts, third.crashes) == (3, 1, 1)
    assert third.last_error == ERROR
    assert first.last_error is None
    assert len({first.token, second.token, third.token}) == 3


async def test_claim_begins_without_the_progress_of_an_earlier_attempt(broker: Broker, queue: Queue) -> None:
    """A claim clears the progress of an earlier attempt."""
    first = await seed_running(broker, queue)
    progress = msgspec.msgpack.encode(Progress(90.0))
    await broker.store.renew(queue, consumer="w1", leases=[lease(first, progress)])
    await commit(broker, first, RetryAt(0, ERROR))
    await take_one(broker, queue)
    assert (await job_of(broker, queue, first.id)).progress is None


async def test_claim_tells_of_its_jobs_in_one_event(broker: Broker, queue: Queue) -> None:
    """A claim writes one event for all of its jobs, with the worker."""
    ids = await seed(broker, queue, 3)
    await take(broker, queue, "w7")
    started = (await events(broker, queue))[-1]
    assert (started.kind, started.worker) == ("started", "w7")
    assert [(one.id, one.version, one.state, one.deliveries) for one in started.jobs] == [
        (one, 2, "running", 1) for one in ids
    ]
    await take(broker, queue, "w7")
    assert await kinds(broker, queue) == ["submitted", "started"]


async def test_claim_takes_more_than_a_hundred_when_asked(broker: Broker, queue: Queue) -> None:
    """A claim takes more than a hundred jobs, up to the documented bound of a call."""
    for _ in range(3):
        await seed(broker, queue, 50)
    assert len(await take(broker, queue, limit=100)) == 100
    assert len(await take(broker, queue, limit=100)) == 50
