"""A unique key has one job at a time, and no way to end a job leaves a key that nothing can take."""

from collections.abc import Awaitable, Callable
from typing import Any, get_args

import pytest
from msgspec.structs import replace
from streams.audit import audit
from streams.seeds import (
    ERROR,
    FAR_MS,
    LONG_AGO_MS,
    commit,
    events,
    fields_of,
    job_of,
    make_due,
    new_job,
    recover_all,
    seed_dead,
    take,
    take_one,
)
from streams.unique_audit import audit_unique

from millstream_contracts import (
    Cancelled,
    Dead,
    JobId,
    JobState,
    OnConflict,
    Queue,
    RetryAt,
    Succeeded,
    UniqueScope,
)
from millstream_streams import (
    ActionCode,
    Broker,
    Edge,
    EnqueueCode,
    Enqueued,
    Idempotency,
    NewJob,
    Parents,
    UniqueKey,
)

SCOPES: tuple[UniqueScope, ...] = get_args(UniqueScope)
CONFLICTS: tuple[OnConflict, ...] = get_args(OnConflict)
DIGEST = "0f" * 16


def key(
    scope: UniqueScope = "running", on_conflict: OnConflict = "return", digest: str = DIGEST, held_ms: int = FAR_MS
) -> UniqueKey:
    """Return a unique key."""
    return UniqueKey(scope, digest, on_conflict, held_ms if scope == "window" else None, "invoice 7")


def unique_job(queue: Queue, unique: UniqueKey | None = None, **options: Any) -> NewJob:
    """Return a job with a unique key that is not stored yet."""
    return new_job(queue, unique=unique or key(), **options)


async def store(broker: Broker, queue: Queue, job: NewJob) -> Enqueued:
    """Store one job, and audit the queue."""
    (answer,) = await broker.store.enqueue(queue, [job])
    await audit_unique(broker, queue, await audit(broker, queue))
    return answer


async def record_of(broker: Broker, queue: Queue) -> bytes | None:
    """Return the id of the job that the record of the key names."""
    return await broker.client.get(broker.keys.of(queue).unique_prefix + DIGEST)


End = Callable[[Broker, Queue, JobId], Awaitable[None]]


async def _run(broker: Broker, queue: Queue, outcome: Any) -> None:
    await commit(broker, await take_one(broker, queue), outcome)


async def succeeds(broker: Broker, queue: Queue, _: JobId) -> None:
    """Let it succeed."""
    await _run(broker, queue, Succeeded())


async def succeeds_at_the_second_attempt(broker: Broker, queue: Queue, _: JobId) -> None:
    """Let it fail, and succeed then."""
    await _run(broker, queue, RetryAt(0, ERROR))
    await _run(broker, queue, Succeeded())


async def dies(broker: Broker, queue: Queue, _: JobId) -> None:
    """Let its attempts be used up."""
    await _run(broker, queue, Dead("attempts", ERROR))


async def gives_up(broker: Broker, queue: Queue, _: JobId) -> None:
    """Let its handler end it."""
    await _run(broker, queue, Cancelled("handler"))


async def is_cancelled(broker: Broker, queue: Queue, job_id: JobId) -> None:
    """Cancel it where it waits."""
    assert await broker.store.cancel(queue, [job_id]) == [ActionCode.DONE]


async def is_cancelled_while_it_runs(broker: Broker, queue: Queue, job_id: JobId) -> None:
    """Ask for its end, which comes with its next failure."""
    delivery = await take_one(broker, queue)
    await broker.store.cancel(queue, [job_id])
    await commit(broker, delivery, RetryAt(0, ERROR))


async def is_handed_back_cancelled(broker: Broker, queue: Queue, job_id: JobId) -> None:
    """Ask for its end, which comes when its worker stops."""
    delivery = await take_one(broker, queue)
    await broker.store.cancel(queue, [job_id])
    await broker.store.hand_back(queue, worker="w1", deliveries=[delivery])


async def is_recovered_cancelled(broker: Broker, queue: Queue, job_id: JobId) -> None:
    """Ask for its end, which comes when its worker is lost."""
    await take_one(broker, queue)
    await broker.store.cancel(queue, [job_id])
    await recover_all(broker, queue)


async def crashes(broker: Broker, queue: Queue, _: JobId) -> None:
    """Let its crashes be used up."""
    await take_one(broker, queue)
    await recover_all(broker, queue, max_crashes=1)


async def _make_late(broker: Broker, queue: Queue, job_id: JobId) -> None:
    keys = broker.keys.of(queue)
    await broker.client.hset(keys.job(job_id), "expires_at", LONG_AGO_MS)
    await broker.client.hsetnx(keys.job(job_id), "version", 1)
    await broker.client.zadd(keys.expiring, {job_id: LONG_AGO_MS})


async def expires_at_a_claim(broker: Broker, queue: Queue, job_id: JobId) -> None:
    """Let a claim find it too late."""
    await _make_late(broker, queue, job_id)
    assert await take(broker, queue) == []


async def expires(broker: Broker, queue: Queue, job_id: JobId) -> None:
    """Let the dispatcher find it too late."""
    await _make_late(broker, queue, job_id)
    assert (await broker.store.expire(queue)).expired == 1


async def expires_when_it_is_due(broker: Broker, queue: Queue, job_id: JobId) -> None:
    """Let the promoter find it too late: it waits for another attempt."""
    await _run(broker, queue, RetryAt(FAR_MS, ERROR))
    await _make_late(broker, queue, job_id)
    await make_due(broker, queue, [job_id])
    assert (await broker.store.release_due(queue)).expired == 1


async def is_discarded(broker: Broker, queue: Queue, job_id: JobId) -> None:
    """Let it die, and let go of it."""
    await dies(broker, queue, job_id)
    assert await broker.store.discard(queue, [job_id]) == [ActionCode.DONE]


async def is_erased(broker: Broker, queue: Queue, job_id: JobId) -> None:
    """Erase it where it waits."""
    assert await broker.store.erase(queue, [job_id]) == [ActionCode.DONE]


async def is_erased_when_it_has_ended(broker: Broker, queue: Queue, job_id: JobId) -> None:
    """Let it succeed, and erase it."""
    await succeeds(broker, queue, job_id)
    assert await broker.store.erase(queue, [job_id]) == [ActionCode.DONE]


WAYS: tuple[End, ...] = (
    succeeds,
    succeeds_at_the_second_attempt,
    dies,
    gives_up,
    is_cancelled,
    is_cancelled_while_it_runs,
    is_handed_back_cancelled,
    is_recovered_cancelled,
    crashes,
    expires_at_a_claim,
    expires,
    expires_when_it_is_due,
    is_discarded,
    is_erased,
    is_erased_when_it_has_ended,
)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("end", WAYS)
async def test_each_end_frees_the_key(broker: Broker, queue: Queue, scope: UniqueScope, end: End) -> None:
    """Whatever ends a job, its key is free at once, and the next job with it is stored; a success keeps its window."""
    for on_conflict in CONFLICTS:
        first = unique_job(queue, key(scope, on_conflict))
        assert (await store(broker, queue, first)).code is EnqueueCode.STORED
        assert await record_of(broker, queue) == first.id.encode()
        await end(broker, queue, first.id)
        fills_window = scope == "window" and end in {succeeds, succeeds_at_the_second_attempt}
        assert await record_of(broker, queue) == (first.id.encode() if fills_window else None)
        second = unique_job(queue, key(scope, on_conflict))
        answer = await store(broker, queue, second)
        if fills_window:
            assert (answer.holder, answer.replaced) == (first.id, None)
            await broker.store.erase(queue, [first.id])
        else:
            assert (answer.code, answer.id, answer.replaced) == (EnqueueCode.STORED, second.id, None)
            await broker.store.erase(queue, [second.id])


@pytest.mark.parametrize("outcome", ["parent_cancelled", "parent_unknown", "cancel", "expire", "erase"])
async def test_a_blocked_job_frees_its_key(broker: Broker, queue: Queue, outcome: str) -> None:
    """A blocked job holds its key, and frees it however it ends."""
    (parent,) = [new_job(queue).id]
    blocked = unique_job(queue, parents=Parents((parent,), (parent,), "cancel"))
    await store(broker, queue, blocked)
    assert (await store(broker, queue, unique_job(queue))).holder == blocked.id
    match outcome:
        case "cancel":
            await is_cancelled(broker, queue, blocked.id)
        case "expire":
            await expires(broker, queue, blocked.id)
        case "erase":
            await is_erased(broker, queue, blocked.id)
        case _:
            state = outcome.removeprefix("parent_")
            await broker.dependencies.resolve(queue, [Edge(blocked.id, parent, state)])
    assert await record_of(broker, queue) is None
    assert (await store(broker, queue, unique_job(queue))).code is EnqueueCode.STORED


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("loss", ["hash", "record", "both", "garbage", "wrong type", "another job", "hash of garbage"])
async def test_nothing_that_is_lost_or_written_leaves_a_key_stuck(
    broker: Broker, torn_queue: Queue, scope: UniqueScope, loss: str
) -> None:
    """The record of a key is a pointer: where it names no job that holds the key, the next job takes it."""
    keys, client = broker.keys.of(torn_queue), broker.client
    record = keys.unique_prefix + DIGEST
    other, first = new_job(torn_queue), unique_job(torn_queue, key(scope))
    await broker.store.enqueue(torn_queue, [other, first])
    if loss in {"hash", "both"}:
        await client.delete(keys.job(first.id))
    if loss in {"record", "both"}:
        await client.delete(record)
    elif loss == "garbage":
        await client.set(record, b"\xff\x00 {")
    elif loss == "wrong type":
        await client.delete(record)
        await client.rpush(record, "x")
    elif loss == "another job":
        await client.set(record, other.id)
    elif loss == "hash of garbage":
        await client.set(record, "x")
        await client.rpush(keys.job("x"), "y")
    second = unique_job(torn_queue, key(scope, "reject"))
    (answer,) = await broker.store.enqueue(torn_queue, [second])
    assert (answer.code, answer.id) == (EnqueueCode.STORED, second.id)
    assert await client.get(record) == second.id.encode()
    await client.delete(keys.job("x"))


@pytest.mark.parametrize("end", [gives_up, dies, is_cancelled, expires])
async def test_a_job_that_has_ended_is_no_holder(broker: Broker, queue: Queue, end: End) -> None:
    """A record that an earlier release has left when its job ended keeps no other job out."""
    first, second = unique_job(queue, key("window")), unique_job(queue, key("window"))
    await store(broker, queue, first)
    await end(broker, queue, first.id)
    await broker.client.set(broker.keys.of(queue).unique_prefix + DIGEST, first.id)
    assert (await store(broker, queue, second)).id == second.id


@pytest.mark.parametrize("scope", SCOPES)
async def test_garbage_in_the_record_stops_no_end(broker: Broker, queue: Queue, scope: UniqueScope) -> None:
    """A job whose record is garbled, or whose own field is, ends like any other."""
    keys = broker.keys.of(queue)
    first, second = unique_job(queue, key(scope)), unique_job(queue, key(scope, digest="ab"))
    await broker.store.enqueue(queue, [first, second])
    await broker.client.delete(keys.unique_prefix + DIGEST)
    await broker.client.rpush(keys.unique_prefix + DIGEST, "x")
    await broker.client.hset(keys.job(second.id), "unique", b"\xff garbage")
    for delivery in await take(broker, queue):
        await commit(broker, delivery)
    assert {(await job_of(broker, queue, one.id)).state for one in (first, second)} == {JobState.SUCCEEDED}
    assert (await job_of(broker, queue, second.id)).unique is None
    await broker.client.delete(keys.unique_prefix + DIGEST, keys.unique_prefix + "ab")
    # With the scope `window` it would hold a key whose record is gone.
    await broker.store.erase(queue, [first.id])


async def test_a_job_shows_its_key(broker: Broker, queue: Queue) -> None:
    """The key is shown as text, with its scope and the end of its window."""
    job = unique_job(queue, key("window"))
    answer = await store(broker, queue, job)
    shown = (await job_of(broker, queue, job.id)).unique
    assert shown is not None
    assert (shown.key, shown.scope) == ("invoice 7", "window")
    assert shown.until is not None
    assert round(shown.until.timestamp() * 1000) == answer.now_ms + FAR_MS


async def test_return_stores_nothing_and_names_the_holder(broker: Broker, queue: Queue) -> None:
    """With `return` the answer is the job that holds the key, and no other job is stored."""
    first, second = unique_job(queue), unique_job(queue)
    await store(broker, queue, first)
    answer = await store(broker, queue, second)
    assert (answer.code, answer.id) == (EnqueueCode.RETURNED, first.id)
    assert await fields_of(broker, queue, second.id) == {}


async def test_reject_stores_nothing_and_names_the_holder(broker: Broker, queue: Queue) -> None:
    """With `reject` the answer is a refusal with the id of the job that holds the key."""
    first, second = unique_job(queue), unique_job(queue, key(on_conflict="reject"))
    await store(broker, queue, first)
    answer = await store(broker, queue, second)
    assert (answer.code, answer.id) == (EnqueueCode.UNIQUE_CONFLICT, first.id)
    assert await fields_of(broker, queue, second.id) == {}


@pytest.mark.parametrize("state", ["queued", "scheduled", "blocked", "redriven"])
async def test_replace_takes_the_place_of_a_job_that_has_not_started(broker: Broker, queue: Queue, state: str) -> None:
    """With `replace` a job that waits for its first delivery is cancelled, and the new one takes its key."""
    parent = new_job(queue).id
    options: dict[str, Any] = {
        "queued": {"expires_in_ms": FAR_MS},
        "scheduled": {"delay_ms": FAR_MS},
        "blocked": {"parents": Parents((parent,), (parent,))},
        "redriven": {},
    }[state]
    first = unique_job(queue, **options)
    await store(broker, queue, first)
    if state == "redriven":
        await dies(broker, queue, first.id)
        await broker.store.redrive(queue, [first.id])
    second = unique_job(queue, key(on_conflict="replace"), delay_ms=FAR_MS)
    answer = await store(broker, queue, second)
    assert (answer.code, answer.id, answer.replaced) == (EnqueueCode.STORED, second.id, first.id)
    assert answer.due_ms == answer.now_ms + FAR_MS
    old = await job_of(broker, queue, first.id)
    assert (old.state, old.reason) == (JobState.CANCELLED, "replaced")
    last = (await events(broker, queue))[-1]
    assert (last.kind, [(one.id, one.detail) for one in last.jobs]) == ("cancelled", [(first.id, "replaced")])


async def test_replace_within_one_call_keeps_the_last(broker: Broker, queue: Queue) -> None:
    """Of several jobs with one key in one call the last one stays."""
    jobs = [unique_job(queue, key(on_conflict="replace")) for _ in range(3)]
    answers = await broker.store.enqueue(queue, jobs)
    assert [one.replaced for one in answers] == [None, jobs[0].id, jobs[1].id]
    await audit_unique(broker, queue, await audit(broker, queue))
    assert [one.id for one in await take(broker, queue)] == [jobs[2].id]


@pytest.mark.parametrize("state", ["running", "retrying"])
async def test_replace_leaves_a_job_that_has_started(broker: Broker, queue: Queue, state: str) -> None:
    """With `replace` a job that has started goes on, and the new one is refused."""
    first = unique_job(queue)
    await store(broker, queue, first)
    delivery = await take_one(broker, queue)
    if state == "retrying":
        await commit(broker, delivery, RetryAt(0, ERROR))
    answer = await store(broker, queue, unique_job(queue, key(on_conflict="replace")))
    assert (answer.code, answer.id) == (EnqueueCode.UNIQUE_CONFLICT, first.id)


async def test_scope_queued_ends_with_the_first_delivery(broker: Broker, queue: Queue) -> None:
    """With the scope `queued` a job holds its key until it is delivered, and not again while it waits for a retry."""
    first, second = unique_job(queue, key("queued")), unique_job(queue, key("queued"))
    await store(broker, queue, first)
    assert (await store(broker, queue, unique_job(queue, key("queued")))).holder == first.id
    delivery = await take_one(broker, queue)
    await commit(broker, delivery, RetryAt(FAR_MS, ERROR))
    assert (await store(broker, queue, second)).code is EnqueueCode.STORED
    await is_cancelled(broker, queue, first.id)
    assert await record_of(broker, queue) == second.id.encode()


async def test_scope_running_lasts_over_retries(broker: Broker, queue: Queue) -> None:
    """With the scope `running` a job holds its key while it waits for another attempt, and after a hand-back."""
    first = unique_job(queue)
    await store(broker, queue, first)
    await broker.store.hand_back(queue, worker="w1", deliveries=[await take_one(broker, queue)])
    assert (await store(broker, queue, unique_job(queue))).holder == first.id
    await commit(broker, await take_one(broker, queue), RetryAt(FAR_MS, ERROR))
    assert (await store(broker, queue, unique_job(queue))).holder == first.id


@pytest.mark.parametrize("has_ended", [False, True])
async def test_a_window_ends_by_the_clock(broker: Broker, queue: Queue, has_ended: bool) -> None:
    """With the scope `window` the key is free when its time is over, also while the job lives."""
    first = unique_job(queue, key("window"))
    await store(broker, queue, first)
    if has_ended:
        await succeeds(broker, queue, first.id)
    keys = broker.keys.of(queue)
    fields = (await fields_of(broker, queue, first.id))["unique"].decode().split(" ")
    await broker.client.hset(keys.job(first.id), "unique", " ".join([*fields[:3], str(LONG_AGO_MS), fields[4]]))
    assert (await store(broker, queue, unique_job(queue, key("window")))).code is EnqueueCode.STORED


async def test_a_result_can_be_read_for_its_whole_window(broker: Broker, queue: Queue) -> None:
    """A success is kept for its window at least, so that a client to which it is returned can read it."""
    first, client, keys = unique_job(queue, key("window")), broker.client, broker.keys.of(queue)
    await store(broker, queue, first)
    await commit(broker, await take_one(broker, queue), Succeeded(), ttl_ms=1000)
    left = await client.pttl(keys.job(first.id))
    assert await client.pttl(keys.unique_prefix + DIGEST) <= left + 1000
    assert left > FAR_MS / 2
    failed = unique_job(queue, key("window", digest="ab"))
    await store(broker, queue, failed)
    await commit(broker, await take_one(broker, queue), Cancelled("handler"), ttl_ms=1000)
    assert await client.pttl(keys.job(failed.id)) <= 1000


async def test_a_called_job_is_kept_for_its_window(broker: Broker, queue: Queue) -> None:
    """The time for which a called job stays readable after its caller has its result is that of its window."""
    first = unique_job(queue, key("window"), called=True)
    await store(broker, queue, first)
    await commit(broker, await take_one(broker, queue), Succeeded(), ttl_ms=1000)
    assert int((await fields_of(broker, queue, first.id))["own_ttl"]) > FAR_MS / 2


@pytest.mark.parametrize("scope", SCOPES)
async def test_redrive_takes_the_key_again(broker: Broker, queue: Queue, scope: UniqueScope) -> None:
    """A redriven job holds its key again, so that no other one is stored beside it."""
    first = unique_job(queue, key(scope))
    await store(broker, queue, first)
    await dies(broker, queue, first.id)
    assert await broker.store.redrive(queue, [first.id]) == [ActionCode.DONE]
    assert (await store(broker, queue, unique_job(queue, key(scope)))).holder == first.id
    await succeeds(broker, queue, first.id)
    assert (await record_of(broker, queue) is None) == (scope != "window")


@pytest.mark.parametrize("scope", SCOPES)
async def test_redrive_is_refused_while_another_job_holds_the_key(
    broker: Broker, queue: Queue, scope: UniqueScope
) -> None:
    """A dead job whose key another one has taken stays dead, and the others of the call are redriven."""
    plain = await seed_dead(broker, queue)
    first, second = unique_job(queue, key(scope)), unique_job(queue, key(scope))
    await store(broker, queue, first)
    await dies(broker, queue, first.id)
    await store(broker, queue, second)
    codes = await broker.store.redrive(queue, [first.id, plain])
    assert codes == [ActionCode.UNIQUE_CONFLICT, ActionCode.DONE]
    assert (await job_of(broker, queue, first.id)).state is JobState.DEAD
    await is_cancelled(broker, queue, second.id)
    assert await broker.store.redrive(queue, [first.id]) == [ActionCode.DONE]


async def test_redrive_after_the_window_takes_no_key(broker: Broker, queue: Queue) -> None:
    """A dead job whose window is over is redriven beside the one that has the key by now."""
    first, second = unique_job(queue, key("window")), unique_job(queue, key("window"))
    await store(broker, queue, first)
    await dies(broker, queue, first.id)
    fields = (await fields_of(broker, queue, first.id))["unique"].decode().split(" ")
    over = " ".join([*fields[:3], str(LONG_AGO_MS), fields[4]])
    await broker.client.hset(broker.keys.of(queue).job(first.id), "unique", over)
    await store(broker, queue, second)
    assert await broker.store.redrive(queue, [first.id]) == [ActionCode.DONE]
    assert await record_of(broker, queue) == second.id.encode()


async def test_an_enqueue_that_is_sent_again_meets_its_own_job(broker: Broker, queue: Queue) -> None:
    """A repetition of a lost response finds the job of the first try, which holds the key itself."""
    for on_conflict in CONFLICTS:
        job = unique_job(queue, key(on_conflict=on_conflict, digest=f"{CONFLICTS.index(on_conflict)}a"))
        await store(broker, queue, job)
        assert (await store(broker, queue, job)).code is EnqueueCode.STORED_BEFORE


async def test_the_idempotency_key_is_asked_first(broker: Broker, queue: Queue) -> None:
    """A repeated request gets its own job, whichever holds the unique key by now; another body is refused."""
    known = Idempotency(b"k1", "aa")
    first = unique_job(queue, idempotency=known)
    await store(broker, queue, first)
    await succeeds(broker, queue, first.id)
    second = unique_job(queue)
    await store(broker, queue, second)
    again = await store(broker, queue, unique_job(queue, idempotency=known))
    assert (again.code, again.id) == (EnqueueCode.REPLAYED, first.id)
    other = await store(broker, queue, unique_job(queue, idempotency=replace(known, fingerprint="bb")))
    assert (other.code, other.id) == (EnqueueCode.KEY_REUSED, first.id)


async def test_a_returned_job_is_that_of_each_repetition(broker: Broker, queue: Queue) -> None:
    """A request that was answered with the holder is answered so again, also when that has ended since."""
    known, first = Idempotency(b"k1", "aa"), unique_job(queue)
    await store(broker, queue, first)
    assert (await store(broker, queue, unique_job(queue, idempotency=known))).code is EnqueueCode.RETURNED
    await succeeds(broker, queue, first.id)
    again = await store(broker, queue, unique_job(queue, idempotency=known))
    assert (again.code, again.id) == (EnqueueCode.REPLAYED, first.id)


async def test_a_refused_job_leaves_no_idempotency_key(broker: Broker, queue: Queue) -> None:
    """A request that was refused for its unique key can be sent again under the same idempotency key."""
    known, first = Idempotency(b"k1", "aa"), unique_job(queue)
    await store(broker, queue, first)
    refused = unique_job(queue, key(on_conflict="reject"), idempotency=known)
    assert (await store(broker, queue, refused)).code is EnqueueCode.UNIQUE_CONFLICT
    await succeeds(broker, queue, first.id)
    assert (await store(broker, queue, refused)).code is EnqueueCode.STORED


async def test_a_unique_job_makes_no_work_for_dispatchers(broker: Broker, queue: Queue) -> None:
    """The key of a job is no listener: its end puts nothing into the outbox."""
    first = unique_job(queue)
    await store(broker, queue, first)
    await succeeds(broker, queue, first.id)
    assert await broker.client.exists(broker.keys.of(queue).outbox) == 0


async def test_a_plain_job_has_no_field_for_it(broker: Broker, queue: Queue) -> None:
    """A job without a key has neither a field nor a record."""
    job = new_job(queue)
    await store(broker, queue, job)
    assert not {"unique", "waited"} & (await fields_of(broker, queue, job.id)).keys()


async def test_other_keys_and_other_jobs_do_not_count(broker: Broker, queue: Queue) -> None:
    """Jobs without a key, and with another one, are stored beside a job that holds one."""
    jobs = [unique_job(queue), unique_job(queue, key(digest="ab")), new_job(queue)]
    assert {one.code for one in await broker.store.enqueue(queue, jobs)} == {EnqueueCode.STORED}
