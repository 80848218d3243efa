"""Heartbeats list the processes of the services, with their releases and settings."""

import anyio
import pytest
from waiting import wait_until

from millstream_contracts import DutyInfo
from millstream_reaper.settings import ReaperSettings
from millstream_runtime import ServiceSettings, beating
from millstream_runtime.failure_log import MAX_KINDS, REPEAT_AFTER_S
from millstream_runtime.heartbeat import BEAT_EVERY_S, LEAVE_WITHIN_S
from millstream_streams import Broker, open_broker


async def names(broker: Broker) -> list[str]:
    """Return the listed services."""
    return [one.service for one in await broker.registry.services()]


async def test_a_process_is_listed_while_it_runs(broker: Broker) -> None:
    """A process is listed from its first heartbeat, at its start, until its end."""
    settings = ServiceSettings(redis_url="redis://127.0.0.1")
    async with beating("ingest", settings, broker.registry):
        await wait_until(lambda: names(broker), "it is listed")
        assert await names(broker) == ["ingest"]
    assert await names(broker) == []


async def test_a_process_that_is_cancelled_leaves_the_list(broker: Broker) -> None:
    """A process that ends by a cancellation, as after a failure, leaves the list."""
    settings = ServiceSettings(redis_url="redis://127.0.0.1")
    async with anyio.create_task_group() as tasks, beating("ingest", settings, broker.registry):
        await wait_until(lambda: names(broker), "it is listed")
        tasks.cancel_scope.cancel()
    with anyio.CancelScope(shield=True):
        assert await names(broker) == []


async def test_heartbeats_go_on(broker: Broker) -> None:
    """Heartbeats are repeated, each with the time of the process at its sending."""
    settings = ServiceSettings(redis_url="redis://127.0.0.1")
    async with beating("ingest", settings, broker.registry, every_s=0.01):
        await wait_until(lambda: names(broker), "it is listed")
        (first,) = await broker.registry.services()

        async def is_seen_again() -> bool:
            (again,) = await broker.registry.services()
            return again.sent_at > first.sent_at and again.name == first.name

        await wait_until(is_seen_again, "another heartbeat")


async def test_heartbeats_tell_how_duties_fare(broker: Broker) -> None:
    """Each heartbeat has what is known of the duties at its time."""
    settings = ServiceSettings(redis_url="redis://127.0.0.1")
    duties = [DutyInfo(name="sweep")]
    async with beating("reaper", settings, broker.registry, every_s=0.01, duties=lambda: list(duties)):
        await wait_until(lambda: names(broker), "it is listed")
        duties[0] = DutyInfo(name="sweep", failures=2, last_error="no")

        async def is_told() -> bool:
            (found,) = await broker.registry.services()
            return found.duties == duties

        await wait_until(is_told, "the failure is told")


async def test_what_has_to_agree_is_told_and_no_secret(broker: Broker) -> None:
    """A heartbeat has the settings that must agree, and neither an address nor a password."""
    settings = ReaperSettings(redis_url="redis://:secret@127.0.0.1", lease_s=7.0, worker_silent_s=45.0)
    async with beating("reaper", settings, broker.registry):
        await wait_until(lambda: names(broker), "it is listed")
        (found,) = await broker.registry.services()
    assert found.settings == {
        "MILLSTREAM_LEASE_S": 7.0,
        "MILLSTREAM_MAX_CRASHES": 3,
        "MILLSTREAM_EVENTS_KEPT": 100_000,
        "MILLSTREAM_WORKER_SILENT_S": 45.0,
    }
    assert found.version


async def test_a_service_does_not_end_for_want_of_heartbeats() -> None:
    """A service whose heartbeats fail goes on, and its end does not wait for Redis."""
    settings = ServiceSettings(redis_url="redis://127.0.0.1")
    async with (
        open_broker("redis://127.0.0.1:9/0", patience_s=0.0) as broker,
        beating("ingest", settings, broker.registry, every_s=0.01),
    ):
        await anyio.wait_all_tasks_blocked()


async def test_processes_that_were_started_together_do_not_beat_together(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause between two heartbeats is drawn anew each time, from 0.8 to 1.0 of the interval."""
    asked: list[tuple[float, float]] = []

    def draw(least: float, most: float) -> float:
        asked.append((least, most))
        return least

    monkeypatch.setattr("millstream_runtime.heartbeat.uniform", draw)
    settings = ServiceSettings(redis_url="redis://127.0.0.1")
    async with beating("ingest", settings, broker.registry, every_s=0.01):
        await wait_until(lambda: len(asked) >= 2, "two pauses were drawn")
    assert set(asked) == {(0.8, 1.0)}


def test_times_of_heartbeats_have_their_magnitude() -> None:
    """A process beats several times before it counts as gone, and an end waits about a second for Redis."""
    assert 1.0 <= BEAT_EVERY_S <= ReaperSettings().worker_silent_s / 3
    assert 0.2 <= LEAVE_WITHIN_S <= 3.0
    assert 30.0 <= REPEAT_AFTER_S <= 600.0
    assert 3 <= MAX_KINDS <= 30
