"""The pages of a search have exactly the jobs that it is about, newest first, whatever happens meanwhile."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from history.search.crowd import BEGIN, NOW, TYPES, crowd, store_crowd
from history_databases import execute
from msgspec.structs import replace

from millstream_contracts import DEFAULT_TENANT, Job, JobState
from millstream_history import History, HistoryUnavailableError, JobQuery, SearchedJobs
from millstream_history.search.paging.page_finder import next_window

LONG_S = 30.0
"""A budget that no search of these tests uses up, also on a busy machine."""

Rule = Callable[[Job], bool]


def has_error(job: Job, text: str) -> bool:
    """Whether the error of a job has a text, in any case."""
    return job.error is not None and text.lower() in f"{job.error.type}: {job.error.message}".lower()


def ran_ms(job: Job) -> int | None:
    """Return how long a job ran, as the history stores it."""
    if job.state not in {JobState.SUCCEEDED, JobState.DEAD} or not job.started_at or not job.finished_at:
        return None
    return (job.finished_at - job.started_at) // timedelta(milliseconds=1)


KINDS: list[tuple[str, Rule]] = [
    ("", lambda job: True),
    ("type:sms.send", lambda job: job.type == "sms.send"),
    ("type:email.*", lambda job: job.type.startswith("email.")),
    ("id:email.send_0*", lambda job: job.id.startswith("email.send_0")),
    ("-type:email.*", lambda job: not job.type.startswith("email.")),
    ("state:dead", lambda job: job.state == "dead"),
    ("state:dead,expired type:email.*", lambda job: job.state in {"dead", "expired"} and job.type.startswith("email.")),
    ("state:succeeded", lambda job: job.state == "succeeded"),
    ("-state:succeeded", lambda job: job.state != "succeeded"),
    ("fingerprint:f3,f4", lambda job: job.error is not None and job.error.fingerprint in {"f3", "f4"}),
    ("priority:high attempts:>2", lambda job: job.priority == "high" and job.attempts > 2),
    ("worker:web-7", lambda job: job.worker == "web-7"),
    ("worker:web-1*", lambda job: (job.worker or "").startswith("web-1")),
    ("-worker:web-7", lambda job: job.worker != "web-7"),
    ("mail7.example", lambda job: has_error(job, "mail7.example")),
    ('error:"50% of"', lambda job: has_error(job, "50% of")),
    ("error:MAIL1*order", lambda job: bool(job.error and re.search("mail1.*order", job.error.message))),
    ("error.type:MailError", lambda job: job.error is not None and job.error.type == "shop.MailError"),
    ("type:sms.send mail7", lambda job: job.type == "sms.send" and has_error(job, "mail7")),
    ("crashes:1", lambda job: job.crashes == 1),
    ("run:>9s", lambda job: (ran_ms(job) or 0) >= 10_000),
    ("run:2s..3s", lambda job: 2_000 <= (ran_ms(job) or 0) < 4_000),
    ("reason:attempts", lambda job: job.reason == "attempts"),
    ("payload.user.id:0", lambda job: job.payload["user"]["id"] == 0),
    ("payload.user.id:900..", lambda job: job.payload["user"]["id"] >= 900),
    ("payload.user.id:777,778", lambda job: job.payload["user"]["id"] in {777, 778}),
    ("payload.user.id:424242", lambda job: False),
    ("payload.items.sku:SKU-17", lambda job: job.payload["items"][0]["sku"] == "SKU-17"),
    ("payload.user.email:user99*", lambda job: job.payload["user"]["email"].startswith("user99")),
    ("payload.amount:>990", lambda job: job.payload["amount"] > 990),
    ("type:sms.send payload.items.n:3", lambda job: job.type == "sms.send" and job.payload["items"][0]["n"] == 3),
    ("result.ref:ref17", lambda job: bool(job.result) and job.result["ref"] == "ref17"),
    ("tag.customer:c1", lambda job: bool(job.tags) and job.tags["customer"] == "c1"),
    ("tag.env:prod", lambda job: bool(job.tags) and job.tags["env"] == "prod"),
    ("-tag.env:prod", lambda job: not job.tags or job.tags["env"] != "prod"),
    ("tag.customer:c99*", lambda job: bool(job.tags) and job.tags["customer"].startswith("c99")),
    ("has:error -has:tags", lambda job: job.error is not None and job.tags is None),
    ("since:2d", lambda job: job.created_at >= NOW - timedelta(days=2)),
    ("created:2026-03-02..2026-03-05 has:error", lambda job: bool(job.error) and job.created_at.day in range(2, 6)),
    ("finished:2026-03-03", lambda job: job.finished_at is not None and (job.finished_at - BEGIN).days == 2),
    ("started:<2026-03-02", lambda job: job.started_at is not None and (job.started_at - BEGIN).days == 0),
]  # fmt: skip


def query(q: str, **fields) -> JobQuery:
    """Return a query of these tests."""
    return JobQuery(tenant=DEFAULT_TENANT, asked_at=NOW, q=q, **fields)


async def patiently(history: History, asked: JobQuery, **options) -> SearchedJobs:
    """Return a page; on a busy machine the time that is kept for a last look may not do for it."""
    for _ in range(100):
        try:
            return await history.search.page(asked, **options)
        except HistoryUnavailableError:
            continue
    pytest.fail("no page came")


async def all_pages(history: History, q: str, *, budget_s: float = LONG_S, limit: int = 50, each=None) -> list[str]:
    """Return the ids of all pages of a search, with `each` awaited after every page."""
    ids: list[str] = []
    cursor = None
    while True:
        asked = replace(query(q), asked_at=NOW + timedelta(seconds=len(ids)))
        page = await patiently(history, asked, cursor=cursor, limit=limit, known_types=TYPES, budget_s=budget_s)
        ids += [stored.job.id for stored in page.jobs]
        cursor = page.next_cursor
        assert page.is_complete or cursor is not None
        if cursor is None:
            return ids
        if each:
            await each()


@pytest.mark.parametrize(("q", "rule"), KINDS, ids=[q or "all" for q, _ in KINDS])
async def test_the_pages_have_the_jobs_that_are_asked_for(crowded, history, q, rule):
    """All pages together have each job that fits once, newest first, and those of one moment by id."""
    expected = [job.id for job in crowded.jobs if rule(job)]
    assert await all_pages(history, q, limit=500 if len(expected) > 5_000 else 50) == expected


PARTIAL = [
    "state:dead",
    "type:email.*",
    "payload.user.id:777,778",
    "type:sms.send mail7",
    "result.ref:ref17",
    "worker:web-7",
]


@pytest.mark.parametrize("q", PARTIAL)
async def test_pages_without_time_get_on_and_have_the_same_jobs(crowded, hurried, q):
    """With a budget of a millisecond each page gets on, and all of them together have what they should."""
    expected = [job.id for job in crowded.jobs if dict(KINDS)[q](job)]
    assert await all_pages(hurried, q, budget_s=0.001) == expected


@pytest.mark.parametrize("q", ["", "state:dead", "payload.user.id:0", "tag.env:prod", "mail7.example"])
async def test_newer_jobs_do_not_move_the_pages(crowded, history, q):
    """Jobs that are stored while pages are read make no page skip or repeat a job."""
    expected = [job.id for job in crowded.jobs if dict(KINDS)[q](job)][:2_000]
    newer = crowd(100_000, seed=9)

    async def store_more() -> None:
        some = [next(newer) for _ in range(30)]
        later = [(queue, replace(job, id=moved(job.id))) for queue, job in some]
        await store_crowd(crowded.url, later)

    try:
        assert await first_ids(history, q, len(expected), store_more) == expected
    finally:
        # The pages of the table go with them: the planner estimates by those how many jobs there are.
        later = f"created_at > '{NOW + timedelta(days=1):%Y-%m-%d}+00'"
        await execute(crowded.url, f"DELETE FROM jobs WHERE {later}; VACUUM ANALYZE jobs")


async def first_ids(history: History, q: str, count: int, each) -> list[str]:
    """Return the ids of the first pages of a search, so many together."""
    ids: list[str] = []
    cursor = None
    while len(ids) < count:
        page = await history.search.page(query(q), cursor=cursor, known_types=TYPES, budget_s=LONG_S)
        ids += [stored.job.id for stored in page.jobs]
        cursor = page.next_cursor
        if cursor is None:
            break
        await each()
    return ids[:count]


def moved(job_id: str) -> str:
    """Return an id of the same form that was made a month later."""
    head, digits = job_id.rsplit("_", 1)
    return f"{head}_{digits[:3]}{'2' + digits[4:]}"


@pytest.mark.parametrize(
    ("days", "found", "wanted", "expected"),
    [(1, 0, 51, 2), (1, 10, 41, 2), (4, 40, 2, 1), (4, 40, 25, 3), (4, 1, 50, 8), (8, 0, 51, 64), (8, 80, 1, 1)],
)
def test_an_index_is_asked_for_no_more_days_than_fill_the_page(days, found, wanted, expected):
    """The days that are looked up next hold what is wanted at the rate of the last ones, and are at most doubled."""
    assert next_window(days, found=found, wanted=wanted) == expected


async def test_a_search_by_worker_begins_where_the_worker_ended(crowded, hurried):
    """A search for the jobs of a worker that has gone does not look at those that were submitted later."""
    ended = BEGIN + timedelta(days=2)
    await execute(
        crowded.url,
        "INSERT INTO worker_spans (tenant, worker, first_at, last_at) VALUES "
        f"('{DEFAULT_TENANT}', 'gone-1', '{BEGIN.isoformat()}', '{ended.isoformat()}')",
    )
    page = await patiently(hurried, query("worker:gone-1"), budget_s=0.001)
    assert page.searched_until is not None
    assert page.searched_until <= ended
    for q in ("worker:gone-1,web-7", "worker:gone-*", "-worker:gone-1"):
        page = await patiently(hurried, query(q), budget_s=0.001)
        assert page.searched_until is not None
        assert page.searched_until > ended
    page = await patiently(hurried, query("worker:gone-1 until:2026-03-02"), budget_s=0.001)
    assert page.searched_until is None or page.searched_until < ended
