"""Each occasion starts one job, whatever number of dispatchers look and whatever they die of between two steps."""

import time
from datetime import UTC, datetime, timedelta

import anyio
import msgspec
import pytest
from dispatcher.schedules.conftest import MINUTE, Town
from msgspec.structs import replace

from millstream_contracts import DEFAULT_TENANT, JobId, Queue, ScheduleRules, TenantState, made_at, queue_of
from millstream_streams import Broker, StoreFullError


async def job_tags(broker: Broker, job_id: JobId) -> dict[str, str]:
    """Return the tags of a job."""
    queue = queue_of(DEFAULT_TENANT, job_id)
    assert isinstance(queue, Queue)
    job = await broker.views.job(queue, job_id)
    assert job is not None
    return dict(job.tags or {})


async def test_an_occasion_starts_one_job_that_says_where_it_is_from(town: Town) -> None:
    """A due occasion starts one job with its nominal time in its id and its tags, and the next one is due later."""
    nominal = await town.put()
    assert (await town.scheduler().run_once()).started == 1
    assert (await town.starter().run_once()).stored == 1
    (job_id,) = await town.jobs()
    assert made_at(job_id) == nominal
    shown = msgspec.to_builtins(nominal)
    assert await job_tags(town.broker, job_id) == {"schedule": "nightly", "scheduled_for": shown}
    stored = await town.read()
    assert (stored.fired, stored.jobs) == (1, (job_id,))
    assert stored.next_ms == round((nominal + MINUTE).timestamp() * 1000)


async def test_many_dispatchers_start_one_job(town: Town) -> None:
    """Of many dispatchers that look at the same time, whose leases are over, one starts the job."""
    await town.put()
    for _ in range(3):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(town.scheduler().run_once)
        await town.make_due()
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(town.starter().run_once)
        await town.free_starts()
    assert len(await town.jobs()) == 1


async def test_a_decision_that_was_overtaken_starts_nothing(town: Town) -> None:
    """A dispatcher that slept between its look and its decision starts nothing, because the schedule has gone on."""
    await town.put()
    shard = town.broker.schedules.shard_of(DEFAULT_TENANT, "nightly")
    slow = town.scheduler()
    due = await town.broker.schedules.lease_due(shard, 10)
    await town.make_due()
    await town.scheduler().run_once()
    assert await slow._decide(DEFAULT_TENANT, due.found, datetime.now(UTC)) == []
    await town.starter().run_once()
    assert len(await town.jobs()) == 1


async def test_a_dispatcher_that_died_before_it_confirmed_leaves_one_job(town: Town) -> None:
    """A job that was stored and not confirmed is taken again after the lease and stored once, also when it is gone."""
    await town.put()
    await town.scheduler().run_once()
    starter = town.starter()
    shard = town.broker.schedules.shard_of(DEFAULT_TENANT, "nightly")
    taken = await town.broker.schedules.take_starts(shard, 10)
    await starter._store(shard, taken.starts, time.monotonic() + 10)
    (job_id,) = await town.jobs()
    await town.end(job_id)
    queue = queue_of(DEFAULT_TENANT, job_id)
    assert isinstance(queue, Queue)
    await town.broker.client.delete(town.broker.keys.of(queue).job(job_id))
    await town.free_starts()
    await town.starter().run_once()
    assert await town.jobs() == []
    assert (await town.broker.schedules.take_starts(shard, 10)).next_in_ms is None


@pytest.mark.parametrize(("missed", "jobs"), [("skip", 0), ("latest", 1), ("all", 3)])
async def test_missed_occasions_are_made_up_for_as_the_rules_say(town: Town, missed: str, jobs: int) -> None:
    """Occasions that are late by more than `late_s` start no job, the latest one or all, and the others are counted."""
    rules = ScheduleRules(every_s=3600.0, missed=missed, late_s=1.0)
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    await town.put(rules=rules, next_at=now - timedelta(hours=2))
    if datetime.now(UTC) - now < timedelta(seconds=2):
        await anyio.sleep(2.0)
    await town.scheduler().run_once()
    await town.starter().run_once()
    assert len(await town.jobs()) == jobs
    stored = await town.read()
    assert (stored.fired, stored.missed) == (jobs, 3 - jobs)


async def test_a_schedule_fires_only_when_both_clocks_say_so(town: Town) -> None:
    """While the own clock is more than a minute behind that of Redis, nothing fires that is not due by it."""
    await town.put()
    behind = town.scheduler(wall=lambda: time.time() - 3600)
    assert (await behind.run_once()).started == 0
    await town.make_due()
    assert (await town.scheduler().run_once()).started == 1


async def test_with_skip_an_occasion_is_skipped_while_the_last_job_has_not_ended(town: Town) -> None:
    """With the overlap `skip` an occasion starts no job while the last one waits or runs, and one once it has ended."""
    await town.put(rules=ScheduleRules(every_s=1.0, overlap="skip", late_s=600.0))
    await town.scheduler().run_once()
    # Decided and not stored is under way too.
    await until_next(town)
    assert (await town.read()).fired == 1
    assert (await town.read()).skipped >= 1
    await town.starter().run_once()
    await until_next(town)
    assert (await town.read()).fired == 1
    await town.end((await town.read()).jobs[0])
    await until_next(town)
    assert (await town.read()).fired == 2


async def until_next(town: Town) -> None:
    """Have the next occasion come at once, and decide."""
    stored = await town.read()
    key = town.broker.keys.of_schedules(town.broker.schedules.shard_of(DEFAULT_TENANT, "nightly")).schedule("nightly")
    past_ms = round(time.time() * 1000) // 1000 * 1000 - 1000
    fields = {"next_ms": past_ms, "fires_ms": past_ms}
    if stored.next_ms:
        await town.broker.client.hset(key, mapping=fields)
    await town.make_due()
    await town.scheduler().run_once()


@pytest.mark.parametrize("overlap", ["queue", "cancel-running"])
async def test_with_queue_the_newest_occasion_waits_for_the_end_of_the_last_job(town: Town, overlap: str) -> None:
    """One occasion waits, the newest, and starts when the last job has ended; `cancel-running` asks it to end."""
    await town.put(rules=ScheduleRules(every_s=1.0, overlap=overlap, late_s=600.0))
    await town.scheduler().run_once()
    await town.starter().run_once()
    (first,) = (await town.read()).jobs
    if overlap == "queue":
        await until_next(town)
        waiting = (await town.read()).waiting_ms
        assert waiting
        assert (await town.read()).fired == 1
        await town.end(first)
    else:
        await until_next(town)
    await town.make_due()
    await town.scheduler().run_once()
    stored = await town.read()
    assert stored.fired >= 2
    assert stored.jobs != (first,)


async def test_a_lost_job_blocks_no_schedule(town: Town) -> None:
    """With the overlap `skip` a last job that Redis has lost counts as ended."""
    await town.put(rules=ScheduleRules(every_s=1.0, overlap="skip", late_s=600.0))
    await town.scheduler().run_once()
    shard = town.broker.schedules.shard_of(DEFAULT_TENANT, "nightly")
    taken = await town.broker.schedules.take_starts(shard, 10)
    await town.broker.schedules.take_starts(shard, 10, [(taken.starts[0].id, "")])
    await until_next(town)
    assert (await town.read()).fired == 2


async def test_one_moment_fires_once_and_is_done(town: Town) -> None:
    """A schedule of one moment fires once, is done, and is forgotten when its time is over."""
    at = datetime.now(UTC).replace(microsecond=0)
    await town.put(rules=ScheduleRules(at=at), next_at=at)
    assert (await town.scheduler().run_once()).started == 1
    assert (await town.read()).state == "done"
    await town.make_due()
    assert (await town.scheduler().run_once()).started == 0
    assert await town.broker.schedules.index(DEFAULT_TENANT) == {}


async def test_a_backfill_starts_its_occasions_oldest_first_and_a_few_at_a_time(town: Town) -> None:
    """A backfill starts each occasion of its range once, with at most `parallel` jobs under way, and ends."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    from_ms = round(start.timestamp() * 1000)
    await town.put(
        "nightly bf1", rules=ScheduleRules(every_s=60.0), next_at=start, state="running", parallel="2",
        from_ms=str(from_ms), to_ms=str(from_ms + 300_000), occasions="5",
    )  # fmt: skip
    seen: list[str] = []
    for _ in range(4):
        await town.make_due("nightly bf1")
        await town.scheduler().run_once()
        await town.starter().run_once()
        jobs = await town.jobs()
        assert len(jobs) <= 2
        for job_id in jobs:
            tags = await job_tags(town.broker, job_id)
            assert tags["schedule"] == "nightly"
            seen.append(tags["scheduled_for"])
            await town.end(job_id)
    assert seen == [f"2026-01-01T00:0{minute}:00Z" for minute in range(5)]
    stored = await town.read("nightly bf1")
    assert (stored.state, stored.fired, stored.jobs) == ("done", 5, ())


async def test_a_job_that_does_not_keep_the_rules_any_more_is_refused_and_counted(town: Town) -> None:
    """A job that the pipeline refuses is counted at its schedule with the reason, and the schedule goes on."""
    await town.put(job=b"\x81\xa4type\xa3a b")
    await town.scheduler().run_once()
    await town.starter().run_once()
    stored = await town.read()
    assert stored.failed == 1
    assert stored.error
    assert stored.state == "active"


@pytest.mark.parametrize("rules", [b"garbage", msgspec.msgpack.encode(ScheduleRules(cron="every day"))])
async def test_garbage_in_one_schedule_stops_that_one_alone(town: Town, rules: bytes) -> None:
    """A schedule whose rules cannot be read says so and is looked at again, while the others fire."""
    await town.put("sound")
    await town.put("torn", rules=ScheduleRules(every_s=60.0))
    shard = town.broker.schedules.shard_of(DEFAULT_TENANT, "torn")
    await town.broker.client.hset(town.broker.keys.of_schedules(shard).schedule("torn"), "rules", rules)
    assert (await town.scheduler().run_once()).started == 1
    assert (await town.read("torn")).error
    assert (await town.read("sound")).fired == 1


async def test_what_a_full_redis_refuses_is_stored_later(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dispatcher that could not store its jobs stores them at its next pass, without waiting for its lease."""
    await town.put()
    await town.scheduler().run_once()
    starter = town.starter()
    store = town.broker.store.enqueue

    async def full(*_: object, **__: object) -> None:
        raise StoreFullError("full")

    monkeypatch.setattr(type(town.broker.store), "enqueue", full)
    with pytest.raises(StoreFullError):
        await starter.run_once()
    monkeypatch.undo()
    assert store is not None
    assert (await starter.run_once()).stored == 1
    assert len(await town.jobs()) == 1


@pytest.mark.parametrize("state", ["paused", "orphan", "of a newer release"])
async def test_what_does_not_go_on_is_left_alone(town: Town, state: str) -> None:
    """A schedule that is neither active nor over starts nothing and is not forgotten, although it is looked at."""
    await town.put(state=state)
    assert (await town.scheduler().run_once()).started == 0
    assert (await town.read()).state == state


async def test_occasions_of_a_suspended_tenant_wait(town: Town) -> None:
    """Nothing is decided while the tenant of a schedule is suspended; what is due is decided on when it goes on."""
    tenants = town.broker.tenants
    await town.put()
    read = await tenants.get(DEFAULT_TENANT)
    assert read is not None
    suspended = replace(read, state=TenantState.SUSPENDED)
    assert await tenants.put_tenant(DEFAULT_TENANT, read, suspended)
    assert (await town.scheduler().run_once()).started == 0
    assert await tenants.put_tenant(DEFAULT_TENANT, suspended, replace(read, changed_at_ms=1))
    assert (await town.scheduler().run_once()).started == 1
