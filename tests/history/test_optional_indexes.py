"""Indexes that a database may lack are made or dropped by each migration."""

import pytest
from history_databases import execute, query
from sqlalchemy.engine import make_url

from millstream_history import migrate
from millstream_history.connection.database import open_engine
from millstream_history.optional_indexes import PAYLOAD_INDEX, TEXT_INDEX, WITH_TYPE, OptionalIndexes, optional_indexes


async def found_in(url: str) -> OptionalIndexes:
    """Return the optional indexes of a database."""
    async with open_engine(url) as engine, engine.connect() as connection:
        return await connection.run_sync(optional_indexes)


async def ending(url: str) -> str:
    """Return how the names of indexes end on this server."""
    return WITH_TYPE if await query(url, "SELECT 1 FROM pg_extension WHERE extname = 'btree_gin'") else ""


async def is_indexed(url: str, index: str) -> bool:
    """Return whether the default partition has a part of this index."""
    parts = f"SELECT count(*) FROM pg_inherits WHERE inhparent = '{index}'::regclass"
    return await query(url, parts) == [(1,)]


async def test_a_migration_makes_the_index_of_payloads_and_drops_it_again(empty_history_url: str) -> None:
    """The index of payloads is made by default, and follows the setting with each later migration."""
    for wish in ({}, {"index_payload": False}, {"index_payload": True}):
        await migrate(empty_history_url, **wish)
        assert (await found_in(empty_history_url)).payload is wish.get("index_payload", True)
    assert await is_indexed(empty_history_url, PAYLOAD_INDEX + await ending(empty_history_url))


async def test_indexes_of_an_earlier_release_are_made_anew_with_the_type(empty_history_url: str) -> None:
    """Where the extension is installed, indexes without the type are replaced, so that no job pays for two."""
    await migrate(empty_history_url)
    if not await ending(empty_history_url):
        pytest.skip("this server has no btree_gin")
    await execute(
        empty_history_url,
        f"DROP INDEX {PAYLOAD_INDEX}{WITH_TYPE}; CREATE INDEX {PAYLOAD_INDEX} ON jobs USING gin (payload)",
    )
    await migrate(empty_history_url)
    names = await query(empty_history_url, f"SELECT indexname FROM pg_indexes WHERE indexname LIKE '{PAYLOAD_INDEX}%'")
    assert names == [(f"{PAYLOAD_INDEX}{WITH_TYPE}",)]


async def test_errors_are_indexed_where_the_extension_can_be_made(history_url: str) -> None:
    """The texts of errors are indexed by parts of words where pg_trgm is installed."""
    available = await query(history_url, "SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'")
    assert (await found_in(history_url)).error_text is bool(available)


async def test_a_user_who_may_not_make_the_extension_migrates_without_it(empty_history_url: str) -> None:
    """A database user without the right to make extensions gets all tables, and no index of errors."""
    if await query(empty_history_url, "SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'"):
        pytest.skip("the template of this server has the extension")
    role = make_url(empty_history_url).database
    await execute(empty_history_url, f"CREATE ROLE {role} LOGIN; GRANT CREATE, USAGE ON SCHEMA public TO {role}")
    url = make_url(empty_history_url).set(username=role).render_as_string(hide_password=False)
    try:
        await migrate(url)
        assert await found_in(url) == OptionalIndexes(payload=True, error_text=False)
        assert await query(url, f"SELECT to_regclass('{TEXT_INDEX}')") == [(None,)]
    finally:
        await execute(empty_history_url, f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")
