"""`GET /v1/system` says how the installation fares, and fails for nothing that does not answer."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from history_databases import execute
from ingest.inspection.test_past_jobs import QUEUE
from ingest.serving import Ingest, remembering_ingest

from millstream_contracts import DutyInfo, ServiceInfo
from millstream_history import open_history
from millstream_history.migrating import current_revision
from millstream_streams import Broker

NOW = datetime.now(UTC)


@pytest.fixture
async def past(settings, history_url: str, broker: Broker) -> AsyncIterator[Ingest]:
    """Yield an ingest with a history."""
    async with remembering_ingest(settings, history_url) as running:
        yield running


def process(service: str, **changes: object) -> ServiceInfo:
    """Return a process that has just sent a heartbeat."""
    fields = {"name": f"host:1:{service}", "service": service, "version": "1", "settings": {}, "started_at": NOW}
    return ServiceInfo(**fields | {"sent_at": NOW, "seen_at": NOW} | changes)


def said(found, name: str, status: str) -> list[str]:
    """Return what the checks of one part of the system say."""
    return [one["detail"] for one in found["checks"] if (one["name"], one["status"]) == (name, status)]


async def test_redis_is_shown_as_it_is(ingest: Ingest) -> None:
    """Redis is shown with its servers, their memory and their policy, and what is well of it is a check too."""
    found = await ingest.get("/v1/system")
    [server] = [one for one in found["redis"]["servers"] if one["role"] == "primary"][:1]
    assert found["redis"]["is_suitable"]
    assert (server["maxmemory_policy"], server["used_bytes"] > 0) == ("noeviction", True)
    assert "maxmemory-policy is noeviction" in said(found, "redis", "ok")
    assert said(found, "redis", "bad") == []
    assert found["history"] is None


async def test_processes_are_shown_with_their_duties(ingest: Ingest, broker: Broker) -> None:
    """A process is shown with its duties; one that fails is bad, with its error, as settings that differ are."""
    duties = [DutyInfo(name="promoter", last_success_at=NOW), DutyInfo(name="expirer", failures=3, last_error="no")]
    lease = "MILLSTREAM_LEASE_S"
    await broker.registry.note_service(process("dispatcher", duties=duties, settings={lease: 30.0}))
    await broker.registry.note_service(process("reaper", settings={lease: 60.0}))
    found = await ingest.get("/v1/system")
    [shown] = [one for one in found["processes"] if one["service"] == "dispatcher"]
    assert [one["name"] for one in shown["duties"]] == ["promoter", "expirer"]
    assert said(found, "duties", "bad") == [
        "the duty expirer of dispatcher host:1:dispatcher has failed 3 times in a row: no"
    ]
    assert said(found, "duties", "ok") == ["1 duty of dispatcher went well: promoter"]
    assert [line.partition(" ")[0] for line in said(found, "services", "bad")] == [lease]
    assert any(line.startswith("no process of workers lives") for line in said(found, "services", "warn"))


async def test_the_history_is_shown_with_its_days_and_gaps(past: Ingest, history_url: str, broker: Broker) -> None:
    """The history is shown with its revision, its days, its size, for how long it is kept, and what was lost."""
    await broker.registry.note_service(process("dispatcher", settings={"MILLSTREAM_HISTORY_DAYS": 30}))
    async with open_history(history_url) as history:
        await history.days.make(NOW.date())
        await history.gaps.note(QUEUE, NOW, NOW)
    found = await past.get("/v1/system")
    history_status = found["history"]
    assert history_status["revision"] == history_status["release_revision"] == current_revision()
    assert history_status["oldest_day"] < NOW.date().isoformat() < history_status["newest_day"]
    assert history_status["size_bytes"] > 0
    assert (history_status["kept_days"], len(history_status["gaps"])) == (30, 1)
    assert "times of the last 7 days of which events were lost: 1" in said(found, "history", "warn")
    assert said(found, "history", "bad") == []


async def test_tables_that_are_gone_are_a_check_and_no_failure(past: Ingest, history_url: str) -> None:
    """Tables that this release cannot use are a bad check that names the command which mends it."""
    await execute(history_url, "UPDATE alembic_version SET version_num = '0001'")
    found = await past.get("/v1/system")
    [check] = [one for one in found["checks"] if one["name"] == "history"]
    assert (check["status"], check["fix"], found["history"]) == ("bad", "millstream migrate", None)


async def test_all_who_ask_share_a_look(ingest: Ingest, broker: Broker) -> None:
    """A second request within seconds has the answer of the first: a look connects to every server."""
    first = await ingest.get("/v1/system")
    await broker.registry.note_service(process("reaper"))
    assert await ingest.get("/v1/system") == first
