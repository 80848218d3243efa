"""The tables: made, changed and checked."""

from datetime import UTC, datetime

import anyio
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from history_databases import execute, query

from millstream_history import HistorySchemaError, Rows, migrate, open_history
from millstream_history.database import open_engine
from millstream_history.tables import METADATA


async def test_migrations_make_the_tables_that_the_code_uses(history_url: str) -> None:
    """A column that stands in one of the two only is noticed here, and not by whoever upgrades."""
    async with open_engine(history_url) as engine, engine.connect() as connection:
        assert (
            await connection.run_sync(lambda sync: compare_metadata(MigrationContext.configure(sync), METADATA)) == []
        )


async def test_migrate_may_be_run_by_many_at_once_and_again(empty_history_url: str) -> None:
    """Every replica may run it when it starts."""
    found: list[str] = []

    async def run() -> None:
        found.append(await migrate(empty_history_url))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(run)
    assert len(set(found)) == 1
    assert await migrate(empty_history_url) == found[0]
    assert await query(empty_history_url, "SELECT version_num FROM alembic_version") == [(found[0],)]


async def test_migrate_leaves_what_is_stored(history_url: str) -> None:
    """To run it again is what one does at each release."""
    await execute(history_url, _ONE_JOB)
    await migrate(history_url)
    assert await query(history_url, "SELECT count(*) FROM jobs") == [(1,)]


@pytest.mark.parametrize("damage", ["DROP TABLE alembic_version, jobs, transitions", "DELETE FROM alembic_version"])
async def test_store_refuses_tables_of_an_older_release_and_says_what_to_do(history_url: str, damage: str) -> None:
    """Nothing is stored, and whoever is told knows the command."""
    await execute(history_url, damage)
    async with open_history(history_url) as history:
        with pytest.raises(HistorySchemaError, match=r"revision none.*`millstream migrate`"):
            await history.store(Rows([], [], []))


async def test_store_works_on_tables_that_are_ahead(history_url: str) -> None:
    """In a rolling upgrade the migration comes first: the old release goes on beside the new one."""
    await execute(history_url, "UPDATE alembic_version SET version_num = '9999'")
    async with open_history(history_url) as history:
        await history.store(Rows([], [], []))


async def test_store_notices_that_the_tables_have_gone(history_url: str) -> None:
    """One that is restored from before the migration is told from one that is away."""
    async with open_history(history_url) as history:
        await history.store(Rows([], [], []))
        await execute(history_url, "DROP TABLE jobs")
        row = ("default", "x", "a", 0, "queued", 1, *[None] * 6, _NOW, *[None] * 12)
        with pytest.raises(HistorySchemaError, match="`millstream migrate`"):
            await history.store(Rows([row], [], []))


_NOW = datetime(2026, 11, 26, 12, 0, 0, 0, UTC)
_ONE_JOB = (
    "INSERT INTO jobs (tenant, id, type, partition, state, version, created_at) "
    "VALUES ('default', 'x', 'a', 0, 'queued', 1, now())"
)
