"""The tables of the history are made, changed and checked."""

from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from cli.commands import started_program
from history_databases import execute, query
from sqlalchemy import Connection, text
from waiting import wait_until

from millstream_history import HistorySchemaError, Rows, Schema, migrate, open_history
from millstream_history.connection.database import open_engine
from millstream_history.migrating import alembic_config, current_revision
from millstream_history.migrations import versions
from millstream_history.optional_indexes import PAYLOAD_INDEX, TEXT_INDEX, WITH_TYPE
from millstream_history.tables import METADATA


async def test_migrations_make_the_tables_that_the_code_uses(history_url: str) -> None:
    """The migrations make exactly the tables that the code declares."""
    async with open_engine(history_url) as engine, engine.connect() as connection:
        assert await connection.run_sync(_differences) == []


def _differences(connection: Connection) -> list[Any]:
    return compare_metadata(MigrationContext.configure(connection, opts={"include_object": _is_declared}), METADATA)


def _is_declared(_: object, name: str | None, kind: str, *__: object) -> bool:
    """Return whether the code declares objects of this name: it declares neither partitions nor optional indexes."""
    if kind == "index":
        return name.removesuffix(WITH_TYPE) not in (TEXT_INDEX, PAYLOAD_INDEX)
    return kind != "table" or name in METADATA.tables


async def test_migrate_may_be_run_by_many_at_once_and_again(empty_history_url: str) -> None:
    """Several processes may migrate at once, and again."""
    found: list[Schema] = []

    async def run() -> None:
        found.append(await migrate(empty_history_url))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(run)
    assert found == [Schema(current_revision())] * 4
    assert await migrate(empty_history_url) == found[0]
    assert await query(empty_history_url, "SELECT version_num FROM alembic_version") == [(found[0].revision,)]


async def test_migrate_leaves_what_is_stored(history_url: str) -> None:
    """A repeated migration keeps the stored rows."""
    await execute(history_url, _ONE_JOB)
    await migrate(history_url)
    assert await query(history_url, "SELECT count(*) FROM jobs") == [(1,)]


@pytest.mark.parametrize("damage", ["DROP TABLE alembic_version, jobs, transitions", "DELETE FROM alembic_version"])
async def test_store_refuses_tables_of_an_older_release_and_says_what_to_do(history_url: str, damage: str) -> None:
    """The store refuses tables of an older release, and the error names the command to run."""
    await execute(history_url, damage)
    async with open_history(history_url) as history:
        with pytest.raises(HistorySchemaError, match=r"revision none.*`millstream migrate`"):
            await history.store(Rows([], [], []))


async def test_migrate_leaves_the_tables_of_a_newer_release_as_they_are(history_url: str) -> None:
    """The migration of an older release leaves the tables of a newer one unchanged, without an error."""
    await execute(history_url, AHEAD)
    before = await query(history_url, COLUMNS)
    assert await migrate(history_url) == Schema("9999", newer=True)
    assert await query(history_url, "SELECT version_num FROM alembic_version") == [("9999",)]
    assert await query(history_url, COLUMNS) == before


async def test_migrate_looks_at_the_tables_once_it_is_alone(history_url: str) -> None:
    """What another release makes while this one waits for it is found, and left as it is."""
    found: list[Schema] = []

    async def run() -> None:
        found.append(await migrate(history_url))

    async with open_engine(history_url) as engine, anyio.create_task_group() as tasks, engine.begin() as newer:
        # The number is one for all releases: with another two of them would change the tables at once.
        await newer.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": 0x6D696C6C})
        tasks.start_soon(run)
        await wait_until(partial(_waits_for_another, history_url), "the older release waits")
        await newer.execute(text(AHEAD))
    assert found == [Schema("9999", newer=True)]


async def test_a_revision_that_never_was_is_one_line(history_url: str) -> None:
    """An unknown revision leads to an error of one line."""
    await execute(history_url, "UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(HistorySchemaError, match="cannot be brought to this release"):
        await migrate(history_url)


@pytest.mark.parametrize("revisions", [["1f2e3d4c5b6a"], ["00010"], ["0001", "9999"]])
async def test_tables_of_another_program_are_not_taken_for_those_of_a_newer_release(
    history_url: str, revisions: list[str]
) -> None:
    """The tables of another program with the same migration tool are refused."""
    await execute(history_url, "DELETE FROM alembic_version")
    for revision in revisions:
        await execute(history_url, f"INSERT INTO alembic_version VALUES ('{revision}')")
    with pytest.raises(HistorySchemaError, match="another program's"):
        await migrate(history_url)
    async with open_history(history_url) as history:
        with pytest.raises(HistorySchemaError, match="another program's"):
            await history.look()


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE jobs ADD COLUMN region text",
        "ALTER TABLE jobs ADD COLUMN region text NOT NULL DEFAULT 'here'",
        "ALTER TABLE transitions ADD COLUMN region text NOT NULL DEFAULT 'here'",
        "ALTER TABLE jobs ADD COLUMN finished boolean GENERATED ALWAYS AS (finished_at IS NOT NULL) STORED",
        "ALTER TABLE jobs ALTER COLUMN crashes TYPE bigint",
        "ALTER TABLE jobs ALTER COLUMN state DROP NOT NULL",
        "CREATE INDEX ON jobs (state); CREATE TABLE schedules (id text)",
    ],
)
async def test_an_older_release_writes_what_a_newer_one_has_extended(history_url: str, change: str) -> None:
    """An older release can write to tables that a migration has extended by the rule of ADR 19."""
    await execute(history_url, f"{AHEAD}; {change}")
    async with open_history(history_url) as history:
        assert (await history.look()).newer
        await history.store(Rows([JOB_ROW], [FORGOTTEN_ROW], [TRANSITION_ROW]))
    assert await query(history_url, "SELECT id, state FROM jobs ORDER BY id") == [("x", "queued"), ("y", "dead")]
    assert await query(history_url, "SELECT job_id FROM transitions") == [("x",)]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE jobs DROP COLUMN crashes",
        "ALTER TABLE jobs RENAME COLUMN id TO job_id",
        "ALTER TABLE jobs RENAME TO all_jobs",
        "DROP TABLE transitions",
        "ALTER TABLE jobs ADD COLUMN region text NOT NULL",
        "ALTER TABLE jobs DROP CONSTRAINT jobs_pkey, ADD PRIMARY KEY (tenant, id, created_at, state)",
        "ALTER TABLE jobs ADD CHECK (state <> 'queued')",
        "ALTER TABLE transitions ALTER COLUMN version TYPE text",
    ],
)
async def test_an_older_release_that_cannot_write_says_so_in_a_line(history_url: str, change: str) -> None:
    """An older release that cannot write raises one line that names the newer release, and stores nothing."""
    await execute(history_url, f"{AHEAD}; {change}")
    async with open_history(history_url) as history:
        with pytest.raises(HistorySchemaError, match="at revision 9999, of a newer release") as caught:
            await history.store(Rows([JOB_ROW], [FORGOTTEN_ROW], [TRANSITION_ROW]))
    assert len(str(caught.value).splitlines()) == 1
    assert "migrate" not in str(caught.value)


@pytest.mark.parametrize("change", ["DROP TABLE transitions", "ALTER TABLE jobs DROP COLUMN crashes"])
async def test_a_look_finds_that_rows_would_not_be_taken(history_url: str, change: str) -> None:
    """A look notices that rows would be refused, also with nothing to store."""
    async with open_history(history_url) as history:
        assert await history.look() == Schema(current_revision())
        await execute(history_url, change)
        with pytest.raises(HistorySchemaError, match="`millstream migrate`"):
            await history.look()


def test_revisions_are_numbers_that_grow_by_one() -> None:
    """Revisions are numbers that grow by one, by which an older release recognises a newer one."""
    found = sorted(path.name[:5] for path in Path(versions.__file__).parent.glob("[0-9]*.py"))
    assert found == [f"{number:04}_" for number in range(1, len(found) + 1)]
    assert current_revision() == found[-1].removesuffix("_")


async def test_each_migration_leaves_what_the_release_before_writes(empty_history_url: str) -> None:
    """Each migration keeps columns, types and keys, and requires no value that the release before does not write."""
    revisions = [f"{number:04}" for number in range(1, int(current_revision()) + 1)]
    for older, newer in pairwise(revisions):
        await _upgrade_to(empty_history_url, older)
        before = {row[:2]: row[2:] for row in await query(empty_history_url, COLUMNS)}
        keys = await query(empty_history_url, KEYS)
        await _upgrade_to(empty_history_url, newer)
        after = {row[:2]: row[2:] for row in await query(empty_history_url, COLUMNS)}
        assert {name: after.get(name) for name in before} == before
        # The release before writes nothing into a table that it does not know.
        known = {table for table, _ in before}
        added = [after[name] for name in after.keys() - before.keys() if name[0] in known]
        assert {needed for _, needed in added} <= {False}
        assert set(keys) <= set(await query(empty_history_url, KEYS))


async def test_a_migration_that_dies_in_the_middle_leaves_nothing(empty_history_url: str, tmp_path: Path) -> None:
    """A migration that dies in the middle leaves no table, and the next one begins from the start."""
    settings = {"MILLSTREAM_HISTORY_URL": empty_history_url}
    async with open_engine(empty_history_url) as engine, engine.connect() as rival:
        # Until it ends, no other connection can make a table of this name.
        await rival.execute(text("CREATE TABLE transitions (x text)"))
        with started_program("migrate", log=tmp_path / "log", **settings) as process:
            await wait_until(partial(_waits_for_another, empty_history_url), "the migration is in its middle", 60)
            process.kill()
            process.wait(60)
        await rival.rollback()
    await wait_until(partial(_has_none, empty_history_url), "the server has noticed", 60)
    assert await migrate(empty_history_url) == Schema(current_revision())


async def _waits_for_another(url: str) -> bool:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    return await query(url, waiting) == [(1,)]


async def _has_none(url: str) -> bool:
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    return await query(url, tables) == [(0,)]


async def _upgrade_to(url: str, revision: str) -> None:
    config = alembic_config()
    async with open_engine(url) as engine, engine.begin() as connection:

        def upgrade(sync: Connection) -> None:
            config.attributes["connection"] = sync
            command.upgrade(config, revision)

        await connection.run_sync(upgrade)


async def test_store_notices_that_the_tables_have_gone(history_url: str) -> None:
    """The store notices that its tables have gone, and says so instead of reporting an absent database."""
    async with open_history(history_url) as history:
        await history.store(Rows([], [], []))
        await execute(history_url, "DROP TABLE jobs")
        with pytest.raises(HistorySchemaError, match="`millstream migrate`"):
            await history.store(Rows([JOB_ROW], [], []))
        await execute(history_url, "DELETE FROM alembic_version")
        with pytest.raises(HistorySchemaError, match="revision none"):
            await history.store(Rows([], [], []))


NOW = datetime(2026, 11, 26, 12, 0, 0, 0, UTC)
JOB_ROW = ("default", "x", "a", 0, "queued", 1, *[None] * 6, NOW, *[None] * 24)
FORGOTTEN_ROW = ("default", "y", "a", 0, "dead", 3, 1, NOW, NOW, *[None] * 7)
TRANSITION_ROW = ("default", "x", 1, "submitted", "queued", NOW, 0, None, None, None, NOW, *[None] * 4)
AHEAD = "UPDATE alembic_version SET version_num = '9999'"
COLUMNS = (
    "SELECT table_name, column_name, data_type, is_nullable = 'NO' AND column_default IS NULL "
    "AND is_identity = 'NO' AND is_generated = 'NEVER' "
    "FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version' ORDER BY 1, 2"
)
KEYS = (
    "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE contype = 'p' AND connamespace = 'public'::regnamespace ORDER BY 1"
)
_ONE_JOB = (
    "INSERT INTO jobs (tenant, id, type, partition, state, version, created_at) "
    "VALUES ('default', 'x', 'a', 0, 'queued', 1, now())"
)
