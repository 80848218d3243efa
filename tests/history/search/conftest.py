"""A database full of jobs, which the tests of searches share and only read, but for jobs that are newer than all."""

import secrets
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from history.search.crowd import OTHER_TENANT, crowd, make_days, store_crowd
from history_databases import execute
from sqlalchemy.engine import make_url

from millstream_history import History, migrate, open_history

JOBS = 20_000


@pytest.fixture(scope="package")
async def crowded(postgres_url: str) -> AsyncIterator[SimpleNamespace]:
    """Yield the URL of a database, and its jobs, newest first."""
    name = f"t{secrets.token_hex(6)}"
    await execute(postgres_url, f"CREATE DATABASE {name}")
    url = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    await migrate(url)
    await make_days(url)
    jobs = list(crowd(JOBS))
    await store_crowd(url, [*jobs, *crowd(2_000, seed=8, tenant=OTHER_TENANT)])
    await execute(url, "VACUUM ANALYZE jobs")
    newest_first = sorted((job for _, job in jobs), key=lambda job: (job.created_at, job.id), reverse=True)
    yield SimpleNamespace(url=url, jobs=newest_first)
    await execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def history(crowded: SimpleNamespace) -> AsyncIterator[History]:
    """Yield the open history of the database full of jobs."""
    async with open_history(crowded.url, connections=4) as opened:
        yield opened
