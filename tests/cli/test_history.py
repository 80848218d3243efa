"""`migrate` and a dispatcher use a history database as processes."""

import json
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import anyio.to_thread
import httpx2
import pytest
from cli.commands import refused, run, run_program, started_program
from history_databases import execute, query
from streams.seeds import seed
from topologies.postgres import find_postgres, local_postgres
from waiting import wait_until
from written import whole_lines

from millstream_cli.embedded import free_ports
from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_history import open_history
from millstream_runtime.examination.history_section import examine_history
from millstream_streams import Broker

QUEUE = Queue(DEFAULT_TENANT, JobType("invoice.send"))
NO_DATABASE = "postgresql://ann:secret@127.0.0.1:9/none"
AWAY = "redis://127.0.0.1:9"


async def test_migrate_makes_the_tables_and_says_what_they_are(empty_history_url: str) -> None:
    """`migrate` makes the tables and prints their revision, also in JSON and when it is repeated."""
    settings = {"MILLSTREAM_HISTORY_URL": empty_history_url}
    done = await anyio.to_thread.run_sync(lambda: run_program("migrate", **settings))
    assert (done.returncode, done.stderr) == (0, "")
    [[revision]] = await query(empty_history_url, "SELECT version_num FROM alembic_version")
    assert done.stdout == f"the history database is at revision {revision}\n"
    again = await anyio.to_thread.run_sync(lambda: run_program("migrate", "--json", **settings))
    assert json.loads(again.stdout) == {"revision": revision, "newer": False}


async def test_migrate_of_an_older_release_ends_well_on_newer_tables(history_url: str) -> None:
    """`migrate` of an older release succeeds on newer tables and says so."""
    await execute(history_url, "UPDATE alembic_version SET version_num = '9999'")
    settings = {"MILLSTREAM_HISTORY_URL": history_url}
    done = await anyio.to_thread.run_sync(lambda: run_program("migrate", **settings))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the history database is at revision 9999, of a newer release, left as it is\n"
    again = await anyio.to_thread.run_sync(lambda: run_program("migrate", "--json", **settings))
    assert json.loads(again.stdout) == {"revision": "9999", "newer": True}


async def test_doctor_says_what_makes_searches_slow(history_url: str) -> None:
    """`doctor` names missing days and a missing index as advice, until a dispatcher has made the days."""
    await execute(history_url, "DROP INDEX IF EXISTS jobs_by_error_text, jobs_by_error_text_and_type")
    found = await examine_history(history_url)
    assert [text.partition(":")[0] for text in found.advice] == [
        "today and the days to come have no partition",
        "errors are not indexed, so a search for words reads jobs one by one",
    ]
    async with open_history(history_url) as history:
        await history.days.make(datetime.now(UTC).date())
    assert len((await examine_history(history_url)).advice) == 1


async def test_migrate_waits_for_a_database_that_is_started_beside_it(tmp_path: Path) -> None:
    """`migrate` waits for its database, says so once, and then makes the tables."""
    programs = find_postgres()
    if programs is None:
        pytest.skip("it needs a PostgreSQL of its own, to stop it")
    with local_postgres(programs) as server:
        server.stop()
        settings = {"MILLSTREAM_HISTORY_URL": server.url}
        with started_program("migrate", "--wait", "60", log=tmp_path / "log", **settings) as process:
            await wait_until(lambda: "waiting for it" in (tmp_path / "log").read_text(), "it waits", 60)
            server.start()
            await wait_until(lambda: process.poll() is not None, "it ends", 60)
        assert process.returncode == 0
        told, made = (tmp_path / "log").read_text().splitlines()
        assert "nothing listens" in told
        assert "at revision" in made


def test_migrate_does_not_wait_for_what_no_time_mends(postgres_url: str) -> None:
    """`migrate` fails at once when the database has a wrong name."""
    url = f"{postgres_url}?dbname=no-such-database"
    line = refused(run("migrate", "--wait", "3600", MILLSTREAM_HISTORY_URL=url), "no database of this name")
    assert "no-such" not in line


def test_migrate_says_what_it_lacks() -> None:
    """`migrate` says in one line which variable is missing or that nothing responds, without a password."""
    refused(run("migrate"), "MILLSTREAM_HISTORY_URL is unset")
    assert "secret" not in refused(run("migrate", MILLSTREAM_HISTORY_URL=NO_DATABASE), "not available", code=3)


@pytest.mark.parametrize("command", ["migrate", "dispatcher"])
def test_a_database_of_another_kind_is_refused_at_the_start(command: str) -> None:
    """A URL of another kind of database is refused at the start, without its password."""
    line = refused(run(command, MILLSTREAM_HISTORY_URL="mysql://ann:secret@host/x"), "postgresql://", code=2)
    assert "secret" not in line


async def test_a_dispatcher_stores_what_happens(
    broker: Broker, redis_url: str, namespace: str, history_url: str, tmp_path: Path
) -> None:
    """A dispatcher whose URL comes from a file stores transitions, and stops in order."""
    secret = tmp_path / "history-url"
    secret.write_text(f"{history_url}\n")
    await broker.registry.add_queues([QUEUE])
    ids = await seed(broker, QUEUE, 3)
    settings = {"MILLSTREAM_REDIS_URL": redis_url, "MILLSTREAM_NAMESPACE": namespace}

    async def are_stored() -> bool:
        return await query(history_url, "SELECT id FROM jobs ORDER BY id") == [(job_id,) for job_id in sorted(ids)]

    with started_program(
        "dispatcher", log=tmp_path / "log", MILLSTREAM_HISTORY_URL_FILE=str(secret), **settings
    ) as process:
        await wait_until(are_stored, "the jobs are in the history", 60)
        os.kill(process.pid, signal.SIGTERM)
        await wait_until(lambda: process.poll() is not None, "the dispatcher leaves")
    assert process.returncode == 0
    assert [line for line in map(json.loads, whole_lines(tmp_path / "log")) if line["level"] != "info"] == []


@pytest.mark.parametrize("command", ["migrate", "dispatcher"])
def test_a_parameter_that_is_unknown_is_refused_at_the_start_by_its_name(command: str) -> None:
    """An unknown parameter of the URL is refused before Redis is waited for, with a suggestion."""
    url = "postgresql://ann:secret@127.0.0.1:9/none?sslmod=verify-full"
    line = refused(run(command, MILLSTREAM_HISTORY_URL=url, MILLSTREAM_REDIS_URL=AWAY), "`sslmod`", "`sslmode`", code=2)
    assert "secret" not in line


@pytest.mark.parametrize("jobs", [0, 1])
async def test_a_dispatcher_names_the_database_that_is_away(
    broker: Broker, redis_url: str, namespace: str, tmp_path: Path, jobs: int
) -> None:
    """A dispatcher whose database is away says so at `/readyz` and in one log line a duty, and runs the others."""
    await broker.registry.add_queues([QUEUE])
    for _ in range(jobs):
        await seed(broker, QUEUE)
    (port,) = free_ports(1)
    settings = {
        "MILLSTREAM_REDIS_URL": redis_url,
        "MILLSTREAM_NAMESPACE": namespace,
        "MILLSTREAM_ADMIN_PORT": str(port),
    }

    async def is_named() -> bool:
        try:
            answer = (await http.get(f"http://127.0.0.1:{port}/readyz")).json()
        except httpx2.TransportError:
            return False
        checks = {check["name"]: check for check in answer["checks"]}
        said = checks.get("history", {}).get("detail", "")
        return "nothing listens" in said and checks["redis"]["ok"] and checks["promoter"]["ok"]

    async with httpx2.AsyncClient(trust_env=False) as http:
        with started_program("dispatcher", log=tmp_path / "log", MILLSTREAM_HISTORY_URL=NO_DATABASE, **settings):
            await wait_until(is_named, "the history is named", 60)
    assert "secret" not in (tmp_path / "log").read_text()
    failed = [line for line in map(json.loads, whole_lines(tmp_path / "log")) if line["level"] == "error"]
    assert {(line["reason"], "exception" in line) for line in failed} == {("away", False)}
    duties = [line["duty"] for line in failed]
    assert "historian" in duties
    assert len(set(duties)) == len(duties), "a duty says it once"
    assert "nothing listens" in failed[0]["error"]
