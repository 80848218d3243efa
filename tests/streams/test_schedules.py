"""A change of a schedule is made once, a decided job is taken until it is confirmed, and garbage stops one schedule."""

from collections.abc import AsyncIterator

import anyio
import pytest
from leftovers import delete_namespace
from streams.planting import Bug
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, JobId, JobType, Queue
from millstream_streams import (
    SCHEDULES_TYPE,
    Broker,
    IndexLine,
    ScheduleChange,
    StoredSchedule,
    next_turn,
    open_broker,
)
from millstream_streams.store import script_runner
from millstream_streams.store.keys import Keys

T = DEFAULT_TENANT
LINE = IndexLine("active", "api", "email.send").text()
JOB = JobId("email.send_000001ABCDEFGHJKMNPQRSTVWX")


async def put(broker: Broker, name: str = "nightly", tick_ms: int | None = 0, **fields: str | bytes) -> StoredSchedule:
    """Store a schedule and return it."""
    change = ScheduleChange(name=name, turn="", tick_ms=tick_ms, line=LINE, fields={"job": b"\x80\n", **fields})
    assert await broker.schedules.change(T, [change]) == [True]
    await broker.schedules.make_known(T, name)
    return (await broker.schedules.read(T, [name]))[name]


def fire(stored: StoredSchedule, job_id: str = JOB, tick_ms: int | None = None) -> ScheduleChange:
    """Return the change by which an occasion starts a job."""
    return ScheduleChange(
        name=stored.name, turn=stored.turn, tick_ms=tick_ms, line=LINE, fields={"jobs": job_id}, job_id=job_id,
        nominal_ms=1_000,
    )  # fmt: skip


def shard_of(broker: Broker, name: str = "nightly") -> Queue:
    """Return the shard of a schedule."""
    return broker.schedules.shard_of(T, name)


def names_of(broker: Broker, count: int) -> list[str]:
    """Return names of schedules that lie in one shard: on a cluster there are several."""
    names = (f"nightly{number}" for number in range(1_000))
    return [name for name in names if shard_of(broker, name) == shard_of(broker)][:count]


async def test_a_schedule_is_read_as_it_was_put(broker: Broker) -> None:
    """A schedule that was put is in its shard, in the index and readable, and its shard is no queue."""
    stored = await put(broker, version="3", next_ms="5", description="an é", jobs="a b")
    assert (stored.version, stored.next_ms, stored.description, stored.jobs) == (3, 5, "an é", ("a", "b"))
    assert await broker.schedules.index(T) == {"nightly": IndexLine("active", "api", "email.send")}
    assert await broker.schedules.shards() == [shard_of(broker)]
    assert await broker.registry.queues() == []


BUGS = {
    "a change does not compare the turn": (
        Bug("schedules/change", "fired-twice", "  if false then return 0 end"),
        "test_of_two_changes_that_read_the_same_one_is_made",
    ),
    "a decided job is not put into the outbox": (
        Bug("schedules/change", "fired-and-forgotten"),
        "test_a_decided_job_stays_until_it_is_confirmed",
    ),
}


@pytest.mark.parametrize("name", BUGS)
async def test_a_planted_bug_is_found(doomed: Broker, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With one line of a script broken, the test of its rule fails."""
    bug, test = BUGS[name]
    monkeypatch.setattr(script_runner, "load_script", bug.load)
    with pytest.raises((AssertionError, ValueError)):
        await globals()[test](doomed)


@pytest.fixture
async def doomed(redis_url: str, namespace: str) -> AsyncIterator[Broker]:
    """Yield a broker whose keys are not checked at the end, because a broken script runs on it."""
    async with open_broker(redis_url, namespace=namespace) as opened:
        yield opened
        await delete_namespace(opened.client, namespace)


async def test_of_two_changes_that_read_the_same_one_is_made(broker: Broker) -> None:
    """Of two changes whose authors have read the same turn, the second one changes nothing and starts nothing."""
    stored = await put(broker)
    assert await broker.schedules.change(T, [fire(stored)]) == [True]
    assert await broker.schedules.change(T, [fire(stored, JOB.replace("X", "Y"))]) == [False]
    taken = await broker.schedules.take_starts(shard_of(broker), 10)
    assert [one.id for one in taken.starts] == [JOB]


async def test_changes_of_one_call_follow_one_another(broker: Broker) -> None:
    """Several occasions of a schedule fire in one call, each naming the turn that the one before makes."""
    first = await put(broker)
    other = JobId(JOB.replace("X", "Y"))
    second = ScheduleChange(
        name="nightly", turn=next_turn(first.turn), tick_ms=None, line=LINE, fields={}, job_id=other, nominal_ms=2
    )
    assert await broker.schedules.change(T, [fire(first), second]) == [True, True]
    assert len((await broker.schedules.take_starts(shard_of(broker), 10)).starts) == 2


async def test_a_new_name_does_not_replace_what_is_there(broker: Broker) -> None:
    """A schedule that was put as a new one is refused where the name is taken, and a missing one cannot be changed."""
    stored = await put(broker)
    again = ScheduleChange(name="nightly", turn="", tick_ms=None, line=LINE, fields={})
    gone = ScheduleChange(name="other", turn=stored.turn, tick_ms=None, line=LINE, fields={})
    assert await broker.schedules.change(T, [again, gone]) == [False, False]


async def test_what_is_due_is_leased_to_one(broker: Broker) -> None:
    """A due name goes to one dispatcher until its lease ends, and then to the next."""
    await put(broker)
    due = await broker.schedules.lease_due(shard_of(broker), 10, lease_s=0.2)
    assert [one.name for one in due.found] == ["nightly"]
    assert due.found[0].stored is not None
    assert due.found[0].stored.job == b""
    again = await broker.schedules.lease_due(shard_of(broker), 10)
    assert again.found == []
    assert again.next_in_ms is not None

    async def is_due() -> bool:
        return bool((await broker.schedules.lease_due(shard_of(broker), 10)).found)

    await wait_until(is_due, "the lease ends")


async def test_what_is_not_due_is_left(broker: Broker) -> None:
    """A name whose time has not come is not taken, and a paused one, which has none, never is."""
    await put(broker, "later", tick_ms=9_999_999_999_999)
    await put(broker, "paused", tick_ms=None)
    for name in ("later", "paused"):
        assert (await broker.schedules.lease_due(shard_of(broker, name), 10)).found == []


async def test_a_decided_job_stays_until_it_is_confirmed(broker: Broker) -> None:
    """A decided job is taken again after its lease until it is confirmed, with what it was when it was decided."""
    stored = await put(broker)
    await broker.schedules.change(T, [fire(stored)])
    shard = shard_of(broker)
    (start,) = (await broker.schedules.take_starts(shard, 10, lease_s=0.0)).starts
    assert (start.id, start.name, start.nominal_ms, start.submission) == (JOB, "nightly", 1_000, b"\x80\n")

    async def comes_again() -> bool:
        return bool((await broker.schedules.take_starts(shard, 10, lease_s=0.0)).starts)

    await wait_until(comes_again, "the lease of a moment ends")
    assert (await broker.schedules.take_starts(shard, 10, [(JOB, "")])).starts == []
    assert (await broker.schedules.take_starts(shard, 10, [(JOB, "")])).next_in_ms is None


async def test_a_job_under_way_is_told_with_what_is_due(broker: Broker) -> None:
    """Among the jobs of a due schedule those are named that are decided on and not stored yet."""
    stored = await put(broker)
    await broker.schedules.change(T, [fire(stored, tick_ms=0)])
    (due,) = (await broker.schedules.lease_due(shard_of(broker), 10, lease_s=0.0)).found
    assert due.unstored == {JOB}
    await broker.schedules.take_starts(shard_of(broker), 0, [(JOB, "")])

    async def is_stored() -> bool:
        found = (await broker.schedules.lease_due(shard_of(broker), 10, lease_s=0.0)).found
        return bool(found) and not found[0].unstored

    await wait_until(is_stored, "the confirmed job is not named any more")


async def test_a_refusal_is_counted_where_the_schedule_shows_it(broker: Broker) -> None:
    """A job that was refused counts as failed at its schedule, with the reason, and does not change its turn."""
    stored = await put(broker)
    await broker.schedules.change(T, [fire(stored)])
    before = (await broker.schedules.read(T, ["nightly"]))["nightly"]
    await broker.schedules.take_starts(shard_of(broker), 0, [(JOB, "no such type")])
    after = (await broker.schedules.read(T, ["nightly"]))["nightly"]
    assert (after.failed, after.error, after.turn) == (1, "no such type", before.turn)


async def test_a_removed_schedule_still_starts_what_was_decided(broker: Broker) -> None:
    """A schedule that is removed is forgotten, and its decided job starts all the same."""
    stored = await put(broker)
    await broker.schedules.change(T, [fire(stored, tick_ms=0)])
    assert await broker.schedules.remove(T, "nightly")
    assert not await broker.schedules.remove(T, "nightly")
    assert await broker.schedules.index(T) == {}
    due = await broker.schedules.lease_due(shard_of(broker), 10)
    assert (due.found, due.next_in_ms) == ([], None)
    assert len((await broker.schedules.take_starts(shard_of(broker), 1, [])).starts) == 1
    # The refusal of a job whose schedule is gone makes no schedule.
    await broker.schedules.take_starts(shard_of(broker), 1, [(JOB, "refused")])
    assert await broker.schedules.read(T, ["nightly"]) == {}


async def test_a_removal_with_a_turn_spares_what_has_another(broker: Broker) -> None:
    """A removal that names a turn removes nothing when the schedule has changed since."""
    stored = await put(broker)
    await broker.schedules.change(T, [fire(stored)])
    assert not await broker.schedules.remove(T, "nightly", stored.turn)


@pytest.mark.parametrize("garbage", ["no hash", "no turn", "no number"])
async def test_garbage_stops_one_schedule(broker: Broker, garbage: str) -> None:
    """A hash that another program wrote is leased without content, cannot be changed, and goes by removal."""
    await put(broker, "sound")
    await put(broker, "torn")
    keys = Keys(broker.keys.namespace).of_schedules(shard_of(broker, "torn"))
    key = keys.schedule("torn")
    await broker.client.delete(key)
    if garbage == "no hash":
        await broker.client.set(key, "text")
    elif garbage == "no turn":
        await broker.client.hset(key, "x", "y")
    else:
        await broker.client.hset(key, mapping={"turn": "1", "next_ms": "soon"})
    found = {}
    for name in ("torn", "sound"):
        found |= {one.name: one.stored for one in (await broker.schedules.lease_due(shard_of(broker, name), 10)).found}
    assert found["torn"] is None
    assert found["sound"] is not None
    assert await broker.schedules.read(T, ["torn", "sound"]) == {"sound": (await put_again(broker, "sound"))}
    assert await broker.schedules.remove(T, "torn")


async def put_again(broker: Broker, name: str) -> StoredSchedule:
    """Return a schedule as it is now."""
    return (await broker.schedules.read(T, [name]))[name]


async def test_garbage_in_the_outbox_is_dropped_or_told(broker: Broker) -> None:
    """An id without content is dropped from the outbox, and content that cannot be read is told as such."""
    shard = Queue(T, SCHEDULES_TYPE, 0)
    keys = broker.keys.of_schedules(shard)
    await broker.client.zadd(keys.outbox, {"nothing": 0, "torn": 0})
    await broker.client.hset(keys.starts, "torn", "\xff")
    taken = await broker.schedules.take_starts(shard, 10)
    assert (taken.starts, taken.unreadable) == ([], ["torn"])
    assert await broker.client.zrange(keys.outbox, 0, -1) == [b"torn"]
    await broker.schedules.take_starts(shard, 10, [(taken.unreadable[0], "unreadable")])
    assert await broker.client.zcard(keys.outbox) == 0
    assert JobType("_cron") == SCHEDULES_TYPE


async def test_a_hint_wakes_dispatchers_for_what_is_due_before_all_else(broker: Broker) -> None:
    """A schedule that is due sooner than all others, and a job that was decided on, are hinted at, and no later one."""
    heard: list[Queue] = []
    ready = anyio.Event()
    shard = shard_of(broker)
    first, later, paused, sooner = names_of(broker, 4)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(broker.listen_due, heard.append, ready.set)
        await ready.wait()

        async def hints(count: int) -> None:
            await wait_until(lambda: len(heard) >= count, "the hint is heard")
            assert heard == [shard] * count

        await put(broker, first, tick_ms=2_000)
        await hints(1)
        await put(broker, later, tick_ms=3_000)
        await put(broker, paused, tick_ms=None)
        stored = await put(broker, sooner, tick_ms=1_000)
        await hints(2)
        await broker.schedules.change(T, [fire(stored, tick_ms=4_000)])
        await hints(3)
        other = (await broker.schedules.read(T, [later]))[later]
        await broker.schedules.change(T, [fire(other, JOB.replace("X", "Y"), tick_ms=500)])
        # One for the time of the schedule; the job is behind the one that was decided on before.
        await hints(4)
        tasks.cancel_scope.cancel()


async def test_jobs_are_taken_in_the_order_of_their_decisions(broker: Broker) -> None:
    """Jobs of one call are taken oldest decision first, and a round that leaves some says that there are more now."""
    stored, ids = await put(broker), [JobId(JOB.replace("X", letter)) for letter in "ZYXW"]
    turn, changes = stored.turn, list[ScheduleChange]()
    for number, job_id in enumerate(ids):
        changes.append(
            ScheduleChange(
                name="nightly", turn=turn, tick_ms=None, line=LINE, fields={}, job_id=job_id, nominal_ms=number
            )
        )
        turn = next_turn(turn)
    assert all(await broker.schedules.change(T, changes))
    shard = shard_of(broker)
    first = await broker.schedules.take_starts(shard, 1)
    assert ([one.id for one in first.starts], first.next_in_ms) == (ids[:1], 0)
    assert [one.id for one in (await broker.schedules.take_starts(shard, 10)).starts] == ids[1:]
    left = await broker.schedules.take_starts(shard, 10)
    assert left.starts == []
    assert left.next_in_ms is not None
    assert 0 < left.next_in_ms <= 5_000
    assert (await broker.schedules.take_starts(shard, 0, [(job_id, "") for job_id in ids])).next_in_ms is None


async def test_a_schedule_that_is_paused_when_it_is_due_is_not_looked_at(broker: Broker) -> None:
    """A change that leaves no time for the next look takes a name from those that are due."""
    stored = await put(broker, tick_ms=0)
    pause = ScheduleChange(name="nightly", turn=stored.turn, tick_ms=None, line=LINE, fields={"state": "paused"})
    assert await broker.schedules.change(T, [pause]) == [True]
    due = await broker.schedules.lease_due(shard_of(broker), 10)
    assert (due.found, due.next_in_ms) == ([], None)


async def test_what_a_round_leaves_is_due_now(broker: Broker) -> None:
    """A round that has reached its limit says that more is due, and one that has taken all when the lease ends."""
    for name in names_of(broker, 2):
        await put(broker, name)
    first = await broker.schedules.lease_due(shard_of(broker), 1)
    assert (len(first.found), first.next_in_ms) == (1, 0)
    second = await broker.schedules.lease_due(shard_of(broker), 1)
    assert len(second.found) == 1
    assert second.next_in_ms is not None
    assert 0 < second.next_in_ms <= 5_000
