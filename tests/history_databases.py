"""The history databases of the tests, each for one test alone.

They are on the PostgreSQL that MILLSTREAM_TEST_POSTGRES names by URL, or else on one that is started from this
machine's programs.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection
from topologies.postgres import find_postgres, local_postgres

from millstream_history import TABLES_OF_TENANTS, migrate
from millstream_history.connection.address import parse_history_url
from millstream_history.connection.database import make_engine

_WISH = "MILLSTREAM_TEST_POSTGRES"
_MISSING = f"no PostgreSQL on this machine, and {_WISH} names none"


def report() -> list[str]:
    """Return which PostgreSQL the tests use."""
    programs = find_postgres()
    if os.environ.get(_WISH):
        return [f"postgres under test: the one that {_WISH} names"]
    return [f"postgres under test: {programs.version}, started by the tests" if programs else f"postgres: {_MISSING}"]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Yield the URL of a server on which databases may be created."""
    wish, programs = os.environ.get(_WISH), find_postgres()
    if wish:
        yield wish
    elif programs:
        with local_postgres(programs) as server:
            yield server.url
    else:
        pytest.skip(_MISSING)


@pytest.fixture(scope="session")
def migrated_database(postgres_url: str) -> Iterator[str]:
    """Yield the name of a database with the empty tables of this release, to be copied: migrating is slower."""
    name = _new_name()
    in_thread(execute(postgres_url, f"CREATE DATABASE {name}"))
    in_thread(migrate(_url_of(postgres_url, name)))
    yield name
    in_thread(execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)"))


def in_thread(work: Coroutine[Any, Any, object]) -> None:
    """Run something to its end on a loop of its own: that of an async fixture would stay in the thread of all tests."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, work).result()


@pytest.fixture
async def empty_history_url(postgres_url: str) -> AsyncIterator[str]:
    """Yield the URL of a database without tables."""
    async with new_database(postgres_url) as url:
        yield url


@pytest.fixture
async def history_url(postgres_url: str, migrated_database: str) -> AsyncIterator[str]:
    """Yield the URL of a database with the empty tables of this release."""
    async with new_database(postgres_url, migrated_database) as url:
        yield url


@asynccontextmanager
async def new_database(postgres_url: str, template: str = "template1") -> AsyncIterator[str]:
    """Yield the URL of a database that is a copy of another."""
    name = _new_name()
    await execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _url_of(postgres_url, name)
    await execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


async def empty_all_tables(url: str) -> None:
    """Remove what a test has stored; the tables stay."""
    tables = await query(
        url,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
        "AND NOT relispartition AND relname <> 'alembic_version'",
    )
    await execute(url, f"TRUNCATE {', '.join(name for (name,) in tables)}")


def _new_name() -> str:
    return f"t{secrets.token_hex(6)}"


def _url_of(postgres_url: str, name: str) -> str:
    return make_url(postgres_url).set(database=name).render_as_string(hide_password=False)


async def query(url: str, statement: str) -> list[tuple]:
    """Return the rows of a query."""
    async with connected(url) as connection:
        return [tuple(row) for row in (await connection.execute(text(statement))).all()]


async def rows_of(url: str, tenant: str) -> dict[str, int]:
    """Return how many rows each table that has rows of tenants has of one."""
    found = {}
    for table in TABLES_OF_TENANTS:
        [(number,)] = await query(url, f"SELECT count(*) FROM {table.name} WHERE tenant = '{tenant}'")
        found[table.name] = number
    return found


async def execute(url: str, statement: str) -> None:
    """Run a statement without a result, or several with `;` between them."""
    async with connected(url) as connection:
        for one in statement.split(";"):
            await connection.execute(text(one))


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncConnection]:
    """Yield a connection on which each statement is committed by itself."""
    # Each statement for itself: databases are not made in a transaction.
    engine = make_engine(parse_history_url(url), isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()
