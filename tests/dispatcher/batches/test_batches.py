"""A batch follows its members, and submits each of its callbacks once."""

import pytest
from dispatcher.batches.conftest import (
    CALLBACKS,
    COMPLETE,
    DEAD,
    DEATH,
    ROWS,
    SHEETS,
    SUCCESS,
    Depot,
    T,
    callback,
)
from streams.seeds import commit, job_of

from millstream_contracts import (
    BatchId,
    BatchState,
    Cancelled,
    MemberState,
    fired_batch,
    ids_by_queue,
    limits,
    queue_of,
)
from millstream_streams import ActionCode, CreateCode, FlowNews, PromiseCode, StoreUnavailableError

ALL = (SUCCESS, COMPLETE, DEATH)
SUCCEEDED, PENDING = MemberState.SUCCEEDED, MemberState.PENDING


async def test_callbacks_run_when_all_members_have_succeeded(depot: Depot) -> None:
    """A closed batch of which every member has succeeded submits `on_success` and `on_complete`, with its counts."""
    batch = await depot.create(ALL, members=5)
    assert await depot.run_members() != []
    assert (await depot.read(batch)).state is BatchState.OPEN
    assert await depot.run_callbacks() == []
    assert await depot.broker.batches.close(T, batch) is ActionCode.DONE
    assert await depot.run_callbacks() == ["on_complete", "on_success"]
    found = await depot.read(batch)
    assert (found.state, found.counts, found.fired) == (
        BatchState.SUCCEEDED,
        {SUCCEEDED: 5},
        frozenset({SUCCESS, COMPLETE}),
    )
    fired = fired_batch(depot.tags["on_success"])
    assert fired is not None
    assert (fired.id, fired.name, fired.event, fired.counts) == (batch, "import", SUCCESS, {SUCCEEDED: 5})


async def test_a_batch_that_is_closed_before_its_members_end(depot: Depot) -> None:
    """A batch that is closed first waits for its last member."""
    batch = await depot.create(ALL, members=3)
    await depot.broker.batches.close(T, batch)
    assert await depot.broker.batches.close(T, batch) is ActionCode.DONE_BEFORE
    await depot.run_members(limit=2)
    found = await depot.read(batch)
    assert (found.state, found.counts) == (BatchState.RUNNING, {SUCCEEDED: 2, PENDING: 1})
    assert await depot.run_callbacks() == []
    await depot.broker.store.recover(ROWS, lease_ms=0, max_crashes=3)
    await depot.broker.store.recover(SHEETS, lease_ms=0, max_crashes=3)
    await depot.run_members()
    assert await depot.run_callbacks() == ["on_complete", "on_success"]


@pytest.mark.parametrize("owner", ["7Kq2vXbA", ""])
async def test_jobs_of_callbacks_are_of_who_has_submitted_the_batch(depot: Depot, owner: str) -> None:
    """The job of a callback says who has submitted its batch."""
    batch = await depot.create(ALL, is_open=False, owner=owner)
    found = await depot.read(batch)
    assert found.owner == owner
    await depot.starter().run_once()
    for event in (SUCCESS, COMPLETE):
        job_id = found.callbacks[event]
        queue = queue_of(T, job_id)
        assert queue is not None
        assert (await job_of(depot.broker, queue, job_id)).submitted_by == (owner or None)


async def test_an_empty_batch_has_succeeded_when_it_is_closed(depot: Depot) -> None:
    """A batch without members has succeeded at once, also when it was never open."""
    batch = await depot.create(ALL, is_open=False)
    assert (await depot.read(batch)).state is BatchState.SUCCEEDED
    assert await depot.run_callbacks() == ["on_complete", "on_success"]


async def test_a_death_is_told_once_and_completes(depot: Depot) -> None:
    """The first death submits `on_death`; dead members count as settled, and a batch with them is stalled."""
    batch = await depot.create(ALL, members=4)
    await depot.run_members(DEAD)
    assert await depot.run_callbacks() == ["on_death"]
    await depot.broker.batches.close(T, batch)
    assert await depot.run_callbacks() == ["on_complete"]
    found = await depot.read(batch)
    assert (found.state, found.counts) == (BatchState.STALLED, {MemberState.DEAD: 4})


async def test_a_redriven_member_lets_its_batch_succeed(depot: Depot) -> None:
    """After a redrive `on_success` is submitted, and `on_complete` not again."""
    batch = await depot.create(ALL, members=2)
    await depot.broker.batches.close(T, batch)
    dead = [one.id for one in await depot.run_members(DEAD)]
    assert await depot.run_callbacks() == ["on_complete", "on_death"]
    for queue, ids in ids_by_queue(T, dead).items():
        await depot.broker.store.redrive(queue, ids)
    await depot.turn()
    assert (await depot.read(batch)).state is BatchState.RUNNING
    await depot.run_members()
    assert await depot.run_callbacks() == ["on_success"]
    assert (await depot.read(batch)).state is BatchState.SUCCEEDED


async def test_members_that_end_otherwise_let_the_batch_fail(depot: Depot) -> None:
    """Cancelled, expired, discarded and deleted members are settled: the batch ends, and has not succeeded."""
    batch = await depot.create(ALL)
    store = depot.broker.store
    (cancelled,) = await depot.add(batch)
    (erased,) = await depot.add(batch)
    (discarded,) = await depot.add(batch)
    await depot.add(batch, expires_at_ms=1)
    await depot.broker.batches.close(T, batch)
    await store.cancel(ROWS, [cancelled])
    await store.erase(ROWS, [erased])
    await depot.run_members(DEAD)
    assert await depot.run_callbacks() == ["on_complete", "on_death"]
    await store.discard(ROWS, [discarded])
    await depot.turn()
    found = await depot.read(batch)
    assert (found.state, found.counts) == (BatchState.FAILED, {MemberState.CANCELLED: 3, MemberState.EXPIRED: 1})
    assert await depot.run_callbacks() == []


async def test_news_that_are_told_again_change_nothing(depot: Depot) -> None:
    """Of news of one member the latest version counts, and counts once."""
    batch = await depot.create(ALL, members=2)
    (member, *_), _ = await depot.broker.batches.members(T, batch)
    shard = depot.shard(batch)
    for state, version in (("dead", "5"), ("succeeded", "7"), ("succeeded", "7"), ("dead", "5"), ("queued", "6")):
        news = FlowNews(batch, "m", 1, member.job_id, state, version)
        await depot.broker.batches.note(shard, [news, news])
    assert await depot.counts(batch) == {SUCCEEDED: 1, PENDING: 1}


async def test_a_killed_dispatcher_submits_no_callback_twice(depot: Depot) -> None:
    """A callback that was stored and not confirmed is taken again after the lease, also when its job has run."""
    await depot.create(ALL, is_open=False)
    await depot.unconfirmed_starter().run_once()
    ran = await depot.claim(CALLBACKS)
    assert len(ran) == 2
    await depot.free_leases()
    for one in ran:
        await commit(depot.broker, one)
    await depot.turn()
    assert await depot.claim(CALLBACKS) == []


async def test_a_callback_whose_job_cannot_be_made_is_refused(depot: Depot) -> None:
    """A callback of which no job can be made says why, and keeps no other from running."""
    good, bad = callback(COMPLETE), callback(SUCCESS)
    torn = {COMPLETE: good, SUCCESS: type(bad)(bad.queue, bad.job_id, b"\xc1")}
    batch = await depot.create(callbacks=torn, is_open=False)
    assert await depot.run_callbacks() == ["on_complete"]
    found = await depot.read(batch)
    assert list(found.refused) == [SUCCESS]
    assert found.refused[SUCCESS]


async def test_a_member_adds_until_it_has_ended(depot: Depot) -> None:
    """A member that has not ended adds members to a closed batch; nothing else does."""
    batch = await depot.create(ALL, members=1)
    await depot.broker.batches.close(T, batch)
    (running,) = await depot.claim(ROWS)
    assert await depot.promise(batch, depot.jobs(batch)) is PromiseCode.CLOSED
    stranger = depot.jobs(batch)[0].id
    assert await depot.promise(batch, depot.jobs(batch), by=stranger) is PromiseCode.CLOSED
    await depot.add(batch, by=running.id)
    await commit(depot.broker, running)
    await depot.turn()
    assert await depot.counts(batch) == {SUCCEEDED: 1, PENDING: 1}
    assert await depot.promise(batch, depot.jobs(batch), by=running.id) is PromiseCode.CLOSED
    assert await depot.run_callbacks() == []
    await depot.run_members()
    assert await depot.run_callbacks() == ["on_complete", "on_success"]


async def test_a_redriven_member_adds_before_its_batch_knows(depot: Depot) -> None:
    """A member that was dead and runs again may add, also before its batch is told of the redrive."""
    batch = await depot.create(members=1)
    await depot.broker.batches.close(T, batch)
    (dead,) = await depot.run_members(DEAD)
    await depot.broker.store.redrive(ROWS, [dead.id])
    await depot.add(batch, by=dead.id)
    assert (await depot.read(batch)).state is BatchState.RUNNING


async def test_a_promise_counts_until_it_has_run_out(depot: Depot) -> None:
    """A promised member keeps its batch from its end; when its job was not stored in time it is dropped."""
    batch = await depot.create(ALL, members=1)
    lost, found = depot.jobs(batch, 2)
    await depot.promise(batch, [lost, found])
    await depot.broker.batches.close(T, batch)
    await depot.run_members()
    await depot.store([found])
    await depot.auditor().run_once()
    assert await depot.counts(batch) == {SUCCEEDED: 1, PENDING: 2}
    await depot.let_promises_run_out(batch)
    await depot.auditor().run_once()
    assert await depot.counts(batch) == {SUCCEEDED: 1, PENDING: 1}
    await depot.run_members()
    assert await depot.run_callbacks() == ["on_complete", "on_success"]


async def test_a_promise_that_is_made_again_is_not_dropped(depot: Depot) -> None:
    """A member whose promise was made anew between the look at its job and what follows stays."""
    batch = await depot.create(ALL)
    jobs = depot.jobs(batch)
    await depot.promise(batch, jobs)
    await depot.let_promises_run_out(batch)
    ((seen, *_), *_) = [(one, 0) for one in (await depot.broker.batches.take_checks(depot.shard(batch), 10))[0]]
    await depot.promise(batch, jobs)
    await depot.broker.batches.confirm(T, batch, run_out=seen.run_out)
    assert await depot.counts(batch) == {PENDING: 1}


async def test_a_promised_job_is_not_stored_late(depot: Depot) -> None:
    """The job of a member is refused after its promise, also one with an idempotency key."""
    batch = await depot.create()
    jobs = depot.jobs(batch, idempotency=depot.new(key="row").idempotency)
    await depot.promise(batch, jobs)
    with pytest.raises(StoreUnavailableError):
        await depot.store(jobs, until_s=0.0)
    assert await depot.claim(ROWS) == []


async def test_members_that_never_were_are_withdrawn(depot: Depot) -> None:
    """A submitter that knows that a job was not stored takes back the promise, and nothing else."""
    batch = await depot.create(members=1)
    (member,), _ = await depot.broker.batches.members(T, batch)
    jobs = depot.jobs(batch)
    await depot.promise(batch, jobs)
    await depot.broker.batches.confirm(T, batch, absent=[jobs[0].id, member.job_id])
    assert await depot.counts(batch) == {PENDING: 1}


async def test_a_promise_of_the_same_members_is_one(depot: Depot) -> None:
    """Members that are promised again count once, also when they have ended."""
    batch = await depot.create(ALL)
    jobs = depot.jobs(batch, 2)
    await depot.promise(batch, jobs)
    await depot.promise(batch, jobs)
    await depot.store(jobs)
    await depot.run_members(limit=1)
    await depot.promise(batch, jobs)
    assert await depot.counts(batch) == {SUCCEEDED: 1, PENDING: 1}


async def test_a_batch_has_a_bound(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members beyond the bound are refused, all of one call or none."""
    monkeypatch.setattr(limits, "MAX_BATCH_MEMBERS", 3)
    batch = await depot.create(members=2)
    assert await depot.promise(batch, depot.jobs(batch, 2)) is PromiseCode.FULL
    assert await depot.counts(batch) == {PENDING: 2}
    assert await depot.promise(batch, depot.jobs(batch, 1)) is PromiseCode.DONE


async def test_cancel_ends_members_and_callbacks_still_run(depot: Depot) -> None:
    """A cancelled batch takes no more members, ends those that it has, and submits `on_complete` alone."""
    batch = await depot.create(ALL, members=3)
    taken = await depot.claim(ROWS)
    promised = depot.jobs(batch)
    await depot.promise(batch, promised)
    assert await depot.broker.batches.cancel(T, batch, "mistaken") is ActionCode.REQUESTED
    assert await depot.broker.batches.cancel(T, batch) is ActionCode.DONE_BEFORE
    assert await depot.promise(batch, depot.jobs(batch), by=taken[0].id) is PromiseCode.CLOSED
    await depot.turn()
    await depot.store(promised)
    await depot.let_promises_run_out(batch)
    await depot.auditor().run_once()
    await depot.turn()
    assert (await depot.read(batch)).state is BatchState.CANCELLING
    for one in taken:
        await commit(depot.broker, one, Cancelled("cancelled"))
    assert await depot.run_callbacks() == ["on_complete"]
    found = await depot.read(batch)
    assert (found.state, found.reason, found.counts) == (BatchState.CANCELLED, "mistaken", {MemberState.CANCELLED: 4})
    assert await depot.broker.batches.cancel(T, batch) is ActionCode.WRONG_STATE


async def test_many_members_are_cancelled_in_rounds(depot: Depot) -> None:
    """Each member of a cancelled batch is asked to stop, whatever one call takes."""
    batch = await depot.create(members=250)
    await depot.broker.batches.cancel(T, batch)
    await depot.turn()
    assert await depot.counts(batch) == {MemberState.CANCELLED: 250}
    assert await depot.claim() == []


async def test_an_open_batch_closes_itself(depot: Depot) -> None:
    """A batch that is open when its time is over is closed, with the reason `expired`."""
    batch = await depot.create(ALL, members=1, expires_at_ms=1)
    await depot.run_members()
    await depot.auditor().run_once()
    found = await depot.read(batch)
    assert (found.state, found.reason, found.is_closed) == (BatchState.SUCCEEDED, "expired", True)
    assert await depot.run_callbacks() == ["on_complete", "on_success"]


async def test_a_request_with_a_key_makes_one_batch(depot: Depot) -> None:
    """A repeated request finds its batch, and another one with the same key is refused."""
    first = depot.new(ALL, key="k")
    codes = [(await depot.broker.batches.create(T, one)).code for one in (
        first, first, depot.new(ALL, key="k", fingerprint="beef")
    )]  # fmt: skip
    assert codes == [CreateCode.STORED, CreateCode.REPLAYED, CreateCode.KEY_REUSED]


async def test_a_batch_is_forgotten_after_its_retention(depot: Depot) -> None:
    """Nothing is left of a batch that ended longer ago than its retention; an open or a stalled one stays."""
    done = await depot.create(ALL, is_open=False, retention_ms=0)
    still_open = await depot.create(members=1, retention_ms=0)
    stalled = await depot.create(retention_ms=0)
    await depot.broker.batches.close(T, done)
    await depot.run_callbacks()
    await depot.add(stalled)
    await depot.broker.batches.close(T, stalled)
    await depot.run_members(DEAD)
    await depot.pass_a_millisecond()
    for one in (done, still_open, stalled):
        await depot.make_checked(one)
    await depot.auditor().run_once()
    assert await depot.keys_of(done) == []
    assert set(await depot.broker.batches.read(T, [done, still_open, stalled])) == {still_open, stalled}


async def test_a_batch_with_a_callback_that_is_not_stored_yet_stays(depot: Depot) -> None:
    """A batch is not forgotten before the jobs of its callbacks are stored."""
    batch = await depot.create(ALL, is_open=False, retention_ms=0)
    await depot.pass_a_millisecond()
    await depot.make_checked(batch)
    await depot.auditor().run_once()
    assert await depot.run_callbacks() == ["on_complete", "on_success"]


async def test_a_large_batch_is_forgotten_in_rounds(depot: Depot) -> None:
    """Members beyond what one call removes go with the next ones."""
    batch = await depot.create(retention_ms=0)
    for _ in range(3):
        await depot.promise(batch, depot.jobs(batch, 700))
    await depot.broker.batches.cancel(T, batch)
    await depot.let_promises_run_out(batch)
    auditor = depot.auditor()
    while (await auditor.run_once()).more or await depot.keys_of(batch):
        await depot.make_checked(batch)
    assert await depot.broker.batches.page(T) == ([], None)


async def test_lost_members_and_callbacks_are_made_up_for(depot: Depot) -> None:
    """A member whose job Redis has lost is settled, and a callback whose job it has lost is submitted again."""
    batch = await depot.create(ALL, members=2)
    await depot.broker.batches.close(T, batch)
    (one, other) = await depot.claim(ROWS, SHEETS)
    await depot.broker.client.delete(depot.broker.keys.of(one.queue).job(one.id))
    await commit(depot.broker, other)
    await depot.make_still(batch)
    await depot.auditor().run_once()
    await depot.turn()
    assert await depot.counts(batch) == {SUCCEEDED: 1, MemberState.CANCELLED: 1}
    (lost,) = await depot.claim(CALLBACKS)
    await depot.broker.client.delete(depot.broker.keys.of(lost.queue).job(lost.id))
    await depot.make_still(batch)
    await depot.auditor().run_once()
    assert await depot.run_callbacks() == ["on_complete"]
    for what in ("lost", "restarted"):
        assert depot.registry.get_sample_value("millstream_batch_repairs_total", {"what": what}) == 1


async def test_news_that_a_failover_has_lost_are_told_again(depot: Depot) -> None:
    """A batch that has been still asks its members, and learns what it was not told."""
    batch = await depot.create(ALL, members=2)
    await depot.broker.batches.close(T, batch)
    for one in await depot.claim(ROWS, SHEETS):
        await commit(depot.broker, one)
        await depot.broker.client.delete(depot.broker.keys.of(one.queue).outbox)
    await depot.turn()
    assert await depot.counts(batch) == {PENDING: 2}
    await depot.make_still(batch)
    await depot.auditor().run_once()
    assert await depot.run_callbacks() == ["on_complete", "on_success"]


async def test_members_are_listed_by_state_page_by_page(depot: Depot) -> None:
    """Pages have each member once, those of the states that were asked for, also while members move."""
    batch = await depot.create(members=23)
    await depot.run_members(DEAD, limit=5)
    found, start = [], None
    while True:
        page, start = await depot.broker.batches.members(T, batch, start=start, limit=4)
        found += page
        if start is None:
            break
    assert len({one.job_id for one in found}) == len(found) == 23
    assert [one.state for one in found] == [PENDING] * 18 + [MemberState.DEAD] * 5
    first, start = await depot.broker.batches.members(T, batch, states=frozenset({MemberState.DEAD}), limit=2)
    await depot.broker.store.redrive(queue_of(T, first[1].job_id) or ROWS, [first[1].job_id])
    await depot.turn()
    rest, end = await depot.broker.batches.members(T, batch, states=frozenset({MemberState.DEAD}), start=start)
    assert end is None
    assert [one.job_id for one in (*first, *rest)] == sorted(one.job_id for one in found[18:])


async def test_batches_are_listed_newest_first(depot: Depot) -> None:
    """Pages have each batch once, the newest first, those in the states that were asked for."""
    made = [await depot.create() for _ in range(5)]
    await depot.broker.batches.close(T, made[1])
    page, start = await depot.broker.batches.page(T, limit=3)
    rest, end = await depot.broker.batches.page(T, start=start, limit=3)
    assert ([one.id for one in (*page, *rest)], end) == (made[::-1], None)
    done, _ = await depot.broker.batches.page(T, states=frozenset({BatchState.SUCCEEDED}))
    assert [one.id for one in done] == [made[1]]


async def test_what_is_no_batch_is_not_found(depot: Depot) -> None:
    """Ids that are none, and those of batches that are not there, are told apart from failures."""
    batches = depot.broker.batches
    for absent in (BatchId("no id"), BatchId("BA_00" + "0" * 26)):
        assert await batches.close(T, absent) is ActionCode.UNKNOWN_JOB
        assert await batches.cancel(T, absent) is ActionCode.UNKNOWN_JOB
        assert (await batches.promise(T, absent, [])).code is PromiseCode.NOT_FOUND
        assert await batches.members(T, absent) == ([], None)
        assert await batches.read(T, [absent]) == {}


async def test_a_call_has_a_bound(depot: Depot) -> None:
    """A call with more members than a script takes is refused before Redis sees it."""
    batch = await depot.create()
    with pytest.raises(ValueError, match="at most"):
        await depot.promise(batch, depot.jobs(batch, 1001))


@pytest.mark.parametrize("part", ["", "members"])
async def test_garbage_in_a_key_stops_one_batch(depot: Depot, part: str) -> None:
    """A key that another program wrote stops its batch, and neither another one nor a duty."""
    torn = await depot.create(ALL, members=2)
    sound = await depot.create(ALL, members=2)
    for one in (torn, sound):
        await depot.broker.batches.close(T, one)
    key = depot.keys(torn).part(torn, part)
    await depot.broker.client.delete(key)
    await depot.broker.client.lpush(key, "garbage")
    await depot.run_members()
    assert await depot.run_callbacks() == ["on_complete", "on_success"]
    await depot.make_still(torn) if part else await depot.make_checked(torn)
    await depot.auditor().run_once()
    await depot.broker.batches.read(T, [torn])
    await depot.broker.batches.members(T, torn)
    await depot.broker.batches.page(T)
    await depot.broker.client.delete(key)


async def test_many_promises_that_have_run_out_are_looked_up_without_a_pause(depot: Depot) -> None:
    """A pass that has not looked at every promise asks to come back at once."""
    batch = await depot.create()
    await depot.promise(batch, depot.jobs(batch, 1000))
    await depot.promise(batch, depot.jobs(batch, 10))
    await depot.let_promises_run_out(batch)
    passes, auditor = 1, depot.auditor()
    while (await auditor.run_once()).more:
        passes += 1
    assert await depot.counts(batch) == {}
    assert passes == 2


async def test_a_queue_that_is_away_holds_up_no_other_batch(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callbacks of one queue fail together, and what concerns other queues is done."""
    await depot.create((COMPLETE,), is_open=False)
    cancelled = await depot.create(members=2)
    await depot.broker.batches.cancel(T, cancelled)
    asked = 0

    async def away(*_: object, **__: object) -> None:
        nonlocal asked
        asked += 1
        raise StoreUnavailableError("away")

    await depot.create((SUCCESS, COMPLETE), is_open=False)
    with monkeypatch.context() as patch:
        patch.setattr(type(depot.broker.store), "enqueue", away)
        with pytest.raises(StoreUnavailableError):
            await depot.starter().run_once()
    assert asked == 1
    await depot.messenger().run_once()
    assert await depot.counts(cancelled) == {MemberState.CANCELLED: 2}
    await depot.free_leases()
    assert await depot.run_callbacks() == ["on_complete", "on_complete", "on_success"]


@pytest.mark.parametrize("name", ["counts", "turn", "options", "closes_at", "mark:on_complete", "job:on_complete"])
async def test_garbage_in_a_field_stops_one_batch(depot: Depot, name: str) -> None:
    """A field that another program wrote stops its batch at most, and neither another one nor a duty."""
    torn = await depot.create(ALL, members=1)
    sound = await depot.create(ALL, members=1)
    await depot.broker.client.hset(depot.keys(torn).part(torn), name, "garbage")
    await depot.broker.client.zadd(depot.keys(torn).part(torn, "members"), {"no id": 1, "beyond": 1e17})
    for one in (torn, sound):
        await depot.broker.batches.close(T, one)
    await depot.make_checked(torn)
    await depot.auditor().run_once()
    await depot.run_members()
    assert {"on_complete", "on_success"} <= set(await depot.run_callbacks())
    await depot.broker.batches.cancel(T, torn)
    await depot.turn()
    await depot.make_checked(torn)
    await depot.auditor().run_once()
    assert (await depot.read(sound)).state is BatchState.SUCCEEDED
    await depot.broker.batches.read(T, [torn])
    await depot.broker.batches.members(T, torn)
    await depot.broker.batches.page(T)


async def test_callbacks_are_looked_after_when_their_batch_has_ended(depot: Depot) -> None:
    """A batch that has ended is looked at soon while a callback has not, and then at the end of its retention."""
    batch = await depot.create((COMPLETE,), is_open=False, retention_ms=3_600_000)
    keys = depot.keys(batch)
    now_ms = (await depot.broker.now()).timestamp() * 1000
    assert (await depot.broker.client.zscore(keys.checks, batch) or 0) < now_ms + 120_000
    await depot.turn()
    assert await depot.run_callbacks() == ["on_complete"]
    await depot.make_checked(batch)
    await depot.auditor().run_once()
    assert (await depot.broker.client.zscore(keys.checks, batch) or 0) > now_ms + 3_500_000
