"""Workers declare the schedules of their apps, and pause those that no worker declares any more."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from waiting import wait_until
from workers.floor import Floor

from millstream import App
from millstream.seconds import Seconds
from millstream_contracts import DEFAULT_TENANT, ScheduleState
from millstream_streams import Broker, IndexLine, ScheduleChange, StoredSchedule
from millstream_workers.schedule_declarer import ScheduleDeclarer

NOW_MS = round(datetime.now(UTC).timestamp() * 1000)
DAY_MS, HOUR_MS = 86_400_000, 3_600_000


def shop(schedules: dict[str, str | Seconds], name: str = "shop") -> App[None]:
    """Return an app with schedules."""
    app = App(name)

    @app.job("count")
    async def count(number: int) -> None: ...

    for schedule, when in schedules.items():
        count.schedule(schedule, when, 1)
    return app


class Town:
    """Declares the schedules of apps, and reads what there is."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def declarer(
        self, app: App[Any], *, release: str = "one", started_at_ms: Callable[[], int | None] = lambda: NOW_MS
    ) -> ScheduleDeclarer:
        """Return the duty of a worker."""
        return ScheduleDeclarer(
            self._broker,
            [DEFAULT_TENANT],
            app.schedules,
            apps={"shop"},
            release=release,
            started_at_ms=started_at_ms,
        )

    async def declare(self, app: App[Any], *, release: str = "one", started_ms: int = NOW_MS, passes: int = 1) -> None:
        """Have a worker of an app declare its schedules."""
        declarer = self.declarer(app, release=release, started_at_ms=lambda: started_ms)
        for _ in range(passes):
            await declarer.run_once()

    async def read(self, name: str = "nightly") -> StoredSchedule:
        """Return a schedule."""
        return (await self._broker.schedules.read(DEFAULT_TENANT, [name]))[name]

    async def now_ms(self) -> int:
        """Return the time of Redis, in Unix ms."""
        return round((await self._broker.now()).timestamp() * 1000)

    async def ticks(self, name: str = "nightly") -> float | None:
        """Return when dispatchers look at a schedule; None for never."""
        shard = self._broker.schedules.shard_of(DEFAULT_TENANT, name)
        return await self._broker.client.zscore(self._broker.keys.of_schedules(shard).ticks, name)  # type: ignore[no-any-return]

    async def write(self, name: str = "nightly", **fields: str) -> None:
        """Change a schedule as other services do."""
        held = await self.read(name)
        state, owner = fields.get("state", held.state), fields.get("owner", held.owner)
        line = IndexLine(state, owner, held.type).text()
        tick_ms = held.fires_ms if state == "active" else None
        change = ScheduleChange(name=name, turn=held.turn, tick_ms=tick_ms, line=line, fields=fields)
        assert await self._broker.schedules.change(DEFAULT_TENANT, [change]) == [True]


@pytest.fixture
def town(broker: Broker) -> Town:
    """Return a town without schedules."""
    return Town(broker)


async def test_a_declared_schedule_is_due_at_its_next_occasion(town: Town) -> None:
    """The first worker that declares a schedule makes it, owned by code, with its first occasion after now."""
    await town.declare(shop({"nightly": 60}))
    held = await town.read()
    assert (held.state, held.owner, held.app, held.release, held.version) == ("active", "code", "shop", "one", 1)
    assert held.type == "count"
    assert NOW_MS < held.next_ms <= await town.now_ms() + 60_000
    assert await town.ticks() == held.fires_ms == held.next_ms


async def test_a_declaration_that_changes_nothing_is_not_written(town: Town) -> None:
    """Every worker of a fleet declares the same schedules, and only the first of them writes."""
    await town.declare(shop({"nightly": 60}))
    before = await town.read()
    await town.declare(shop({"nightly": 60}), release="two", started_ms=NOW_MS + 1)
    assert await town.read() == before


async def test_the_latest_start_wins(town: Town) -> None:
    """Of two releases the one that started last says what a schedule is, also when the other declares again."""
    await town.declare(shop({"nightly": "0 3 * * *"}))
    await town.declare(shop({"nightly": "0 4 * * *"}), release="two", started_ms=NOW_MS + 5)
    changed = await town.read()
    assert (changed.version, changed.release) == (2, "two")
    assert datetime.fromtimestamp(changed.next_ms / 1000, UTC).hour == 4
    await town.declare(shop({"nightly": "0 3 * * *"}))
    assert await town.read() == changed


async def test_an_occasion_that_is_due_survives_a_declaration(town: Town) -> None:
    """A start of a worker with the same rules and another payload leaves the next occasion, also a late one."""
    await town.declare(shop({"nightly": 3600}))
    late_ms = str(NOW_MS - 5_000)
    await town.write(next_ms=late_ms, fires_ms=late_ms)
    app = shop({})
    app.handlers["count"].schedule("nightly", 3600, 2)
    await town.declare(app, started_ms=NOW_MS + 1)
    held = await town.read()
    assert (held.version, held.next_ms) == (2, int(late_ms))
    assert await town.ticks() == int(late_ms)


async def test_what_the_api_has_put_is_left_alone(town: Town) -> None:
    """A schedule that was put over the API stays as it is, and the log says so once."""
    await town.declare(shop({"nightly": 60}))
    await town.write(owner="api", app="")
    before = await town.read()
    with structlog.testing.capture_logs() as logs:
        await town.declare(shop({"nightly": 3600}), started_ms=NOW_MS + 1, passes=3)
    assert await town.read() == before
    assert [line["schedule"] for line in logs if line["log_level"] == "warning"] == ["nightly"]


async def test_a_pause_outlives_a_declaration(town: Town) -> None:
    """What an operator has paused stays paused when workers start, also with new rules."""
    await town.declare(shop({"nightly": 60}))
    await town.write(state="paused", reason="over the API")
    await town.declare(shop({"nightly": 3600}), started_ms=NOW_MS + 1)
    held = await town.read()
    assert (held.state, held.reason, held.version) == ("paused", "over the API", 2)
    assert await town.ticks() is None


async def test_a_schedule_that_no_worker_declares_is_paused_as_an_orphan(town: Town) -> None:
    """After a day in which workers of its app have not declared it, a schedule has no occasions any more."""
    await town.declare(shop({"nightly": 60}))
    day_ago = str(NOW_MS - DAY_MS - HOUR_MS)
    await town.write(seen_ms=day_ago, updated_ms=day_ago)
    await town.declare(shop({}), passes=1)
    assert (await town.read()).state == "active"
    await town.declare(shop({}), passes=2)
    held = await town.read()
    assert (held.state, held.reason) == ("orphan", "no worker declares it any more")
    assert held.paused_ms
    assert await town.ticks() is None


async def test_an_occasion_that_waits_when_its_schedule_is_orphaned_is_skipped(town: Town) -> None:
    """An orphan has no occasion that waits, and counts as skipped the one that did, as a paused schedule does."""
    await town.declare(shop({"nightly": 60}))
    day_ago = str(NOW_MS - 2 * DAY_MS)
    await town.write(seen_ms=day_ago, updated_ms=day_ago, waiting_ms=day_ago, skipped="2")
    await town.declare(shop({}), passes=2)
    held = await town.read()
    assert (held.state, held.waiting_ms, held.skipped) == ("orphan", 0, 3)


async def test_a_declaration_resumes_an_orphan(town: Town) -> None:
    """An orphan that a worker declares goes on with its occasions from now on, also when an older start declares it."""
    await town.declare(shop({"nightly": 60}))
    day_ago = str(NOW_MS - 2 * DAY_MS)
    await town.write(seen_ms=day_ago, updated_ms=day_ago, next_ms=day_ago, fires_ms=day_ago)
    await town.declare(shop({}), passes=2)
    await town.declare(shop({"nightly": 60}), started_ms=NOW_MS - 1)
    held = await town.read()
    assert (held.state, held.reason, held.paused_ms) == ("active", "", 0)
    assert held.next_ms > NOW_MS
    assert await town.ticks() == held.next_ms


KEPT = [
    pytest.param({"seen_ms": str(NOW_MS - 23 * HOUR_MS)}, id="declared lately"),
    pytest.param({"updated_ms": str(NOW_MS)}, id="resumed lately"),
    pytest.param({"app": "mail"}, id="of another app"),
    pytest.param({"owner": "api"}, id="put over the API"),
]


@pytest.mark.parametrize("fields", KEPT)
async def test_others_are_no_orphans(town: Town, fields: dict[str, str]) -> None:
    """What was declared or changed lately, or belongs to the API or an app without a live worker, goes on."""
    await town.declare(shop({"nightly": 60}))
    day_ago = str(NOW_MS - 2 * DAY_MS)
    await town.write(**{"seen_ms": day_ago, "updated_ms": day_ago, **fields})
    await town.declare(shop({}), passes=3)
    assert (await town.read()).state == "active"


async def test_a_worker_notes_that_it_declares(town: Town) -> None:
    """What a worker declares is noted once an hour, and makes no new version."""
    await town.declare(shop({"nightly": 60}))
    before = await town.read()
    await town.write(seen_ms=str(NOW_MS - 2 * HOUR_MS))
    await town.declare(shop({"nightly": 60}))
    held = await town.read()
    assert held.seen_ms >= NOW_MS
    assert (held.version, held.next_ms) == (before.version, before.next_ms)
    assert await town.ticks() == held.next_ms


async def test_an_occasion_that_waits_for_the_end_of_a_job_is_not_put_off(town: Town) -> None:
    """A schedule of which an occasion waits is looked at at once after a declaration, and not at its next occasion."""
    await town.declare(shop({"nightly": 86_400}))
    await town.write(waiting_ms=str(NOW_MS), seen_ms=str(NOW_MS - 2 * HOUR_MS))
    await town.declare(shop({"nightly": 86_400}))
    assert (await town.read()).waiting_ms == NOW_MS
    assert await town.ticks() == 0


async def test_a_worker_registers_before_it_declares(town: Town) -> None:
    """The order of starts is that of registrations, so a worker without one declares nothing yet and comes back."""
    result = await town.declarer(shop({"nightly": 60}), started_at_ms=lambda: None).run_once()
    assert result.next_in_s is not None
    with pytest.raises(KeyError):
        await town.read()


async def test_a_worker_declares_its_schedules_when_it_starts(floor: Floor) -> None:
    """A started worker has declared the schedules of its app."""
    await floor.hire(shop({"nightly": timedelta(days=1)}))

    async def declared() -> bool:
        held = await floor.broker.schedules.read(DEFAULT_TENANT, ["nightly"])
        return "nightly" in held and held["nightly"].state == ScheduleState.ACTIVE

    await wait_until(declared, "the schedule is declared")
