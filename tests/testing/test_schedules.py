"""The test kit fires the schedules of an app when a test moves the clock."""

from datetime import UTC, datetime, timedelta

from millstream import App, Context, CronContext, Retry, Snooze
from millstream_contracts import JobState

MIDNIGHT = datetime(2026, 3, 28, 0, tzinfo=UTC)


async def test_occasions_fire_at_their_times_when_time_passes() -> None:
    """Each occasion that the clock passes runs its job at its time, by the rules for changes of the clock."""
    app, seen = App("shop"), list[str]()

    @app.cron("nightly", "30 2 * * *", tz="Europe/Paris")
    async def nightly(ctx: CronContext) -> None:
        seen.append(f"{ctx.occasion:%d %H:%M}")

    async with app.testing(now=MIDNIGHT) as t:
        await t.advance(days=3)
        # On the 29th the clock goes from two to three.
        assert seen == ["28 02:30", "29 03:00", "30 02:30"]
        assert [one.state for one in t.submitted(nightly)] == [JobState.SUCCEEDED] * 3


async def test_what_a_job_waits_for_fires_nothing() -> None:
    """Only `advance` lets schedules fire: a test of one job has no others beside it."""
    app = App("shop")

    @app.cron("often", 1)
    async def often() -> None: ...

    @app.job("flaky", retry=Retry(delays=[60]))
    async def flaky(number: int, ctx: Context) -> int:
        if ctx.attempt == 1:
            raise ConnectionError
        return number

    async with app.testing(now=MIDNIGHT) as t:
        assert await t.run(flaky, 3) == 3
        assert t.submitted(often) == []
        await t.advance(seconds=2)
        assert len(t.submitted(often)) == 2


async def test_payloads_of_schedules_reach_their_handlers() -> None:
    """A schedule of `.schedule()` submits its payload."""
    app, seen = App("shop"), list[int]()

    @app.job("count")
    async def count(number: int) -> None:
        seen.append(number)

    count.schedule("ones", 60, 1)
    count.schedule("tens", 120, 10)
    async with app.testing(now=MIDNIGHT) as t:
        await t.advance(minutes=4)
        assert sorted(seen) == [1, 1, 1, 1, 10, 10]


async def overlapping(overlap: str) -> list[tuple[str, str]]:
    """Return occasion and state of each job of a schedule whose first job takes three occasions."""
    app = App("shop")
    found = datetime(2026, 3, 28, 0, 1, tzinfo=UTC)

    @app.cron("slow", 60, overlap=overlap)  # type: ignore[arg-type]
    async def slow(ctx: CronContext) -> None:
        if ctx.occasion == found and t.now < found + timedelta(seconds=100):
            raise Snooze(150)

    async with app.testing(now=MIDNIGHT) as t:
        await t.advance(minutes=4, seconds=30)
        return [(one.tags["scheduled_for"][14:16], str(one.state)) for one in t.submitted(slow)]


async def test_overlap_is_kept() -> None:
    """While the job of an occasion has not ended, later ones run beside it, are skipped, wait, or have it cancelled."""
    done = "succeeded"
    assert await overlapping("allow") == [("01", done), ("02", done), ("03", done), ("04", done)]
    assert await overlapping("skip") == [("01", done), ("04", done)]
    assert await overlapping("queue") == [("01", done), ("03", done), ("04", done)]
    assert await overlapping("cancel-running") == [("01", "cancelled"), ("02", done), ("03", done), ("04", done)]
