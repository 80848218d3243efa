"""What a pass of the duties of schedules tells: when to come back, which duties wake, and what metrics show of it."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from dispatcher.schedules.conftest import MINUTE, Town

from millstream_contracts import DEFAULT_TENANT, ScheduleRules
from millstream_dispatcher.schedules import scheduler, starter
from millstream_dispatcher.schedules.decision import ERROR_AGAIN_MS
from millstream_dispatcher.schedules.surveyor import ScheduleSurveyor
from millstream_streams import Broker, StoreFullError

HOUR = timedelta(hours=1)


def counted(town: Town, outcome: str) -> float | None:
    """Return how many occasions had an outcome."""
    return town.registry.get_sample_value("millstream_schedule_fired_total", {"outcome": outcome})


def seconds_until(moment: datetime) -> float:
    """Return the seconds from now until a moment."""
    return (moment - datetime.now(UTC)).total_seconds()


async def tick_ms(town: Town, name: str = "nightly") -> float:
    """Return when a schedule is looked at next, Unix ms."""
    keys = town.broker.keys.of_schedules(town.broker.schedules.shard_of(DEFAULT_TENANT, name))
    return float(await town.broker.client.zscore(keys.ticks, name))


async def test_a_pass_comes_back_when_the_next_occasion_fires(town: Town) -> None:
    """The scheduler returns for the soonest occasion, of those that are to come and of those it has decided on."""
    begun = datetime.now(UTC)
    assert (await town.scheduler().run_once()).next_in_s is None
    await town.put("later", next_at=begun + HOUR)
    keys = town.broker.keys.of_schedules(town.broker.schedules.shard_of(DEFAULT_TENANT, "later"))
    await town.broker.client.zadd(keys.ticks, {"later": (begun + HOUR).timestamp() * 1000})
    result = await town.scheduler().run_once()
    assert (result.started, result.more) == (0, False)
    assert seconds_until(begun + HOUR) - 1 <= result.next_in_s <= HOUR.total_seconds()  # type: ignore[operator]
    await town.put(rules=ScheduleRules(every_s=1.0))
    result = await town.scheduler().run_once()
    assert result.started >= 1
    assert 0 <= result.next_in_s <= 1.0  # type: ignore[operator]


async def test_a_decision_wakes_the_starter_and_no_other_pass_does(town: Town) -> None:
    """The starter is woken when a job was decided on, and not by a pass that started none."""
    duty = town.scheduler()
    await duty.run_once()
    assert not await duty._starts.wait(0)
    await town.put()
    await duty.run_once()
    assert await duty._starts.wait(0)


async def test_more_names_than_a_pass_takes_are_taken_at_once(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """While more is due than one pass takes, the scheduler comes back at once, and nothing is left out."""
    monkeypatch.setattr(scheduler, "LIMIT", 1)
    for name in ("one", "two"):
        await town.put(name)
    duty = town.scheduler()
    passes = [await duty.run_once() for _ in range(3)]
    assert [(one.more, one.started) for one in passes] == [(True, 1), (True, 1), (False, 0)]


async def test_metrics_tell_what_became_of_occasions_and_how_late(town: Town) -> None:
    """Occasions are counted by outcome, and the lateness of a job counts from when its occasion fires, in seconds."""
    nominal = datetime.now(UTC).replace(microsecond=0) - 3 * MINUTE
    rules = ScheduleRules(every_s=3600.0, late_s=1800.0, anchor=nominal)
    await town.put("late", rules, next_at=nominal, fires_ms=str(round((nominal + MINUTE).timestamp() * 1000)))
    await town.put("busy", ScheduleRules(every_s=60.0, missed="all", max_missed=1, late_s=1.0), next_at=nominal - HOUR)
    await town.scheduler().run_once()
    stored = await town.read("busy")
    assert counted(town, "missed") == stored.missed > 50
    assert counted(town, "fired") == 1 + stored.fired
    (last,) = (await town.read("late")).jobs
    skips = ScheduleRules(every_s=3600.0, anchor=nominal, overlap="skip", late_s=1800.0)
    await town.put("skips", skips, next_at=nominal, jobs=last)
    await town.scheduler().run_once()
    assert counted(town, "skipped") == (await town.read("skips")).skipped == 1


async def test_lateness_counts_from_when_an_occasion_fires(town: Town) -> None:
    """A job decided on two minutes after its occasion fired was late by two minutes, whatever its nominal time."""
    nominal = datetime.now(UTC).replace(microsecond=0) - 3 * MINUTE
    rules = ScheduleRules(every_s=3600.0, late_s=1800.0, anchor=nominal)
    await town.put(rules=rules, next_at=nominal, fires_ms=str(round((nominal + MINUTE).timestamp() * 1000)))
    await town.scheduler().run_once()
    late_s = town.registry.get_sample_value("millstream_schedule_lateness_seconds_sum")
    assert late_s is not None
    assert 2 * 60 <= late_s <= -seconds_until(nominal + MINUTE)


async def test_a_backfill_is_not_late(town: Town) -> None:
    """The occasions of a backfill are counted as fired, and not among those that were late."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ends_ms = round((start + 5 * MINUTE).timestamp() * 1000)
    await town.put("nightly bf1", next_at=start, state="running", parallel="2", to_ms=str(ends_ms), occasions="5")
    await town.scheduler().run_once()
    assert counted(town, "fired") == 2
    assert town.registry.get_sample_value("millstream_schedule_lateness_seconds_count") == 0


async def test_what_cannot_be_carried_out_is_looked_at_a_minute_later(town: Town) -> None:
    """A schedule whose rules are broken costs one look a minute, and not one at each pass."""
    await town.put(rules=ScheduleRules(cron="every day"))
    before_ms = time.time() * 1000
    await town.scheduler().run_once()
    assert await tick_ms(town) >= before_ms + ERROR_AGAIN_MS - 1000


async def test_a_hash_that_is_no_schedule_keeps_no_other_from_its_time(town: Town) -> None:
    """A due name whose hash another program wrote is passed over, and the others of its shard fire."""
    await town.put("sound")
    await town.put("torn")
    key = town.broker.keys.of_schedules(town.broker.schedules.shard_of(DEFAULT_TENANT, "torn")).schedule("torn")
    await town.broker.client.hset(key, "next_ms", "soon")
    assert (await town.scheduler().run_once()).started == 1
    assert (await town.read("sound")).fired == 1


async def test_the_starter_stores_by_rounds_and_comes_back_for_the_rest(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More jobs than one pass stores are stored by the next one, which is asked for at once; each is confirmed."""
    monkeypatch.setattr(starter, "LIMIT", 2)
    monkeypatch.setattr(starter, "ROUNDS", 2)
    first_at = datetime.now(UTC).replace(microsecond=0) - 4 * HOUR - 10 * MINUTE
    await town.put(rules=ScheduleRules(every_s=3600.0, anchor=first_at, late_s=86_400.0), next_at=first_at)
    await town.scheduler().run_once()
    decided = (await town.read()).fired
    assert decided == 5
    duty = town.starter()
    first, second = await duty.run_once(), await duty.run_once()
    assert (first.more, second.more) == (True, False)
    assert len(await town.jobs()) == decided
    await town.free_starts()
    assert (await duty.run_once()).next_in_s is None


async def test_the_starter_comes_back_when_the_lease_of_another_ends(town: Town) -> None:
    """A job that another dispatcher has taken is looked for when its lease ends, and is stored by then if need be."""
    await town.put()
    await town.scheduler().run_once()
    shard = town.broker.schedules.shard_of(DEFAULT_TENANT, "nightly")
    await town.broker.schedules.take_starts(shard, 10, lease_s=30.0)
    result = await town.starter().run_once()
    assert result.stored == 0
    assert result.next_in_s is not None
    assert 0 < result.next_in_s <= 30.0


async def test_what_a_dispatcher_held_for_longer_than_its_lease_is_left_to_others(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dispatcher does not store jobs that it took so long ago that another one has them by now."""
    await town.put()
    await town.scheduler().run_once()
    duty = town.starter()
    monkeypatch.setattr(starter, "HELD_FOR_S", 0.0)

    async def full(*_: object, **__: object) -> None:
        raise StoreFullError("full")

    with monkeypatch.context() as patch:
        patch.setattr(type(town.broker.store), "enqueue", full)
        with pytest.raises(StoreFullError):
            await duty.run_once()
    assert (await duty.run_once()).stored == 0
    assert await town.jobs() == []
    await town.free_starts()
    assert (await duty.run_once()).stored == 1


async def test_a_start_that_cannot_be_read_is_let_go(town: Town) -> None:
    """A job in the outbox that no release can read is confirmed as refused, and those after it are stored."""
    await town.put()
    await town.scheduler().run_once()
    keys = town.broker.keys.of_schedules(town.broker.schedules.shard_of(DEFAULT_TENANT, "nightly"))
    await town.broker.client.hset(keys.starts, "garbage", "no start")
    await town.broker.client.zadd(keys.outbox, {"garbage": 0})
    assert (await town.starter().run_once()).stored == 1
    assert len(await town.jobs()) == 1
    assert await town.broker.client.exists(keys.starts, keys.outbox) == 0


async def test_a_refused_job_is_counted_by_metrics_and_not_as_stored(town: Town) -> None:
    """A job that the pipeline refuses is counted once, as refused."""
    await town.put(job=b"\x81\xa4type\xa3a b")
    await town.scheduler().run_once()
    assert (await town.starter().run_once()).stored == 0
    assert counted(town, "refused") == 1


async def test_the_survey_counts_schedules_and_no_backfills(town: Town, broker: Broker) -> None:
    """The gauge shows how many schedules there are of each state, and those that are gone no more."""
    for name, state in (("a", "active"), ("b", "active"), ("c", "paused"), ("a bf1", "running")):
        await town.put(name, state=state)
    surveyor = ScheduleSurveyor(broker, town.metrics, interval_s=5.0)

    def shown(state: str) -> float | None:
        return town.registry.get_sample_value("millstream_schedules", {"state": state})

    await surveyor.run_once()
    assert shown("active") == 3  # the index says so of each that the fixture puts
    assert shown("running") is None
    await broker.schedules.remove(DEFAULT_TENANT, "b")
    await surveyor.run_once()
    assert shown("active") == 2
