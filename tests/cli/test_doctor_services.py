"""`doctor` reports on the services, by their heartbeats, and on the tables of the history."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import anyio
import anyio.to_thread
import pytest
from cli.commands import refused, run
from click.testing import Result

from millstream_cli.embedded import EmbeddedRedis
from millstream_contracts import ServiceInfo
from millstream_history.migrating import current_revision
from millstream_runtime import ServiceSettings, beating
from millstream_runtime.examination.services_section import NEEDED, living, section_of
from millstream_streams import open_broker

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def process(service: str, name: str = "", **changes: object) -> ServiceInfo:
    """Return a process that has just sent a heartbeat."""
    known: dict[str, object] = {
        "name": name or f"host:1:{service}",
        "service": service,
        "version": "1.0.0",
        "started_at": NOW,
        "sent_at": NOW,
        "seen_at": NOW,
    }
    return ServiceInfo(**known | changes)  # type: ignore[arg-type]


EVERY = [process(service) for service in NEEDED]


def test_nothing_is_said_of_a_complete_system() -> None:
    """A complete system gets a headline with the number of processes of each service, and no finding."""
    section = section_of([*EVERY, process("workers", "host:2:w")], must_live=True)
    assert section.headline == "services: 1 ingest, 2 workers, 1 dispatcher, 1 reaper"
    assert (section.objections, section.advice) == ([], [])


@pytest.mark.parametrize("service", NEEDED)
def test_a_service_of_which_no_process_lives_is_named_with_what_is_lost(service: str) -> None:
    """A service without a live process is advice, and an objection with `--live`, and is named with what is lost."""
    found = [one for one in EVERY if one.service != service]
    (line,) = section_of(found, must_live=False).advice
    assert line == f"no process of {service} lives: {NEEDED[service]}"
    assert section_of(found, must_live=True).objections == [line]


def test_live_processes_are_not_asked_for_where_the_rights_of_one_service_are_tried() -> None:
    """`--for` and `--live` exclude each other: a gate would pass that has not looked at the processes."""
    refused(run("doctor", "--for", "ingest", "--live"), "--for", "--live", code=2)


def test_a_process_that_has_been_silent_does_not_live() -> None:
    """A process that was silent for long does not count as live, though it is still on the list."""
    found = [process("ingest", seen_at=NOW - timedelta(seconds=30)), process("reaper", seen_at=NOW)]
    assert living(found, NOW) == found
    assert living(found, NOW + timedelta(seconds=1)) == found[1:]


def test_settings_that_must_agree_and_do_not_are_named_with_who_has_which() -> None:
    """Settings that must agree and do not, such as leases, are named with the processes that have each value."""
    found = [
        process("workers", "a:1:x", settings={"MILLSTREAM_LEASE_S": 30.0, "MILLSTREAM_MAX_CRASHES": 3}),
        process("workers", "b:1:y", settings={"MILLSTREAM_LEASE_S": 30.0, "MILLSTREAM_MAX_CRASHES": 3}),
        process("reaper", "c:1:z", settings={"MILLSTREAM_LEASE_S": 10.0, "MILLSTREAM_MAX_CRASHES": 3}),
    ]
    (line,) = section_of(found, must_live=False).objections
    assert line == "MILLSTREAM_LEASE_S must be the same everywhere: 30.0 at 2 processes; 10.0 at reaper c:1:z"


def test_two_releases_side_by_side_are_named() -> None:
    """Two releases side by side are named."""
    section = section_of([*EVERY[1:], process("ingest", "host:9:new", version="1.1.0")], must_live=True)
    (line,) = section.advice
    assert line == "two releases run side by side: 1.0.0 at 3 processes; 1.1.0 at ingest host:9:new"
    assert section.objections == []


@pytest.mark.parametrize(("skew_s", "way"), [(-60, "behind"), (60, "ahead of")])
def test_a_host_whose_clock_is_wrong_is_named_once(skew_s: int, way: str) -> None:
    """A host whose clock is wrong is named once, by the times of its heartbeats."""
    skewed = {"sent_at": NOW + timedelta(seconds=skew_s)}
    found = [*EVERY, process("workers", "late:1:a", **skewed), process("workers", "late:2:b", **skewed)]
    (line,) = section_of(found, must_live=True).advice
    assert line.startswith(f"late has a clock 60 s {way} that of Redis")


def test_doctor_requires_every_service_where_it_is_told_to(own_redis: EmbeddedRedis) -> None:
    """`doctor --live` requires every service, and without it a Redis may be checked before any service starts."""
    environ = {"MILLSTREAM_REDIS_URL": own_redis.url}
    before = run("doctor", **environ)
    assert (before.exit_code, "services: 0 ingest, 0 workers" in before.stdout) == (0, True)
    result = run("doctor", "--live", "--json", **environ)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["objections"] == [
        f"no process of {name} lives: {loss}" for name, loss in NEEDED.items()
    ]


@pytest.fixture
def started_late(own_redis: EmbeddedRedis) -> Iterator[None]:
    """Send heartbeats of processes of all services, from a second after the test began."""
    stop = threading.Event()

    async def beat() -> None:
        settings = ServiceSettings(redis_url=own_redis.url)
        async with open_broker(own_redis.url) as broker, anyio.create_task_group() as tasks:
            for service in NEEDED:
                tasks.start_soon(live, service, settings, broker.registry)

    async def live(service, settings, registry) -> None:
        async with beating(service, settings, registry):
            await anyio.to_thread.run_sync(stop.wait)

    thread = threading.Timer(1.0, anyio.run, [beat])
    thread.start()
    yield
    stop.set()
    thread.join()


def test_doctor_waits_until_every_service_lives(own_redis: EmbeddedRedis, started_late: None) -> None:
    """`doctor` with a wait returns once every service lives."""
    result = run("doctor", "--live", "--wait", "60", MILLSTREAM_REDIS_URL=own_redis.url)
    assert result.exit_code == 0, result.output
    assert "services: 1 ingest, 1 workers, 1 dispatcher, 1 reaper" in result.stdout


def test_doctor_waits_for_a_redis_that_is_away_no_longer_than_told() -> None:
    """`doctor` waits for an absent Redis for the given time, and then says why it is absent."""
    refused(run("doctor", "--wait", "2", MILLSTREAM_REDIS_URL="redis://127.0.0.1:9/0"), "127.0.0.1:9", code=3)


async def in_thread(*words: str, **environ: str) -> Result:
    """Run a command in a thread, because it has an event loop of its own."""
    return await anyio.to_thread.run_sync(lambda: run(*words, **environ))


async def test_doctor_looks_at_the_history_where_there_is_one(own_redis: EmbeddedRedis, history_url: str) -> None:
    """`doctor` reports that the tables of a history are there and accept rows."""
    result = await in_thread("doctor", MILLSTREAM_REDIS_URL=own_redis.url, MILLSTREAM_HISTORY_URL=history_url)
    assert result.exit_code == 0, result.output
    assert f"history: revision {current_revision()}: takes jobs" in result.stdout


async def test_doctor_objects_to_a_history_without_tables(own_redis: EmbeddedRedis, empty_history_url: str) -> None:
    """`doctor` objects to a history without tables, and names the command to run."""
    result = await in_thread("doctor", MILLSTREAM_REDIS_URL=own_redis.url, MILLSTREAM_HISTORY_URL=empty_history_url)
    assert result.exit_code == 1
    assert "history: does not take jobs\n  must change: " in result.stdout
    assert "run `millstream migrate`" in result.stdout


def test_doctor_objects_to_a_history_that_does_not_answer_and_shows_no_password(own_redis: EmbeddedRedis) -> None:
    """`doctor` objects to an absent history without its password, and still reports on Redis and the services."""
    url = "postgresql://ann:secret@127.0.0.1:9/none"
    result = run("doctor", MILLSTREAM_REDIS_URL=own_redis.url, MILLSTREAM_HISTORY_URL=url)
    assert result.exit_code == 1
    assert "history: does not take jobs" in result.stdout
    assert "services: " in result.stdout
    assert "secret" not in result.output
