"""The policy of a type says what is stored of its jobs; all of them are counted."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from history_databases import query
from history_seeds import events_of

from millstream_contracts import (
    DEFAULT_TENANT,
    EventKind,
    Job,
    JobError,
    JobId,
    JobState,
    JobTransition,
    JobType,
    Keeps,
    Queue,
    QueueEvents,
    made_at,
    new_job_id,
)
from millstream_contracts.event import Event
from millstream_history import History, as_kept, open_history, rows_of

QUEUE = Queue(DEFAULT_TENANT, JobType("mail.send"))
OTHER = Queue(DEFAULT_TENANT, JobType("sms.send"))
NOW_MS = 1_795_000_000_000
ERROR = JobError("ValueError", "no", fingerprint="v2:f")
LIFE = [(EventKind.SUBMITTED, "queued"), (EventKind.STARTED, "running"), (EventKind.SUCCEEDED, "succeeded")]


@pytest.fixture
async def history(history_url: str) -> AsyncIterator[History]:
    """Yield a history with empty tables."""
    async with open_history(history_url) as opened:
        yield opened


def job(queue: Queue = QUEUE, state: JobState = JobState.SUCCEEDED, **fields: object) -> Job:
    """Return a job with a payload and a result."""
    job_id = new_job_id(queue, NOW_MS)
    known = {"created_at": made_at(job_id), "version": 3, "payload": {"to": "ann"}, "result": ["ann"]}
    return Job(id=job_id, type=queue.type, state=state, **{**known, **fields})


async def stored(history: History, url: str, kept: Keeps, *jobs: Job) -> list[tuple[str, object, int]]:
    """Store jobs with their events; return of each that is there its id, payload and number of transitions."""
    queues: dict[Queue, dict[JobId, Job]] = {QUEUE: {}, OTHER: {}}
    for one in jobs:
        queues[QUEUE if one.type == QUEUE.type else OTHER][one.id] = one
    batches = [
        QueueEvents(queue, [event for one in some.values() for event in events_of(one, LIFE, at_ms=NOW_MS)])
        for queue, some in queues.items()
    ]
    rows = as_kept(rows_of(batches, queues), batches, queues, {QUEUE: kept, OTHER: "everything"})
    await history.store(rows)
    steps = "SELECT count(*) FROM transitions t WHERE t.job_id = j.id"
    return [tuple(row) for row in await query(url, f"SELECT id, payload, ({steps}) FROM jobs j ORDER BY id")]


async def submissions(url: str, queue: Queue) -> int:
    """Return how many submissions of a type are counted."""
    [(number,)] = await query(
        url, f"SELECT coalesce(sum(n), 0)::int FROM stats_minutes WHERE kind = 'submitted' AND type = '{queue.type}'"
    )
    return int(number)


async def test_without_a_word_everything_is_stored(history: History, history_url: str) -> None:
    """Jobs of a type that says nothing are stored with their payloads and all transitions."""
    one = job()
    assert [(found[0], found[2]) for found in await stored(history, history_url, "everything", one)] == [(one.id, 3)]


async def test_no_payload_leaves_payload_and_result_out(history: History, history_url: str) -> None:
    """A job without a payload has its transitions, and another type is stored whole."""
    one, other = job(), job(OTHER)
    await stored(history, history_url, "no_payload", one, other)
    found, whole = await history.job(QUEUE.tenant, one.id), await history.job(OTHER.tenant, other.id)
    assert found is not None
    assert whole is not None
    assert (found.job.payload, found.job.result, found.job.state) == (None, None, JobState.SUCCEEDED)
    assert whole.job.payload == {"to": "ann"}
    assert await query(history_url, f"SELECT payload_bytes FROM jobs WHERE id = '{one.id}'") == [(None,)]
    assert len(await history.transitions(QUEUE.tenant, one.id)) == 3


async def test_a_payload_that_was_stored_before_its_type_was_known_goes_with_the_next_transition(
    history: History, history_url: str
) -> None:
    """A job that was submitted before any worker had registered its type loses its payload at its next transition."""
    one = job(state=JobState.QUEUED, version=1, result=None)
    await stored(history, history_url, "everything", one)
    later = Job(**{**{name: getattr(one, name) for name in Job.__struct_fields__}, "version": 4})
    await stored(history, history_url, "no_payload", later)
    found = await history.job(QUEUE.tenant, one.id)
    assert found is not None
    assert (found.job.version, found.job.payload) == (4, None)


@pytest.mark.parametrize(
    ("fields", "is_stored"),
    [
        ({}, False),
        ({"state": JobState.RUNNING}, False),
        ({"state": JobState.DEAD}, True),
        ({"state": JobState.EXPIRED}, True),
        ({"state": JobState.CANCELLED}, True),
        ({"error": ERROR}, True),
        ({"state": JobState.SCHEDULED, "error": ERROR}, True),
        ({"crashes": 1}, True),
    ],
)
async def test_failures_are_jobs_that_failed_at_least_once(
    history: History, history_url: str, fields: dict[str, object], is_stored: bool
) -> None:
    """A job is stored from its first failure on, also when it succeeds later; every submission is counted."""
    one, other = job(**fields), job(OTHER)
    found = await stored(history, history_url, "failures", one, other)
    assert {row[0] for row in found} == ({one.id, other.id} if is_stored else {other.id})
    assert await submissions(history_url, QUEUE) == 1


async def test_nothing_stores_nothing_and_counts_all(history: History, history_url: str) -> None:
    """Neither jobs nor transitions are stored, and statistics are as with all of them."""
    found = await stored(history, history_url, "nothing", job(), job(state=JobState.DEAD, error=ERROR))
    assert found == []
    assert await query(history_url, "SELECT count(*) FROM transitions") == [(0,)]
    assert await submissions(history_url, QUEUE) == 2


@pytest.mark.parametrize(
    ("kept", "attempt", "error", "state", "count"),
    [
        ("failures", 1, None, "succeeded", 0),
        ("failures", 2, None, "succeeded", 1),
        ("failures", 1, ERROR, "scheduled", 1),
        ("failures", None, None, "dead", 1),
        ("nothing", 2, ERROR, "dead", 0),
        ("no_payload", 1, None, "succeeded", 1),
    ],
)
async def test_a_job_that_redis_has_forgotten_is_judged_by_its_events(
    history: History, history_url: str, kept: Keeps, attempt: int | None, error: JobError | None, state: str, count: int
) -> None:
    """Of a forgotten job an error, a bad end or a second attempt tells that it failed."""
    step = JobTransition(new_job_id(QUEUE, NOW_MS), 3, state, 1, "", attempt, None, 5, error)
    batches = [QueueEvents(QUEUE, [Event("3-0", EventKind.SUCCEEDED, NOW_MS, "w", [step])])]
    await history.store(as_kept(rows_of(batches, {}), batches, {}, {QUEUE: kept}))
    assert await query(history_url, "SELECT count(*) FROM jobs") == [(count,)]
    assert await query(history_url, "SELECT count(*) FROM transitions") == [(count,)]


async def test_a_resynchronisation_stores_what_the_policy_says(history: History, history_url: str) -> None:
    """Jobs that are read again are stored as their events would have been."""
    good, bad = job(), job(state=JobState.DEAD, error=ERROR)
    jobs = {one.id: one for one in (good, bad)}
    now = datetime.now(UTC)
    await history.repairer.resync(QUEUE, jobs, {}, now, kept="failures")
    assert await query(history_url, "SELECT id FROM jobs") == [(bad.id,)]
    assert await query(history_url, "SELECT job_id FROM transitions") == [(bad.id,)]
    await history.repairer.resync(OTHER, {good.id: good}, {}, now, kept="no_payload")
    assert await query(history_url, f"SELECT payload FROM jobs WHERE id = '{good.id}'") == [(None,)]
