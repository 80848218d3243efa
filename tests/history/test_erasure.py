"""What is erased of a job is gone from every table, and does not come back with events that are late."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from history_databases import execute, query
from history_seeds import events_of, store
from sqlalchemy import text

from millstream_contracts import (
    DEFAULT_TENANT,
    Event,
    EventKind,
    Job,
    JobError,
    JobState,
    JobTransition,
    JobType,
    Queue,
    QueueEvents,
    made_at,
)
from millstream_contracts.ids import new_job_id
from millstream_history import History, open_history, rows_of
from millstream_history.connection import locks
from millstream_history.connection.database import open_engine

QUEUE = Queue(DEFAULT_TENANT, JobType("mail.send"))
SECRET = "ann@example.org"
ERROR = JobError("ValueError", f"no such address {SECRET}", fingerprint="v2:f")


@pytest.fixture
async def history(history_url: str) -> AsyncIterator[History]:
    """Yield a history with empty tables."""
    async with open_history(history_url) as opened:
        yield opened


def dead_job(version: int = 3) -> Job:
    """Return a dead job that tells of a person in every field that can."""
    job_id = new_job_id(QUEUE)
    return Job(
        id=job_id,
        type=QUEUE.type,
        state=JobState.DEAD,
        version=version,
        created_at=made_at(job_id),
        finished_at=datetime.now(UTC),
        payload={"to": SECRET},
        result=[SECRET],
        error=ERROR,
        reason=f"gave up: {SECRET}",
        tags={"customer": SECRET},
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        submitted_by=SECRET,
    )


def told_of(job: Job, version: int, kind: EventKind = EventKind.DEAD, state: str = "dead") -> Event:
    """Return an event about a job with the error of its attempt."""
    step = JobTransition(job.id, version, state, 1, f"gave up: {SECRET}", 1, None, 5, ERROR)
    return Event(f"{version}-0", kind, 1_700_000_000_000, "w", [step])


async def everything(url: str) -> str:
    """Return all rows of jobs, transitions and operations as text."""
    return str([await query(url, f"SELECT * FROM {table}") for table in ("jobs", "transitions", "operations")])


async def erase(history: History, job: Job) -> None:
    """Erase a job, as a dispatcher does."""
    await history.erasures.mark(QUEUE.tenant, [job.id])
    await history.erasures.blank(QUEUE.tenant, [job.id])


async def test_an_erased_job_keeps_type_times_and_outcome_alone(history: History, history_url: str) -> None:
    """No table holds what told of a person any more, and what is left says what happened."""
    job, other = dead_job(), dead_job()
    for one in (job, other):
        await store(history, QUEUE, one, [told_of(one, 3)])
    await erase(history, job)
    found = await history.job(QUEUE.tenant, job.id)
    assert found is not None
    left = (found.job.state, found.job.reason, found.job.payload, found.job.tags, found.job.trace_id, found.job.error)
    assert left == (JobState.DEAD, "erased", None, None, None, None)
    assert found.job.finished_at == job.finished_at
    [step] = await history.transitions(QUEUE.tenant, job.id)
    assert (step.kind, step.detail, step.error) == ("dead", None, None)
    await history.erasures.mark(QUEUE.tenant, [other.id])
    await history.erasures.blank(QUEUE.tenant, [other.id])
    assert SECRET not in await everything(history_url)


async def test_what_comes_late_is_stored_without_its_data(history: History, history_url: str) -> None:
    """Events, the state of a job that was read before, and a resynchronisation bring nothing back."""
    job = dead_job()
    await store(history, QUEUE, job, events_of(job, [(EventKind.SUBMITTED, "queued")], at_ms=1_700_000_000_000))
    await erase(history, job)
    newer = dead_job().__class__(**{**{name: getattr(job, name) for name in job.__struct_fields__}, "version": 9})
    await store(history, QUEUE, newer, [told_of(job, 9)])
    await history.store(rows_of([QueueEvents(QUEUE, [told_of(job, 10, EventKind.CANCELLED, "cancelled")])], {}))
    await history.repairer.resync(QUEUE, {job.id: newer}, {}, datetime.now(UTC))
    assert SECRET not in await everything(history_url)
    found = await history.job(QUEUE.tenant, job.id)
    assert found is not None
    assert (found.job.state, found.job.reason, found.job.version) == (JobState.CANCELLED, "erased", 10)


async def test_a_job_that_was_not_stored_yet_leaves_no_data_behind(history: History, history_url: str) -> None:
    """Of a job that is erased before its first event is stored, the row has no data."""
    job = dead_job()
    await erase(history, job)
    await store(history, QUEUE, job, [told_of(job, 3)])
    assert await history.job(QUEUE.tenant, job.id) is not None
    assert SECRET not in await everything(history_url)


async def test_a_batch_that_is_being_stored_is_waited_for(history: History, history_url: str) -> None:
    """A mark waits for batches under way, so that none stores data behind the back of the erasure."""
    job = dead_job()
    is_marked = anyio.Event()

    async def mark() -> None:
        await history.erasures.mark(QUEUE.tenant, [job.id])
        is_marked.set()

    async with open_engine(history_url) as engine, anyio.create_task_group() as tasks, engine.begin() as storing:
        await storing.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": locks.ERASURES})
        tasks.start_soon(mark)
        with anyio.move_on_after(0.3):
            await is_marked.wait()
        assert not is_marked.is_set()


async def test_a_batch_waits_for_the_marks_that_are_being_made(history: History, history_url: str) -> None:
    """A batch is stored behind a mark that is not committed yet, so that it sees the mark."""
    job, is_stored = dead_job(), anyio.Event()
    await history.look()

    async def store_it() -> None:
        await store(history, QUEUE, job, [told_of(job, 3)])
        is_stored.set()

    async with open_engine(history_url) as engine, anyio.create_task_group() as tasks, engine.begin() as marking:
        await marking.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": locks.ERASURES})
        tasks.start_soon(store_it)
        with anyio.move_on_after(0.3):
            await is_stored.wait()
        assert not is_stored.is_set()
        await marking.execute(
            text("INSERT INTO erased_jobs (tenant, id) VALUES (:tenant, :id)"), {"tenant": "default", "id": job.id}
        )
    assert SECRET not in await everything(history_url)


async def test_marks_are_taken_back_and_forgotten(history: History, history_url: str) -> None:
    """A mark that was taken back, and one that is old, count no more."""
    one, two = dead_job(), dead_job()
    await history.erasures.mark(QUEUE.tenant, [one.id, two.id])
    await history.erasures.mark(QUEUE.tenant, [two.id])
    await history.erasures.unmark(QUEUE.tenant, [one.id])
    assert await history.erasures.erased_at(QUEUE.tenant, one.id) is None
    assert await history.erasures.erased_at(QUEUE.tenant, two.id) is not None
    await execute(history_url, "UPDATE erased_jobs SET erased_at = now() - interval '100 days'")
    await history.erasures.forget(datetime.now(UTC) - timedelta(days=99))
    assert await history.erasures.erased_at(QUEUE.tenant, two.id) is None


async def test_emptied_tables_keep_the_marks(history: History) -> None:
    """A rebuild reads all jobs anew, and must not read in what was erased."""
    job = dead_job()
    await erase(history, job)
    await history.repairer.empty()
    assert await history.erasures.erased_at(QUEUE.tenant, job.id) is not None
