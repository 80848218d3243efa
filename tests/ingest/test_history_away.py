"""While the history database is away, ingest accepts and lists jobs, and says within a second what it cannot read."""

import os
import signal
import time
from collections.abc import AsyncIterator

import pytest
from history_seeds import store_at
from ingest.inspection.test_past_jobs import QUEUE, past_job
from ingest.serving import Ingest, problem, running_ingest
from msgspec.structs import replace
from topologies.postgres import LocalPostgres, find_postgres, local_postgres
from waiting import wait_until

from millstream_history import migrate

# Far below the seconds that a connection to a silent database would hold a request; the machine is busy.
SOON_S = 2.5


@pytest.fixture
def postgres():
    """Yield a PostgreSQL that the test may break."""
    programs = find_postgres()
    if programs is None:
        pytest.skip("no PostgreSQL on this machine")
    # One that keeps what it has confirmed.
    with local_postgres(programs, {}) as server:
        yield server


@pytest.fixture
async def ingest(settings, broker, postgres: LocalPostgres) -> AsyncIterator[Ingest]:
    """Yield an ingest with a history that the test may break."""
    await migrate(postgres.url)
    async with running_ingest(replace(settings, history_url=postgres.url)) as running:
        yield running


async def check_goes_on(ingest: Ingest) -> None:
    """Check that jobs are accepted, read and listed, and that a read of the past is refused."""
    job = await ingest.submit()
    assert (await ingest.get(f"/v1/jobs/{job['id']}"))["state"] == "queued"
    assert job["id"] in [one["id"] for one in (await ingest.get("/v1/jobs"))["items"]]
    assert (await ingest.http.get("/readyz")).status_code == 200
    reads = (f"/v1/jobs/{past_job().id}", f"/v1/jobs/{job['id']}/timeline")
    searches = (
        "/v1/jobs?q=state:dead",
        "/v1/jobs?q=payload.n:1&count=1",
        "/v1/jobs/search/hints?q=t",
        "/v1/dead/groups",
    )
    for path in (*reads, *searches):
        begun = time.monotonic()
        response = await ingest.http.get(path)
        assert "127.0.0.1" not in problem(response, 503, "history-unavailable")["detail"]
        assert 1 <= int(response.headers["retry-after"]) <= 3
        assert time.monotonic() - begun < SOON_S


async def wait_until_read(ingest: Ingest, job_id: str) -> None:
    """Wait until a job is read from the history: a busy machine may answer later than a request waits."""

    async def is_read() -> bool:
        response = await ingest.http.get(f"/v1/jobs/{job_id}")
        return response.status_code == 200 and response.json()["source"] == "history"

    await wait_until(is_read, "the job is read from the history")


async def test_the_api_goes_on_without_the_database_and_with_it_again(ingest, postgres):
    """With the database killed only reads of the past are refused; they succeed again when it is back."""
    job = past_job()
    await store_at(postgres.url, QUEUE, job)
    await wait_until_read(ingest, job.id)
    postgres.stop()
    await check_goes_on(ingest)
    postgres.start()
    await wait_until_read(ingest, job.id)


async def test_a_silent_database_holds_no_request(ingest, postgres):
    """With the database frozen reads of the past are refused within a second, and all else goes on."""
    job = past_job()
    await store_at(postgres.url, QUEUE, job)
    await wait_until_read(ingest, job.id)
    frozen = children_of(postgres.pid)
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        await check_goes_on(ingest)
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)

    await wait_until_read(ingest, job.id)


async def test_ingest_starts_without_the_database_and_without_its_tables(settings, broker, postgres):
    """Ingest starts without tables, and reads the past once `migrate` has made them."""
    async with running_ingest(replace(settings, history_url=postgres.url)) as ingest:
        await check_goes_on(ingest)
        await migrate(postgres.url)
        problem(await ingest.http.get(f"/v1/jobs/{past_job().id}"), 404, "job-not-found")


def children_of(pid: int) -> list[int]:
    """Return a process and all that it has started."""
    found = [pid]
    with open(f"/proc/{pid}/task/{pid}/children") as children:  # noqa: PTH123
        for child in children.read().split():
            found += children_of(int(child))
    return found
