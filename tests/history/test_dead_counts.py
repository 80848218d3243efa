"""The counts of dead jobs agree with the jobs whatever happens to these, whether changes are added up or not."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta

import pytest
from alembic import command
from history.test_days import DAY, TODAY, job_of
from history_databases import query
from history_seeds import store
from msgspec.structs import replace

from millstream_contracts import DEFAULT_TENANT, Job, JobError, JobState, JobType, Queue
from millstream_history import History, open_history
from millstream_history.connection.database import open_engine
from millstream_history.migrating import alembic_config

QUEUE = Queue(DEFAULT_TENANT, JobType("invoice.send"), 3)
NOW = datetime.now(UTC)
COUNTED = (
    "SELECT day, type, fingerprint, sum(n)::int FROM (SELECT * FROM dead_counts UNION ALL SELECT * FROM dead_changes) "
    "counted GROUP BY 1, 2, 3 HAVING sum(n) <> 0 ORDER BY 1, 2, 3"
)
TRUE = (
    "SELECT (created_at AT TIME ZONE 'UTC')::date, type, coalesce(fingerprint, ''), count(*)::int FROM jobs "
    "WHERE outcome = 'dead' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
)


@pytest.fixture
async def history(history_url: str) -> AsyncIterator[History]:
    """Yield a history with partitions around today."""
    async with open_history(history_url) as opened:
        await opened.days.make(TODAY)
        yield opened


def dead(day=TODAY, fingerprint: str | None = "f1", at: time = time(12)) -> Job:
    """Return a dead job of a day; without a fingerprint it has neither error nor reason."""
    error = JobError(type="E", message="m", fingerprint=fingerprint) if fingerprint else None
    finished_at = datetime.combine(day, time(13), UTC)
    return job_of(day, at, state=JobState.DEAD, version=3, error=error, finished_at=finished_at)


def again(job: Job, state: JobState, **fields: object) -> Job:
    """Return a job as it is later."""
    return replace(job, state=state, version=job.version + 1, **fields)


async def agree(url: str) -> int:
    """Assert that the counts are those of the jobs. Returns: how many jobs are dead."""
    found = await query(url, TRUE)
    assert await query(url, COUNTED) == found
    return sum(count for *_, count in found)


async def test_counts_follow_every_change_of_a_job(history: History, history_url: str) -> None:
    """A job that dies, runs again, dies of something else, is erased or given up is counted as it is."""
    first, second = dead(), dead()
    for job in (first, second, dead(fingerprint=None)):
        await store(history, QUEUE, job)
    assert await agree(history_url) == 3
    await store(history, QUEUE, first)  # events come twice
    assert await agree(history_url) == 3
    await history.dead_counts.fold()
    await store(history, QUEUE, again(first, JobState.QUEUED))
    assert await agree(history_url) == 2
    other = JobError(type="E", message="m", fingerprint="f2")
    await store(history, QUEUE, replace(first, version=9, error=other))
    assert await agree(history_url) == 3
    await history.erasures.mark(QUEUE.tenant, [first.id])
    await history.erasures.blank(QUEUE.tenant, [first.id])
    assert await agree(history_url) == 3
    await store(history, QUEUE, again(second, JobState.CANCELLED))
    assert await agree(history_url) == 2
    await history.dead_counts.fold()
    assert await agree(history_url) == 2
    assert await query(history_url, "SELECT count(*) FROM dead_counts WHERE n = 0") == [(0,)]


async def test_counts_follow_the_partitions(history: History, history_url: str) -> None:
    """Rows that move, a day that is dropped, jobs that are swept and a history that is emptied leave no wrong count."""
    old, late = TODAY - 40 * DAY, TODAY - 20 * DAY
    early, lives = dead(old), job_of(old)
    for job in (early, lives, dead(late), dead(late, fingerprint=None), dead()):
        await store(history, QUEUE, job)
    await history.dead_counts.fold()
    for day in (old, late):
        await query(history_url, f"SELECT history_make_day('{day}')")
    assert await query(history_url, "SELECT count(*) FROM jobs_default WHERE outcome = 'dead'") == [(0,)]
    assert await agree(history_url) == 4
    assert old in await history.days.drop(old + DAY)
    assert await agree(history_url) == 3
    await store(history, QUEUE, again(lives, JobState.DEAD, finished_at=datetime.combine(old, time(14), UTC)))
    assert await agree(history_url) == 4
    assert await history.days.sweep(TODAY - 10 * DAY) == 1
    await history.dead_counts.fold()
    assert await agree(history_url) == 3
    await history.repairer.empty()
    assert await agree(history_url) == 0


async def test_counts_agree_whatever_happens(history: History, history_url: str) -> None:
    """Changes in any order, added up at any time, leave the counts those of the jobs."""
    dice = random.Random(11)
    jobs = [dead(TODAY - dice.randrange(4) * DAY, dice.choice([None, "f1", "f2", "f3"])) for _ in range(12)]
    for _ in range(60):
        place = dice.randrange(len(jobs))
        jobs[place] = again(jobs[place], dice.choice([JobState.DEAD, JobState.DEAD, JobState.QUEUED]))
        await store(history, QUEUE, jobs[place])
        if dice.random() < 0.2:
            await history.dead_counts.fold()
            await agree(history_url)
    assert await agree(history_url) > 0


async def test_jobs_that_were_there_before_are_counted(history: History, history_url: str) -> None:
    """The migration counts the jobs that it finds, and can be taken back."""
    for day in (TODAY, TODAY - DAY):
        await store(history, QUEUE, dead(day))
    async with open_engine(history_url) as engine, engine.begin() as connection:
        config = alembic_config()

        def there_and_back(sync) -> None:
            config.attributes["connection"] = sync
            command.downgrade(config, "0008")
            assert not sync.exec_driver_sql("SELECT 1 FROM pg_trigger WHERE tgname LIKE '%dead%'").all()
            command.upgrade(config, "head")

        await connection.run_sync(there_and_back)
    assert await agree(history_url) == 2
    await store(history, QUEUE, dead())
    assert await agree(history_url) == 3


async def test_one_process_at_a_time_adds_changes_up(history: History, history_url: str) -> None:
    """While another process adds up or drops a day, changes are left alone, and no count is lost."""
    await store(history, QUEUE, dead())
    async with open_engine(history_url) as engine, engine.connect() as other:
        await other.exec_driver_sql(f"SELECT pg_advisory_lock({0x6D696C6D})")
        assert await history.dead_counts.fold() == 0
        assert await agree(history_url) == 1
    assert await history.dead_counts.fold() == 1
    assert await agree(history_url) == 1


async def groups(
    history: History, since: datetime | None = None, *, limit: int = 200
) -> list[tuple[str, int, datetime, datetime]]:
    """Return the groups: fingerprint, count, and when their first and last job was submitted."""
    found = await history.search.dead_groups(QUEUE.tenant, None, since, NOW, limit=limit)
    assert found.is_complete
    return [(one.fingerprint, one.count, one.first_seen, one.last_seen) for one in found.groups]


@pytest.mark.parametrize("folded", [False, True])
async def test_a_group_begins_and_ends_with_jobs_that_are_dead(
    history: History, history_url: str, *, folded: bool
) -> None:
    """A group whose first and last day have no dead job any more begins and ends with those that are left."""
    days = [dead(TODAY - number * DAY) for number in range(3)]
    for job in days:
        await store(history, QUEUE, job)
    await history.dead_counts.fold()
    for job in (days[0], days[2]):
        await store(history, QUEUE, again(job, JobState.QUEUED))
    if folded:
        await history.dead_counts.fold()
    left = days[1]
    assert await groups(history) == [("f1", 1, left.created_at, left.created_at)]
    await store(history, QUEUE, again(left, JobState.QUEUED))
    assert await groups(history) == []


async def test_jobs_without_a_fingerprint_are_a_group(history: History) -> None:
    """Dead jobs of which nothing is known any more are a group of their type, with its first and last job."""
    first, last = dead(TODAY - DAY, None), dead(TODAY, None)
    for job in (first, last):
        await store(history, QUEUE, job)
    assert await groups(history) == [("", 2, first.created_at, last.created_at)]


async def test_a_range_that_begins_within_a_day_has_the_rest_of_it(history: History) -> None:
    """Of the day in which a range begins those jobs count that were submitted in it, and of a whole day all."""
    early, late = dead(at=time(2)), dead(at=time(20))
    for job in (early, late):
        await store(history, QUEUE, job)
    midnight = datetime.combine(TODAY, time(), UTC)
    assert await groups(history, midnight) == [("f1", 2, early.created_at, late.created_at)]
    assert await groups(history, midnight + timedelta(hours=2)) == [("f1", 2, early.created_at, late.created_at)]
    assert await groups(history, midnight + timedelta(hours=3)) == [("f1", 1, late.created_at, late.created_at)]
    assert await groups(history, midnight + timedelta(hours=13)) == [("f1", 1, late.created_at, late.created_at)]
    assert await groups(history, midnight + timedelta(hours=21)) == []


async def test_a_group_that_died_before_the_range_in_its_first_day_begins_later(history: History) -> None:
    """Of a group whose jobs of the first day came before the range, the first is looked for in the days behind."""
    early, late = dead(TODAY - DAY, at=time(2)), dead(at=time(2))
    for job in (early, late, dead(TODAY - DAY, "f2", at=time(2))):
        await store(history, QUEUE, job)
    await history.dead_counts.fold()
    begin = datetime.combine(TODAY - DAY, time(3), UTC)
    assert await groups(history, begin) == [("f1", 1, late.created_at, late.created_at)]


async def test_the_largest_groups_are_shown(history: History) -> None:
    """Where there are too many groups the largest are shown, and of equally large ones those with newer jobs."""
    for fingerprint, ago in (("a", 2), ("b", 1), ("c", 0), ("a", 2)):
        await store(history, QUEUE, dead(TODAY - ago * DAY, fingerprint))
    assert [(name, count) for name, count, *_ in await groups(history, limit=2)] == [("a", 2), ("c", 1)]


async def test_groups_read_no_more_rows_than_there_are_groups(history: History, history_url: str) -> None:
    """Once changes are added up a group of a day is one row, however many jobs it has."""
    for _ in range(5):
        await store(history, QUEUE, dead())
    assert await history.dead_counts.fold() == 5
    assert await query(history_url, "SELECT n FROM dead_counts") == [(5,)]
    assert await query(history_url, "SELECT count(*) FROM dead_changes") == [(0,)]
