"""The days of the history are made ahead, hold the jobs of their day, and are dropped whole."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import anyio
import pytest
from history_databases import execute, query
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.engine import make_url
from topologies.postgres import find_postgres
from waiting import wait_until

from millstream_contracts import (
    DEFAULT_TENANT,
    Event,
    EventKind,
    Job,
    JobState,
    JobTransition,
    JobType,
    Queue,
    QueueEvents,
    made_at,
    new_job_id,
)
from millstream_history import DAYS_AHEAD, HistoryError, HistoryUnavailableError, open_history, rows_of
from millstream_history.connection.database import open_engine
from millstream_history.erasure.erasures import without_erased
from millstream_history.partitions.days import DAYS_BEFORE, Days, days_ahead
from millstream_history.projection.rows import Rows

RIGHTS = Path(__file__).parents[2] / "deploy/postgres/rights.sql"
QUEUE = Queue(DEFAULT_TENANT, JobType("invoice.send"), 3)
TODAY = datetime.now(UTC).date()
DAY = timedelta(days=1)
PLACES = "SELECT tableoid::regclass::text, id FROM jobs ORDER BY id"
STEPS = "SELECT tableoid::regclass::text, job_id FROM transitions ORDER BY job_id, version"


@pytest.fixture
async def days(history_url: str) -> AsyncIterator[Days]:
    """Yield the days of an empty history."""
    async with open_history(history_url) as history:
        yield history.days


def job_of(day: date, at: time = time(12), **fields: object) -> Job:
    """Return a queued job that was made on this day."""
    job_id = new_job_id(QUEUE, at_ms=round(datetime.combine(day, at, UTC).timestamp() * 1000))
    job = Job(id=job_id, type=QUEUE.type, state=JobState.QUEUED, version=1, created_at=made_at(job_id))
    return replace(job, **fields)


def ended(day: date, state: JobState = JobState.SUCCEEDED) -> Job:
    """Return a job of this day that has ended on it."""
    return job_of(day, state=state, version=3, finished_at=datetime.combine(day, time(13), UTC))


async def store(url: str, *jobs: Job) -> None:
    """Store jobs, each with one transition."""
    events = [
        Event(f"{n}-0", EventKind.SUBMITTED, 1, "", [JobTransition(job.id, job.version, job.state, 0)])
        for n, job in enumerate(jobs)
    ]
    async with open_history(url) as history:
        await history.store(rows_of([QueueEvents(QUEUE, events)], {QUEUE: {job.id: job for job in jobs}}))


def part(table: str, day: date) -> str:
    """Return the name of a partition."""
    return f"{table}_{day:%Y%m%d}"


async def test_yesterday_and_two_weeks_ahead_have_partitions(days: Days, history_url: str) -> None:
    """Partitions are made from yesterday to two weeks ahead, once, for both tables."""
    wanted = [TODAY + number * DAY for number in range(-DAYS_BEFORE, DAYS_AHEAD + 1)]
    assert await days.make(TODAY) == wanted
    assert await days.make(TODAY) == []
    assert await days.found() == wanted
    assert await days.ahead(TODAY) == DAYS_AHEAD
    parts = await query(
        history_url, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'transitions'::regclass"
    )
    assert {name for (name,) in parts} == {"transitions_default", *(part("transitions", day) for day in wanted)}


async def test_days_are_made_while_rows_are_stored(days: Days, history_url: str) -> None:
    """A batch that is being stored does not keep the days of the coming weeks from being made."""
    async with open_engine(history_url) as engine, engine.begin() as storing:
        await without_erased(storing, Rows([], [], []))
        assert len(await days.make(TODAY)) == DAYS_BEFORE + DAYS_AHEAD + 1


async def test_a_day_has_every_index_of_the_table(days: Days, history_url: str) -> None:
    """The partition of a day has each index of the table, also the optional ones."""
    await days.make(TODAY)
    parts = "SELECT count(*) FROM pg_index WHERE indrelid = '{}'::regclass"
    for table in ("jobs", "transitions"):
        whole = await query(history_url, parts.format(table))
        assert await query(history_url, parts.format(part(table, TODAY))) == whole
    loose = (
        "SELECT count(*) FROM pg_index WHERE indrelid = '{}'::regclass "
        "AND indexrelid NOT IN (SELECT inhrelid FROM pg_inherits)"
    )
    assert await query(history_url, loose.format(part("jobs", TODAY))) == [(0,)]


async def test_jobs_lie_in_the_partition_of_their_day_in_utc(days: Days, history_url: str) -> None:
    """The first millisecond of a day belongs to it, and the last one too, in UTC."""
    await execute(history_url, f"ALTER DATABASE {make_url(history_url).database} SET timezone = 'Pacific/Auckland'")
    await days.make(TODAY)
    first, last = job_of(TODAY, time(0)), job_of(TODAY, time(23, 59, 59, 999_000))
    await store(history_url, first, last)
    assert await query(history_url, PLACES) == [(part("jobs", TODAY), job.id) for job in (first, last)]
    assert await query(history_url, STEPS) == [(part("transitions", TODAY), job.id) for job in (first, last)]


async def test_rows_that_came_before_their_partition_move_into_it(days: Days, history_url: str) -> None:
    """Rows of a day without a partition lie in the default one, and move when the day is made."""
    early, later = job_of(TODAY), job_of(TODAY + 30 * DAY)
    await store(history_url, early, later)
    assert await query(history_url, PLACES) == [("jobs_default", job.id) for job in (early, later)]
    await days.make(TODAY)
    assert await query(history_url, PLACES) == [(part("jobs", TODAY), early.id), ("jobs_default", later.id)]
    assert await query(history_url, STEPS) == [
        (part("transitions", TODAY), early.id),
        ("transitions_default", later.id),
    ]
    await store(history_url, replace(early, version=2))
    assert await query(history_url, "SELECT version FROM jobs ORDER BY id") == [(2,), (1,)]


async def test_rows_that_wait_for_the_default_partition_while_their_day_is_made_are_stored(
    days: Days, history_url: str
) -> None:
    """A batch for which a day was made while it waited is stored at once, and no error is told."""
    job = job_of(TODAY)
    async with open_engine(history_url) as engine, engine.connect() as maker, anyio.create_task_group() as tasks:
        await maker.execute(text("SELECT history_make_day(:day)"), {"day": TODAY})
        tasks.start_soon(store, history_url, job)
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'jobs_default'::regclass"

        async def waits() -> bool:
            return await query(history_url, waiting) == [(1,)]

        await wait_until(waits, "the batch waits")
        await maker.commit()
    assert await query(history_url, PLACES) == [(part("jobs", TODAY), job.id)]


@asynccontextmanager
async def holding(url: str, statement: str) -> AsyncIterator[None]:
    """Hold the locks of a statement while the block lasts."""
    async with open_engine(url) as engine, engine.connect() as other:
        await other.execute(text(statement))
        yield
        await other.rollback()


async def test_a_day_that_cannot_be_made_now_is_made_in_the_next_pass(days: Days, history_url: str) -> None:
    """A writer that holds the default partition ends the attempt within its lock timeout, and loses nothing."""
    await store(history_url, job_of(TODAY))
    async with holding(history_url, "UPDATE jobs SET worker = 'w'"):
        with pytest.raises(HistoryUnavailableError, match="in use"):
            await days.make(TODAY)
    assert await days.ahead(TODAY) == -1
    await days.make(TODAY)
    assert await days.ahead(TODAY) == DAYS_AHEAD


async def test_a_day_is_left_to_another_dispatcher_that_is_at_it(days: Days, history_url: str) -> None:
    """Of two dispatchers one makes and drops days, and the other goes on at once."""
    async with holding(history_url, f"SELECT pg_advisory_lock({0x6D696C6D})"):
        assert await days.make(TODAY) == []
        assert await days.drop(TODAY) == {}


async def test_an_old_day_is_dropped_whole_and_its_living_jobs_are_kept(days: Days, history_url: str) -> None:
    """A day that is dropped takes its jobs along, except those that have not ended, with their transitions."""
    old = TODAY - 40 * DAY
    await days.make(old)
    done, dead, lives = ended(old), ended(old, JobState.DEAD), job_of(old)
    await store(history_url, done, dead, lives)
    dropped = await days.drop(old + DAY)
    assert dropped == {old - DAY: 0, old: 1}
    assert await query(history_url, PLACES) == [("jobs_default", lives.id)]
    assert await query(history_url, STEPS) == [("transitions_default", lives.id)]
    assert old not in await days.found()
    assert old + DAY in await days.found()
    await store(history_url, replace(lives, version=2, state=JobState.RUNNING))
    assert await query(history_url, "SELECT state FROM jobs") == [("running",)]


async def test_a_reader_of_a_day_delays_its_drop_and_loses_nothing(days: Days, history_url: str) -> None:
    """A search that reads the history makes the drop give up, and the next pass drops the day."""
    old = TODAY - 40 * DAY
    await days.make(old)
    await store(history_url, ended(old))
    async with holding(history_url, "SELECT count(*) FROM jobs"):
        with pytest.raises(HistoryUnavailableError, match="in use"):
            await days.drop(old + DAY)
    assert len(await query(history_url, PLACES)) == 1
    assert old in await days.drop(old + DAY)


async def test_the_default_partition_is_swept_by_the_end_of_its_jobs(days: Days, history_url: str) -> None:
    """Of the default partition those jobs go that ended long ago, with their transitions and with workers as old."""
    gone, lives = ended(TODAY - 100 * DAY), job_of(TODAY - 100 * DAY)
    recent = replace(ended(TODAY - 100 * DAY), finished_at=datetime.combine(TODAY, time(), UTC))
    await store(history_url, gone, lives, recent)
    await execute(history_url, "INSERT INTO worker_spans VALUES ('default', 'old', '2020-01-01', '2020-01-02')")
    assert await days.sweep(TODAY - 90 * DAY) == 1
    kept = [(job_id,) for job_id in sorted([lives.id, recent.id])]
    assert await query(history_url, "SELECT id FROM jobs ORDER BY id") == kept
    assert await query(history_url, "SELECT job_id FROM transitions ORDER BY 1") == kept
    assert await query(history_url, "SELECT * FROM worker_spans") == []


@pytest.mark.parametrize(
    "call",
    ["history_make_day(current_date + 100)", "history_drop_day(current_date)", "history_sweep(now(), 10)"],
)
async def test_the_functions_refuse_what_no_dispatcher_asks_for(history_url: str, call: str) -> None:
    """The functions run with the rights of an owner, so they drop nothing young and make nothing far away."""
    with pytest.raises(Exception, match=r"too (young|far)"):
        await query(history_url, f"SELECT {call}")


@pytest.mark.parametrize(("numbers", "ahead"), [([], -1), ([1, 2], -1), ([0], 0), ([-1, 0, 1, 2], 2), ([0, 1, 3], 1)])
def test_days_ahead_end_at_the_first_gap(numbers: list[int], ahead: int) -> None:
    """Days count as ahead up to the first that has no partition."""
    assert days_ahead([TODAY + number * DAY for number in numbers], TODAY) == ahead


def grant_rights(url: str, **users: str) -> None:
    """Grant the rights of the services by the file that operators run."""
    programs = find_postgres()
    psql = shutil.which("psql") or (str(programs.folder / "psql") if programs else "")
    if not Path(psql).exists():
        pytest.skip("there is no psql")
    names = [word for name, user in users.items() for word in ("-v", f"{name}={user}")]
    subprocess.run([psql, "-q", *names, "-f", RIGHTS, url], check=True, stdout=subprocess.DEVNULL)


async def test_a_user_without_rights_to_change_tables_writes_and_keeps_the_days(history_url: str) -> None:
    """The user of a dispatcher stores jobs, makes days and drops them, and may change no table itself."""
    role = make_url(history_url).database
    await execute(history_url, f"CREATE ROLE {role} LOGIN; CREATE ROLE {role}_reader LOGIN")
    grant_rights(history_url, dispatcher=role, ingest=f"{role}_reader")
    url = make_url(history_url).set(username=role).render_as_string(hide_password=False)
    try:
        async with open_history(url) as history:
            await history.look()
            old = TODAY - 40 * DAY
            await history.days.make(old)
            await store(url, ended(old), job_of(TODAY))
            assert old in await history.days.drop(old + DAY)
            await history.days.sweep(TODAY - 90 * DAY)
            assert await query(url, "SELECT count(*) FROM jobs") == [(1,)]
        for statement in ("DROP TABLE transitions", "CREATE TABLE mine (x int)", "ALTER TABLE jobs DROP COLUMN worker"):
            with pytest.raises(Exception, match=r"owner|permission denied"):
                await execute(url, statement)
        reader = make_url(history_url).set(username=f"{role}_reader").render_as_string(hide_password=False)
        assert await query(reader, "SELECT count(*) FROM jobs") == [(1,)]
        async with open_history(reader) as history:
            assert (await history.state()).days
        with pytest.raises(Exception, match="permission denied"):
            await execute(reader, "DELETE FROM jobs")
        # Endpoints of webhooks are what ingest makes and changes.
        await execute(reader, "DELETE FROM webhook_endpoints")
        await execute(reader, "UPDATE webhook_endpoints SET url = url")
    finally:
        for one in (role, f"{role}_reader"):
            await execute(history_url, f"DROP OWNED BY {one} CASCADE; DROP ROLE {one}")


async def test_a_user_without_the_right_to_the_functions_is_told_so(history_url: str) -> None:
    """A user who may not call the functions gets one line that says so."""
    role = make_url(history_url).database
    await execute(history_url, f"CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    url = make_url(history_url).set(username=role).render_as_string(hide_password=False)
    try:
        async with open_history(url) as history:
            with pytest.raises(HistoryError, match="rights: permission denied for function history_make_day"):
                await history.days.make(TODAY)
    finally:
        await execute(history_url, f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")
