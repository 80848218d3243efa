"""The embedded PostgreSQL runs on the programs of this machine."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from history_databases import execute, query

from millstream_cli.errors import FolderInUseError, NoPostgresError, PostgresStartError
from millstream_cli.postgres.account import choose_account
from millstream_cli.postgres.data_folder import COMMON, substitute_of
from millstream_cli.postgres.finder import PostgresPrograms
from millstream_cli.postgres.history_start import start_history
from millstream_cli.postgres.server import EmbeddedPostgres, start_embedded_postgres
from millstream_history import DAYS_AHEAD
from millstream_history.connection.address import parse_history_url
from millstream_history.connection.connecting import connect

STARTER = """
import sys, time
from pathlib import Path
from millstream_cli.postgres.server import start_embedded_postgres
with start_embedded_postgres(Path(sys.argv[1])) as server:
    print(server.pid, server.url, flush=True)
    time.sleep(600)
"""


def asked(url: str, statement: str) -> list[tuple]:
    """Return the rows of a query."""
    return anyio.run(query, url, statement)


def done(url: str, statement: str) -> None:
    """Run statements."""
    anyio.run(execute, url, statement)


@pytest.fixture
def server(programs: PostgresPrograms, data: Path) -> Iterator[EmbeddedPostgres]:
    """Run a server."""
    with start_embedded_postgres(data, programs) as running:
        yield running


def test_the_server_is_for_its_account_alone(server: EmbeddedPostgres, data: Path) -> None:
    """The server listens on no port, and what it keeps is in folders that other users cannot enter."""
    assert asked(server.url, "SHOW listen_addresses") == [("",)]
    socket = Path(parse_history_url(server.url).hosts[0][0] or "")
    account = choose_account()
    for folder in (data / f"pg{server.version.split('.')[0]}", server.folder / "data", socket):
        found = folder.stat()
        assert (found.st_mode & 0o777, found.st_uid) == (0o700, account.uid)
    assert server.returncode is None


def test_the_address_leads_to_the_server_whatever_the_environment_says(server, monkeypatch) -> None:
    """Variables of libpq are for clients of another server."""
    monkeypatch.setenv("PGPORT", "9")
    monkeypatch.setenv("PGHOST", "nowhere.example")
    monkeypatch.setenv("PGDATABASE", "other")
    assert asked(server.url, "SELECT current_user") == [("millstream",)]


def test_close_keeps_the_data_and_waits_for_no_client(
    server: EmbeddedPostgres, data: Path, programs: PostgresPrograms
) -> None:
    """A connected client does not hold up the end, and after a restart the data is there."""
    done(server.url, "CREATE TABLE kept AS SELECT 42 AS n")

    async def close_beside_a_client() -> None:
        connection = await connect(parse_history_url(server.url))
        await anyio.to_thread.run_sync(server.close)
        await connection.close()

    anyio.run(close_beside_a_client)
    assert server.returncode == 0
    server.close()
    with start_embedded_postgres(data, programs) as again:
        assert asked(again.url, "SELECT n FROM kept") == [(42,)]


def test_the_server_ends_when_its_starter_is_killed(
    programs: PostgresPrograms, data: Path, wait_until, is_running
) -> None:
    """SIGKILL of the starter ends the server, and the next start finds the data."""
    with subprocess.Popen([sys.executable, "-c", STARTER, data], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid, url = starter.stdout.readline().split()
        done(url, "CREATE TABLE kept AS SELECT 42 AS n")
        assert is_running(int(pid))
        starter.kill()
    # At once, the old server still about to end: the start waits for the folder.
    with start_embedded_postgres(data, programs) as again:
        assert asked(again.url, "SELECT n FROM kept") == [(42,)]
    wait_until(lambda: not is_running(int(pid)), "the end of the orphaned server")


def test_a_killed_server_recovers(server: EmbeddedPostgres, data: Path, programs: PostgresPrograms, wait_until) -> None:
    """After SIGKILL of the server itself the next start recovers the data that was committed."""
    done(server.url, "CREATE TABLE kept AS SELECT 42 AS n; CHECKPOINT")
    done(server.url, "UPDATE kept SET n = 43; SELECT pg_switch_wal()")
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: server.returncode is not None, "the end of the server")
    server.close()
    with start_embedded_postgres(data, programs) as again:
        assert asked(again.url, "SELECT n FROM kept") == [(43,)]


def test_start_refuses_a_folder_in_use_and_names_its_holder(server: EmbeddedPostgres, data: Path, programs) -> None:
    """A start on a folder in use is refused, and the error names the process that uses it."""
    with pytest.raises(FolderInUseError, match=rf"in use by the PostgreSQL with pid {server.pid}:"):
        start_embedded_postgres(data, programs)


def test_start_begins_anew_where_the_set_up_was_interrupted(programs: PostgresPrograms, data: Path) -> None:
    """What an interrupted set-up has left is no data."""
    unfinished = data / f"pg{programs.major}" / "data.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text(str(programs.major))
    with start_embedded_postgres(data, programs) as server:
        assert server.returncode is None
    assert not unfinished.exists()


def test_start_shows_the_end_of_the_log_when_the_server_fails(programs: PostgresPrograms, data: Path) -> None:
    """The error of a failed start has the end of the log, and the folder is free again."""
    with start_embedded_postgres(data, programs) as server:
        (server.folder / "data" / "postgresql.auto.conf").write_text("nonsense = 1\n")
    for _ in range(2):
        with pytest.raises(PostgresStartError, match=r"(?s)code 1; its log \(.*postgres\.log\) ends:.*nonsense"):
            start_embedded_postgres(data, programs)


def test_start_names_a_folder_that_cannot_be_used(tmp_path: Path, programs: PostgresPrograms) -> None:
    """A folder that is a file is refused in one line."""
    (tmp_path / "file").write_text("")
    with pytest.raises(PostgresStartError, match=r"cannot keep the data of PostgreSQL in .*file: File exists"):
        start_embedded_postgres(tmp_path / "file", programs)


def test_start_gives_up_when_it_is_told_to(programs: PostgresPrograms, data: Path) -> None:
    """What `look_up` raises ends the set-up, and the next start begins anew."""

    def look_up() -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        start_embedded_postgres(data, programs, look_up=look_up)
    with start_embedded_postgres(data, programs) as server:
        assert server.returncode is None


def test_a_folder_out_of_reach_has_a_substitute(programs: PostgresPrograms, tmp_path: Path) -> None:
    """As root, the data of a folder in a closed home is in COMMON, where the account of the server can reach it."""
    if not choose_account().changes:
        pytest.skip("only root has the server run as another user")
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    substitute = substitute_of((closed / "postgres").resolve())
    try:
        with start_embedded_postgres(closed / "postgres", programs) as server:
            assert server.folder.parent == substitute
            assert COMMON in server.folder.parents
            assert asked(server.url, "SELECT 1") == [(1,)]
    finally:
        shutil.rmtree(substitute, ignore_errors=True)


def test_each_major_has_a_folder_of_its_own(programs: PostgresPrograms, data: Path) -> None:
    """The data of another major version stays where it is, and is not touched."""
    other = data / "pg9" / "data"
    other.mkdir(parents=True)
    with start_embedded_postgres(data, programs) as server:
        assert server.folder == data / f"pg{programs.major}"
    assert list(other.iterdir()) == []


def test_start_history_makes_the_tables(programs: PostgresPrograms, data: Path) -> None:
    """The history that `up` starts has the tables of this release, and partitions for the next days."""
    with ExitStack() as stack:
        url = anyio.run(start_history, data, stack, lambda: programs)
        assert url is not None
        assert len(asked(url, "SELECT version_num FROM alembic_version")) == 1
        days = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'jobs'::regclass"
        assert asked(url, days)[0][0] > DAYS_AHEAD


def test_without_postgres_there_is_no_history_and_one_line_says_so(data: Path, capsys) -> None:
    """A machine without PostgreSQL has a system without a history, and one line tells what to install."""

    def find() -> PostgresPrograms:
        raise NoPostgresError("no PostgreSQL found: install it")

    with ExitStack() as stack:
        assert anyio.run(start_history, data, stack, find) is None
    said = capsys.readouterr().err
    assert said == "millstream: no PostgreSQL found: install it; until then there is no history of jobs\n"
    assert not data.exists()
