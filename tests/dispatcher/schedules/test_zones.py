"""A newer release of the time zone database moves occasions that are to come, once, and nothing that is due."""

from datetime import UTC, datetime, timedelta

from dispatcher.schedules.conftest import Town

from millstream_contracts import DEFAULT_TENANT, ScheduleRules
from millstream_dispatcher.schedules.zone_reviser import ZoneReviser
from millstream_streams import StoredSchedule

DAILY = ScheduleRules(cron="0 3 * * *", tz="Europe/Oslo")
HOUR = timedelta(hours=1)


async def stored(town: Town, name: str = "nightly") -> StoredSchedule:
    """Return a schedule, which must be there."""
    return (await town.broker.schedules.read(DEFAULT_TENANT, [name]))[name]


def soon() -> datetime:
    """Return a time in the next hours at which nothing of DAILY is due."""
    return datetime.now(UTC).replace(second=30, microsecond=0) + HOUR


async def test_an_occasion_is_moved_to_where_the_newer_release_has_it(town: Town) -> None:
    """What another release has computed is computed anew; the same release and an older one change nothing then."""
    await town.put("nightly", DAILY, next_at=soon())
    assert (await ZoneReviser(town.broker, version="2026z").run_once()).moved == 1
    moved = await stored(town)
    at = datetime.fromtimestamp(moved.next_ms / 1000, UTC)
    assert (at.minute, moved.zones) == (0, "2026z")
    assert datetime.now(UTC) < at < datetime.now(UTC) + timedelta(days=1, hours=1)
    assert (await ZoneReviser(town.broker, version="2026z").run_once()).moved == 0
    await town.put("newer", DAILY, next_at=soon(), zones="2026z")
    assert (await ZoneReviser(town.broker, version="2026a").run_once()).moved == 0


async def test_what_is_right_or_due_stays(town: Town) -> None:
    """An interval knows no zones, and an occasion that is due is decided on as it was computed."""
    due = await town.put("due", DAILY)
    await town.put("other", ScheduleRules(every_s=7200.0), next_at=soon())
    before = [await stored(town, name) for name in ("due", "other")]
    assert (await ZoneReviser(town.broker, version="2026z").run_once()).moved == 0
    assert [await stored(town, name) for name in ("due", "other")] == before
    assert due < datetime.now(UTC)
