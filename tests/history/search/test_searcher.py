"""The searcher freezes queries, binds cursors to them, counts, and groups dead jobs."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta

import anyio
import msgspec
import pytest
from history.search.crowd import NOW, OTHER_TENANT, TYPES
from history_databases import execute
from msgspec.structs import replace

from millstream_contracts import DEFAULT_TENANT, Job, JobCount
from millstream_history import History, HistoryUnavailableError, JobQuery, SearchCursorError, SearchedJobs
from millstream_history.connection.database import open_engine, transaction

LONG_S = 30.0


def query(q: str, **fields) -> JobQuery:
    """Return a query of these tests."""
    return JobQuery(tenant=DEFAULT_TENANT, asked_at=NOW, q=q, **fields)


async def test_a_frozen_query_finds_the_same_jobs_from_another_process(crowded, history: History):
    """A frozen query that was stored and read goes on from its cursor with the jobs that it meant when it was asked."""
    asked = NOW - timedelta(days=1)
    frozen = history.search.freeze(replace(query("state:dead since:3d"), asked_at=asked))
    expected = [
        job.id for job in crowded.jobs if job.state == "dead" and asked - timedelta(days=3) <= job.created_at < asked
    ]
    ids: list[str] = []
    cursor = None
    while True:
        stored = msgspec.json.decode(msgspec.json.encode(frozen), type=JobQuery)
        page = await history.search.ids(stored, cursor=cursor, limit=100, budget_s=LONG_S)
        ids += page.ids
        cursor = page.next_cursor
        if cursor is None:
            break
    assert ids == expected


@pytest.mark.parametrize(
    "other",
    [
        query("state:dead", tags={"a": "b"}),
        query("state:expired"),
        query("state:dead", created_before=NOW),
        replace(query("state:dead"), tenant=OTHER_TENANT),
    ],
)
async def test_a_cursor_belongs_to_its_query(history, other):
    """A cursor is refused for another query and for another tenant."""
    page = await history.search.page(query("state:dead"), limit=1)
    with pytest.raises(SearchCursorError) as caught:
        await history.search.page(other, cursor=page.next_cursor)
    assert caught.value.is_foreign


@pytest.mark.parametrize("cursor", ["", "h.", "h.x", "h.AAAA", "x.gA", "h." + "A" * 400, "h.é"])
async def test_what_is_no_cursor_is_refused(history, cursor):
    """A text that is no cursor is refused, and is no other error."""
    if cursor:
        with pytest.raises(SearchCursorError):
            await history.search.page(query(""), cursor=cursor)


async def test_a_count_is_exact_or_says_that_it_is_not(crowded, history):
    """A count is exact up to ten thousand; above it is an estimate for keys, and a lower bound for filters."""

    async def count(q: str) -> JobCount:
        page = await history.search.page(query(q), counted=True, known_types=TYPES, budget_s=LONG_S)
        assert page.count is not None
        return page.count

    dead = sum(job.state == "dead" for job in crowded.jobs)
    assert await count("state:dead") == JobCount(dead, "exact")
    assert await count("payload.user.id:424242") == JobCount(0, "exact")
    assert await count("type:nothing.*") == JobCount(0, "exact")
    every = await count("")
    assert every.relation == "~"
    assert every.value == pytest.approx(len(crowded.jobs), rel=0.1)
    assert await count("-payload.user.id:424242") == JobCount(10_000, "at_least")


async def test_dead_jobs_are_grouped_by_what_they_died_of(crowded, history):
    """The groups of dead jobs have their counts, times and newest job, of one type and since a time if asked."""

    def groups(jobs) -> Counter:
        return Counter((job.type, job.error.fingerprint) for job in jobs if job.state == "dead")

    for job_type, since in ((None, None), ("sms.send", NOW - timedelta(days=2))):
        found = await history.search.dead_groups(DEFAULT_TENANT, job_type, since, NOW)
        some = [
            job
            for job in crowded.jobs
            if job.type == (job_type or job.type) and (since is None or job.created_at >= since)
        ]
        assert found.is_complete
        assert {(one.type, one.fingerprint): one.count for one in found.groups} == groups(some)
        first = found.groups[0]
        newest = next(
            job
            for job in some
            if job.state == "dead" and (job.type, job.error.fingerprint) == (first.type, first.fingerprint)
        )
        assert (first.last_seen, first.sample.error) == (newest.created_at, newest.error)
        assert [one.count for one in found.groups] == sorted((one.count for one in found.groups), reverse=True)


async def test_groups_tell_when_their_jobs_died(crowded, history):
    """A group has the deaths of each of the last 24 hours, the last of them, and what the error of its sample says."""
    hour, found = timedelta(hours=1), await history.search.dead_groups(DEFAULT_TENANT, None, None, NOW)
    expected: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * 24)
    died: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for job in crowded.jobs:
        if job.state == "dead":
            key = (job.type, job.error.fingerprint)
            died[key].append(job.finished_at)
            if job.created_at >= NOW - timedelta(days=2) and NOW - 24 * hour < job.finished_at:
                expected[key][23 - max(0, (NOW - job.finished_at) // hour)] += 1
    for one in found.groups:
        key = (one.type, one.fingerprint)
        assert one.trend == expected[key], key
        assert one.last_died_at in died[key]
        assert (one.error_type, one.message) == (one.sample.error.type, one.sample.error.message)
    assert sum(map(sum, expected.values())) > 10


async def test_groups_tell_how_many_may_die_next(crowded, history):
    """A group has the number of jobs that failed in the same way and have not ended, of the newest of the last week."""
    failed: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in crowded.jobs:
        if job.error and job.created_at >= NOW - timedelta(days=7):
            failed[job.type, job.error.fingerprint].append(job)
    found = await history.search.dead_groups(DEFAULT_TENANT, None, None, NOW, with_live=True)
    for one in found.groups:
        newest = sorted(failed[one.type, one.fingerprint], key=lambda job: job.created_at, reverse=True)[:300]
        assert one.live == sum(not job.state.is_settled for job in newest), (one.type, one.fingerprint)
    assert sum(one.live or 0 for one in found.groups) > 3


async def test_groups_tell_the_releases_that_their_jobs_died_with(crowded, history):
    """A group has the release of the worker of its oldest and of its newest job, or of the nearest that is known."""
    releases = {f"web-{number}": f"1.{number}" for number in range(20)}
    rows = ", ".join(
        f"('{DEFAULT_TENANT}', '{worker}', now(), now(), '{release}')" for worker, release in releases.items()
    )
    await execute(crowded.url, f"INSERT INTO worker_spans (tenant, worker, first_at, last_at, release) VALUES {rows}")
    dead = [job for job in crowded.jobs if job.state == "dead"]
    found = await history.search.dead_groups(DEFAULT_TENANT, None, None, NOW, with_releases=True)
    told = 0
    for one in found.groups:
        members = [job for job in dead if (job.type, job.error.fingerprint) == (one.type, one.fingerprint)]
        members.sort(key=lambda job: job.created_at)
        for release, jobs in ((one.first_release, members), (one.last_release, members[::-1])):
            near = [job for job in jobs[:20] if abs(job.created_at - jobs[0].created_at) < timedelta(days=1)]
            known = [job for job in near if job.worker in releases]
            same_time = {releases[job.worker] for job in known if job.created_at == known[0].created_at}
            assert release in (same_time or {None}), (one.type, one.fingerprint)
            told += release is not None
    assert told > len(found.groups)
    unasked = await history.search.dead_groups(DEFAULT_TENANT, None, None, NOW)
    assert {one.first_release for one in unasked.groups} == {None}


async def test_a_tenant_sees_its_own_jobs(history):
    """Searches, groups and hints of a tenant are about its own jobs alone."""
    page = await history.search.page(replace(query(""), tenant=OTHER_TENANT))
    assert {stored.queue.tenant for stored in page.jobs} == {OTHER_TENANT}
    other = replace(query(""), tenant="other")
    assert (await history.search.page(other)).jobs == []
    assert (await history.search.dead_groups(other.tenant, None, None, NOW)).groups == []
    assert (await history.search.recent(other.tenant, None)).count == 0


async def test_recent_jobs_are_looked_at(history):
    """What the newest jobs of a type have in them is known."""
    recent = await history.search.recent(DEFAULT_TENANT, ["sms.send"])
    assert recent.count == 300
    assert recent.fields["payload.user.id"].kinds["number"] == 300
    assert recent.fields["tag.customer"].jobs > 100


async def test_rows_that_cannot_be_read_in_time_are_an_unavailable_database(crowded, hurried):
    """A page whose rows are locked away is refused as unavailable, within a second, and the next one is served."""
    async with open_engine(crowded.url) as engine, transaction(engine) as connection:
        await connection.exec_driver_sql("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(HistoryUnavailableError):
            await hurried.search.page(query("state:dead"))
        with pytest.raises(HistoryUnavailableError):
            await hurried.search.dead_groups(DEFAULT_TENANT, None, None, NOW)
        assert (await hurried.search.recent(DEFAULT_TENANT, ["locked.away"])).count == 0
    assert (await hurried.search.page(query("state:dead"))).jobs


async def test_searches_are_given_the_time_that_a_slow_database_is_given(crowded, history, hurried):
    """Where reads may take longer, a page that comes too late for others is waited for, and is whole."""
    async with (
        anyio.create_task_group() as tasks,
        open_engine(crowded.url) as engine,
        transaction(engine) as connection,
    ):
        await connection.exec_driver_sql("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        pages: list[SearchedJobs] = []

        async def search() -> None:
            pages.append(await history.search.page(query("state:dead"), counted=True))

        tasks.start_soon(search)
        with pytest.raises(HistoryUnavailableError):
            await hurried.search.page(query("state:dead"))
        await connection.rollback()
    assert pages[0].is_complete
    assert len(pages[0].jobs) == 50
