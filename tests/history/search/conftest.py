"""A database full of jobs, which the tests of searches share and only read, but for jobs that are newer than all."""

import secrets
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace

import pytest
from history.search.crowd import OTHER_TENANT, crowd, make_days, store_crowd
from history_databases import execute, in_thread
from sqlalchemy.engine import make_url

from millstream_contracts import Job, Queue
from millstream_history import History, migrate, open_history

JOBS = 20_000
PATIENCE_S = 30.0


@pytest.fixture(scope="package")
def crowded(postgres_url: str) -> Iterator[SimpleNamespace]:
    """Yield the URL of a database, and its jobs, newest first."""
    name = f"t{secrets.token_hex(6)}"
    url = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    jobs = list(crowd(JOBS))
    newest_first = sorted((job for _, job in jobs), key=lambda job: (job.created_at, job.id), reverse=True)
    in_thread(execute(postgres_url, f"CREATE DATABASE {name}"))
    in_thread(fill(url, jobs))
    yield SimpleNamespace(url=url, jobs=newest_first)
    in_thread(execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)"))


async def fill(url: str, jobs: list[tuple[Queue, Job]]) -> None:
    """Fill a database."""
    await migrate(url)
    await make_days(url)
    await store_crowd(url, [*jobs, *crowd(2_000, seed=8, tenant=OTHER_TENANT)])
    await execute(url, "VACUUM ANALYZE jobs")


@pytest.fixture
async def history(crowded: SimpleNamespace) -> AsyncIterator[History]:
    """Yield the open history of the database full of jobs, which takes longer for a search than a busy machine does."""
    async with open_history(crowded.url, connections=4, read_within_s=PATIENCE_S) as opened:
        yield opened


@pytest.fixture
async def hurried(crowded: SimpleNamespace) -> AsyncIterator[History]:
    """Yield the same with the time that a search has by default."""
    async with open_history(crowded.url, connections=4) as opened:
        yield opened
