"""One list of columns writes and reads the rows: each field of a job comes back."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from history_databases import execute, query
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import BigInteger, Integer, SmallInteger

from millstream_contracts import (
    DEFAULT_TENANT,
    Event,
    EventKind,
    Job,
    JobError,
    JobId,
    JobState,
    JobTransition,
    JobType,
    Priority,
    Queue,
    QueueEvents,
    Tenant,
    made_at,
    moment,
    new_job_id,
)
from millstream_history import History, StoredJob, Transition, open_history, rows_of
from millstream_history.projection.columns import (
    FORGOTTEN_COLUMNS,
    JOB_COLUMNS,
    JOB_ROWS,
    LIVE_FIELDS,
    TRANSITION_COLUMNS,
    Derived,
    ForgottenJob,
)
from millstream_history.tables import JOBS, TRANSITIONS

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(2**60), 2**60).map(lambda n: n / 1024) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
MOMENTS = st.integers(0, 8 * 10**15).map(lambda us: datetime.fromtimestamp(0, UTC) + timedelta(microseconds=us))
COUNTS = st.integers(0, 2**31 - 1)
IDS = st.builds(lambda number: JobId(f"a_00{number:026d}"), st.integers(0, 10**6))
QUEUES = st.builds(Queue, st.sampled_from([DEFAULT_TENANT, Tenant("acme")]), st.just(JobType("a")), st.integers(0, 255))
ERRORS = st.builds(JobError, TEXTS, TEXTS, fingerprint=TEXTS, traceback=TEXTS, attempt=COUNTS, traceparent=TEXTS)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "state": st.sampled_from(JobState),
    "priority": st.sampled_from(Priority),
    "version": st.integers(0, 2**63 - 1),
    "attempts": COUNTS,
    "max_attempts": st.none() | COUNTS,
    "deliveries": COUNTS,
    "crashes": COUNTS,
    "handbacks": COUNTS,
    "run_at": st.none() | MOMENTS,
    "expires_at": st.none() | MOMENTS,
    "started_at": st.none() | MOMENTS,
    "finished_at": st.none() | MOMENTS,
    "worker": st.none() | TEXTS,
    "payload": VALUES,
    "result": VALUES,
    "error": st.none() | ERRORS,
    "reason": st.none() | TEXTS,
    "tags": st.none() | st.dictionaries(TEXTS, TEXTS, max_size=3),
    "timeout_s": st.none() | st.floats(0, 1e9),
    "trace_id": st.none() | TEXTS,
    "after": st.none() | st.lists(IDS, min_size=1, max_size=3),
    "after_failure": st.none() | st.sampled_from(["wait", "cancel", "run"]),
    "because_of": st.none() | IDS,
    "submitted_by": st.none() | TEXTS,
    "workflow": st.none() | TEXTS,
}


@st.composite
def stored_jobs(draw: st.DrawFn) -> StoredJob:
    """Return jobs of any kind, each with its queue."""
    queue = draw(QUEUES)
    return StoredJob(queue, _job(queue, **draw(st.fixed_dictionaries(FIELDS))))


def _job(queue: Queue, **fields: Any) -> Job:
    """Return a job with a new id."""
    job_id = new_job_id(queue)
    return Job(id=job_id, type=queue.type, created_at=made_at(job_id), **fields)


@pytest.fixture
async def history(history_url: str) -> AsyncIterator[History]:
    """Yield an open history database."""
    async with open_history(history_url) as opened:
        yield opened


def test_every_field_of_a_job_has_a_column_or_lives_in_redis_only() -> None:
    """Every field of a job has a column, or is listed as one of Redis only."""
    sources = {column.source for column in JOB_COLUMNS}
    of_job = {source.removeprefix("job.") for source in sources if source.startswith("job.")}
    assert of_job | {"type", "created_at"} | LIVE_FIELDS == set(Job.__struct_fields__)
    assert not of_job & LIVE_FIELDS
    assert {source for source in sources if source.startswith("queue.")} == {
        f"queue.{field}" for field in Queue.__struct_fields__
    }
    assert {source for source in sources if source.startswith("derived.")} == {
        f"derived.{field}" for field in Derived.__struct_fields__
    }
    assert set(FIELDS) | {"id"} == of_job | {"workflow"}, "a field that is not drawn is not tested"


def test_the_tables_have_the_columns_of_the_lists_and_no_others() -> None:
    """The tables have exactly the columns of the lists."""
    assert [column.name for column in JOB_COLUMNS] == JOBS.columns.keys()
    assert [column.name for column in TRANSITION_COLUMNS] == TRANSITIONS.columns.keys()
    assert list(Transition.__struct_fields__) == TRANSITIONS.columns.keys()
    assert {column.name for column in FORGOTTEN_COLUMNS} == set(ForgottenJob.__struct_fields__)
    required = {column.name for column in JOBS.columns if not column.nullable}
    assert required <= {column.name for column in FORGOTTEN_COLUMNS}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stored_jobs(), st.sampled_from(JobState))
async def test_a_job_comes_back_as_it_was(history: History, stored: StoredJob, state: JobState) -> None:
    """A job in any state comes back with every field."""
    stored = StoredJob(stored.queue, replace(stored.job, state=state))
    await history.store(rows_of([], {stored.queue: {stored.job.id: stored.job}}))
    assert await history.job(stored.queue.tenant, stored.job.id) == stored


async def test_the_steps_of_a_job_come_back_in_their_order(history: History) -> None:
    """The transitions of a job come back in order, with its last error, and without those of other jobs."""
    queue = Queue(Tenant("acme"), JobType("a"), 7)
    job_id, other = new_job_id(queue), new_job_id(queue)
    error = JobError(type="ValueError", message="no", fingerprint="f", traceback="t", attempt=1, traceparent="00-1")
    both = [JobTransition(one, 2, "running", 1, "", 1, 7) for one in (other, job_id)]
    events = [
        Event("1-0", EventKind.DEAD, 3_000, "w", [JobTransition(job_id, 3, "dead", 2, "attempts", 1, None, 9)]),
        Event("2-0", EventKind.SUBMITTED, 1_000, "", [JobTransition(job_id, 1, "queued", 0)]),
        Event("3-0", EventKind.STARTED, 2_000, "w", both),
    ]
    job = Job(id=job_id, type=queue.type, state=JobState.DEAD, version=3, created_at=moment(1_000), error=error)
    await history.store(rows_of([QueueEvents(queue, events)], {queue: {job_id: job}}))
    assert await history.transitions(queue.tenant, job_id) == [
        Transition("acme", job_id, 1, "submitted", "queued", moment(1_000), 0, created_at=made_at(job_id)),
        Transition("acme", job_id, 2, "started", "running", moment(2_000), 1, "w", None, None, made_at(job_id), 1, 7),
        Transition(
            "acme", job_id, 3, "dead", "dead", moment(3_000), 2, "w", "attempts", error, made_at(job_id), 1, None, 9
        ),
    ]
    assert await history.transitions(DEFAULT_TENANT, job_id) == []
    assert [step.version for step in await history.transitions(queue.tenant, other)] == [2]


async def test_a_job_that_is_not_there_is_none(history: History) -> None:
    """A job that does not exist, or belongs to another tenant, is None."""
    queue = Queue(DEFAULT_TENANT, JobType("a"))
    job = Job(id=new_job_id(queue), type=queue.type, state=JobState.QUEUED, created_at=moment(0))
    await history.store(rows_of([], {queue: {job.id: job}}))
    assert await history.job(DEFAULT_TENANT, new_job_id(queue)) is None
    assert await history.job(Tenant("acme"), job.id) is None


async def test_a_forgotten_job_is_read_with_defaults_for_what_is_not_known(history: History) -> None:
    """A job that only events tell of is read with defaults for the other fields."""
    queue = Queue(DEFAULT_TENANT, JobType("a"), 3)
    job_id = new_job_id(queue, at_ms=1_000)
    event = Event("1-0", EventKind.CANCELLED, 2_000, "", [JobTransition(job_id, 3, "cancelled", 1, "not wanted")])
    await history.store(rows_of([QueueEvents(queue, [event])], {}))
    assert await history.job(DEFAULT_TENANT, job_id) == StoredJob(
        queue,
        Job(
            id=job_id,
            type=queue.type,
            state=JobState.CANCELLED,
            version=3,
            deliveries=1,
            created_at=moment(1_000),
            finished_at=moment(2_000),
            reason="not wanted",
        ),
    )


async def test_words_of_a_newer_release_are_read_as_this_one_shows_them(history: History, history_url: str) -> None:
    """An unknown state is read as blocked, and an unknown kind of transition as its text."""
    queue = Queue(DEFAULT_TENANT, JobType("a"))
    job_id = new_job_id(queue)
    event = Event("1-0", "frozen", 2_000, "", [JobTransition(job_id, 3, "ice", 1)])
    await history.store(rows_of([QueueEvents(queue, [event])], {}))
    await execute(history_url, "UPDATE jobs SET priority = 'urgent'")
    stored = await history.job(DEFAULT_TENANT, job_id)
    assert stored is not None
    assert (stored.job.state, stored.job.priority) == (JobState.BLOCKED, Priority.NORMAL)
    [step] = await history.transitions(DEFAULT_TENANT, job_id)
    assert (step.kind, step.state) == ("frozen", "ice")
    assert await query(history_url, "SELECT state FROM jobs") == [("ice",)]


BITS = {SmallInteger: 16, Integer: 32, BigInteger: 64}


@pytest.mark.parametrize("number", [2**70, -(2**70)])
async def test_every_number_and_text_is_made_to_fit_its_column(history: History, history_url: str, number: int) -> None:
    """Every number and text is made to fit its column, so that a broken job stops no other."""
    bits = {name: BITS[type(JOBS.c[name].type)] for name in JOB_ROWS.names if type(JOBS.c[name].type) in BITS}
    # Two follow from others, which are in their bounds.
    del bits["ran_ms"], bits["payload_bytes"]
    fields: dict[str, Any] = dict.fromkeys(bits, number) | dict.fromkeys(["worker", "reason", "trace_id"], "a\0b")
    queue, waited_ms = Queue(DEFAULT_TENANT, JobType("a"), fields.pop("partition")), fields.pop("waited_ms")
    job = Job(id=JobId("a_001"), type=queue.type, state=JobState.DEAD, created_at=moment(0), **fields)
    await history.store(rows_of([], {queue: {job.id: job}}, {queue: {job.id: waited_ms}}))
    names = [*bits, "worker", "reason", "trace_id"]
    [found] = await query(history_url, f"SELECT {', '.join(names)} FROM jobs")
    fitting = [2 ** (one - 1) - 1 if number > 0 else -(2 ** (one - 1)) for one in bits.values()]
    assert found == (*fitting, *["a\ufffdb"] * 3)
