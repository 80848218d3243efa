"""The history stores jobs and events correctly in any order, and however often they come."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from history_databases import execute, query
from msgspec.structs import replace

from millstream_contracts import (
    DEFAULT_TENANT,
    NO_TIME,
    BatchEvent,
    BatchId,
    Event,
    EventKind,
    FiredBatch,
    Job,
    JobError,
    JobId,
    JobState,
    JobTransition,
    JobType,
    MemberState,
    Priority,
    Queue,
    QueueEvents,
    made_at_ms,
    moment,
    new_job_id,
)
from millstream_history import (
    History,
    HistorySchemaError,
    HistoryUnavailableError,
    HistoryUrlError,
    Rows,
    open_history,
    rows_of,
)

QUEUE = Queue(DEFAULT_TENANT, JobType("invoice.send"), 3)
ID = new_job_id(QUEUE)
NOW = datetime(2026, 11, 26, 12, 0, 0, 123_000, UTC)
NOW_MS = round(NOW.timestamp() * 1000)
MINUTE = timedelta(minutes=1)
ERROR = JobError(type="ValueError", message="no such address", fingerprint="f00d", attempt=1)
PARENT = JobId("a_000001KBCSZ4000ABCDEFGHJKM")
JOB = Job(
    id=ID,
    type=QUEUE.type,
    state=JobState.RUNNING,
    priority=Priority.HIGH,
    version=2,
    deliveries=1,
    created_at=NOW,
    started_at=NOW,
    worker="host:1:a",
    payload={"n": 1, "to": ["ann"]},
    tags={"customer": "42"},
    timeout_s=1.5,
    trace_id="0af7651916cd43dd8448eb211c80319c",
)


@pytest.fixture
async def history(history_url: str) -> AsyncIterator[History]:
    """Yield an open history database."""
    async with open_history(history_url) as opened:
        yield opened


def event(kind: EventKind, state: str, version: int, *, detail: str = "", job_id: str = ID) -> Event:
    """Return an event of one job."""
    return Event(f"{version}-0", kind, NOW_MS + version, "host:1:a", [JobTransition(job_id, version, state, 1, detail)])


def batch(*events: Event, job: Job | None = JOB, queue: Queue = QUEUE) -> Rows:
    """Return the rows of events of a queue, with the present state of one of its jobs."""
    return rows_of([QueueEvents(queue, list(events))], {queue: {job.id: job}} if job else {})


async def columns(url: str, *names: str) -> list[tuple]:
    """Return these columns of all jobs."""
    return await query(url, f"SELECT {', '.join(names)} FROM jobs ORDER BY tenant, id")


async def test_a_job_is_stored_whole(history: History, history_url: str) -> None:
    """Every column of a job is stored."""
    whole = replace(
        JOB, state=JobState.DEAD, version=9, attempts=3, max_attempts=3, deliveries=4, crashes=1, handbacks=2,
        run_at=NOW, expires_at=NOW, finished_at=NOW, result=[1, None], error=ERROR, reason="attempts",
        after=[PARENT], after_failure="cancel", because_of=PARENT, workflow="WF_1", submitted_by="7Kq2vXbA",
    )  # fmt: skip
    await history.store(batch(job=whole))
    [row] = await query(history_url, "SELECT to_jsonb(jobs) FROM jobs")
    found = {name: value for name, value in row[0].items() if not name.endswith("_at")}
    assert found == {
        "tenant": "default", "id": ID, "type": "invoice.send", "partition": 3, "state": "dead", "version": 9,
        "priority": "high", "attempts": 3, "max_attempts": 3, "deliveries": 4, "crashes": 1, "handbacks": 2,
        "worker": "host:1:a", "payload": {"n": 1, "to": ["ann"]}, "result": [1, None], "reason": "attempts",
        "error": {"type": "ValueError", "message": "no such address", "fingerprint": "f00d", "attempt": 1},
        "tags": {"customer": "42"}, "timeout_s": 1.5, "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "outcome": "dead", "fingerprint": "f00d", "error_text": "ValueError: no such address", "payload_bytes": 20,
        "waited_ms": None, "ran_ms": 0, "workflow_id": "WF_1", "rerun_of": None,
        "after": [PARENT], "after_failure": "cancel", "because_of": PARENT, "submitted_by": "7Kq2vXbA",
    }  # fmt: skip
    times = await columns(history_url, "created_at", "run_at", "expires_at", "started_at", "finished_at")
    assert times == [(moment(made_at_ms(ID)), *[NOW] * 4)]


@pytest.mark.parametrize("event_of", [None, BatchEvent.COMPLETE], ids=["member", "callback"])
async def test_a_job_of_a_batch_is_read_as_one(history: History, event_of: BatchEvent | None) -> None:
    """The history says of which batch a job is a member, or for which event of it a callback ran."""
    fired = FiredBatch(id=BatchId("BA_1"), name="import", event=BatchEvent.COMPLETE, counts={MemberState.DEAD: 1})
    of_batch = replace(JOB, batch="BA_1", batch_event=event_of, tags=fired.tags if event_of else JOB.tags)
    await history.store(batch(job=of_batch))
    found = await history.job(DEFAULT_TENANT, ID)
    assert found is not None
    assert (found.job.workflow, found.job.batch, found.job.batch_event) == (None, "BA_1", event_of)


async def test_an_event_is_stored_for_each_of_its_jobs(history: History, history_url: str) -> None:
    """An event is stored for each of its jobs, with time, worker and reason."""
    await history.store(batch(event(EventKind.CANCELLED, "cancelled", 3, detail="not wanted")))
    found = await query(
        history_url, "SELECT job_id, version, kind, state, at, deliveries, worker, detail, error FROM transitions"
    )
    assert found == [(ID, 3, "cancelled", "cancelled", moment(NOW_MS + 3), 1, "host:1:a", "not wanted", None)]


async def test_the_same_batch_stored_twice_changes_nothing(history: History, history_url: str) -> None:
    """A batch that is stored twice changes nothing the second time."""
    rows = batch(event(EventKind.SUBMITTED, "queued", 1), event(EventKind.STARTED, "running", 2))
    for _ in range(2):
        await history.store(rows)
    assert await columns(history_url, "state", "version") == [("running", 2)]
    assert await query(history_url, "SELECT version FROM transitions ORDER BY version") == [(1,), (2,)]


async def test_an_older_version_never_replaces_a_newer_one(history: History, history_url: str) -> None:
    """An older version of a job never replaces a newer one."""
    done = replace(JOB, state=JobState.SUCCEEDED, version=3, result="sent")
    await history.store(batch(event(EventKind.SUCCEEDED, "succeeded", 3), job=done))
    await history.store(batch(event(EventKind.STARTED, "running", 2), job=JOB))
    await history.store(batch(event(EventKind.SUBMITTED, "queued", 1), job=None))
    assert await columns(history_url, "state", "version", "result") == [("succeeded", 3, "sent")]
    assert await query(history_url, "SELECT version FROM transitions ORDER BY version") == [(1,), (2,), (3,)]


async def test_a_forgotten_job_keeps_what_was_known_of_it(history: History, history_url: str) -> None:
    """A job that Redis has removed keeps its columns, and its later events are stored."""
    await history.store(batch(event(EventKind.STARTED, "running", 2)))
    await history.store(batch(event(EventKind.SUCCEEDED, "succeeded", 3), job=None))
    assert await columns(history_url, "state", "version", "payload", "finished_at") == [
        ("succeeded", 3, {"n": 1, "to": ["ann"]}, moment(NOW_MS + 3))
    ]


async def test_a_job_that_is_forgotten_before_its_events_are_stored_again_keeps_all_that_was_known(
    history: History, history_url: str
) -> None:
    """Events that were not acknowledged come again: of the same version they tell less than the job did."""
    await history.store(batch(event(EventKind.STARTED, "running", JOB.version)))
    await history.store(batch(event(EventKind.STARTED, "running", JOB.version), job=None))
    assert await columns(history_url, "version", "worker") == [(JOB.version, JOB.worker)]


async def test_of_a_job_that_was_never_seen_the_last_event_tells(history: History, history_url: str) -> None:
    """A job that was never read is stored from its last event and the time in its id."""
    events = [
        event(EventKind.SUBMITTED, "queued", 1),
        event(EventKind.STARTED, "running", 2),
        event(EventKind.CANCELLED, "cancelled", 3, detail="not wanted"),
    ]
    await history.store(batch(*events, job=None))
    assert await columns(history_url, "state", "version", "type", "created_at", "finished_at", "reason") == [
        ("cancelled", 3, "invoice.send", moment(made_at_ms(ID)), moment(NOW_MS + 3), "not wanted")
    ]


async def test_the_last_event_is_the_one_of_the_highest_version(history: History, history_url: str) -> None:
    """The last event is the one of the highest version, in whatever order events come."""
    events = [event(EventKind.SUCCEEDED, "succeeded", 3), event(EventKind.STARTED, "running", 2)]
    await history.store(batch(*events, job=None))
    assert await columns(history_url, "state", "version") == [("succeeded", 3)]


async def test_the_last_failure_of_a_batch_has_its_error(history: History, history_url: str) -> None:
    """The last failure in a batch is stored with the job's error."""
    failed = replace(JOB, state=JobState.DEAD, version=6, error=ERROR)
    events = [
        event(EventKind.RETRYING, "scheduled", 3),
        event(EventKind.STARTED, "running", 5),
        event(EventKind.DEAD, "dead", 6, detail="attempts"),
    ]
    await history.store(batch(*events, job=failed))
    found = await query(history_url, "SELECT version, error ->> 'message' FROM transitions ORDER BY version")
    assert found == [(3, None), (5, None), (6, "no such address")]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("a\0b", "a\ufffdb"),
        ({"k\0": ["\0", {"x": "\0"}]}, {"k\ufffd": ["\ufffd", {"x": "\ufffd"}]}),
        ("a\\u0000b", "a\\u0000b"),
        (float("inf"), None),
        ([float("nan")], [None]),
        (2**200, 2**200),
        (b"\xff", "/w=="),
        ({1: "a"}, {"1": "a"}),
        ({(1, 2): "a"}, None),
        ("\U0001f600", "\U0001f600"),
    ],
    ids=["nul", "nested-nul", "no-nul", "infinity", "nan", "large", "bytes", "number-key", "tuple-key", "emoji"],
)
async def test_any_value_can_be_stored(history: History, history_url: str, given: Any, stored: Any) -> None:
    """Any payload and result can be stored, also one that PostgreSQL or JSON cannot hold."""
    await history.store(batch(job=replace(JOB, payload=given)))
    assert await columns(history_url, "payload") == [(stored,)]


async def test_texts_and_numbers_that_do_not_fit_are_made_to(history: History, history_url: str) -> None:
    """Texts and numbers are made to fit their columns."""
    broken = replace(JOB, reason="a\0b", attempts=2**70, crashes=2**40)
    await history.store(batch(event(EventKind.DEAD, "dead", 3, detail="\0"), job=broken))
    assert await columns(history_url, "reason", "attempts", "crashes") == [("a\ufffdb", 2**31 - 1, 2**31 - 1)]
    assert await query(history_url, "SELECT detail FROM transitions") == [("\ufffd",)]


async def test_jobs_of_one_id_in_two_tenants_are_two(history: History, history_url: str) -> None:
    """Jobs with one id in two tenants are two rows."""
    other = Queue("other", QUEUE.type, QUEUE.partition)
    await history.store(batch(event(EventKind.STARTED, "running", 2)))
    await history.store(batch(event(EventKind.STARTED, "running", 2), job=replace(JOB, payload=2), queue=other))
    assert await columns(history_url, "tenant", "payload") == [("default", {"n": 1, "to": ["ann"]}), ("other", 2)]


async def test_a_batch_is_stored_whole_or_not_at_all(history: History, history_url: str) -> None:
    """A batch is stored whole or not at all."""
    await execute(history_url, "ALTER TABLE transitions RENAME TO elsewhere")
    with pytest.raises(Exception, match="other tables"):
        await history.store(batch(event(EventKind.STARTED, "running", 2)))
    await execute(history_url, "ALTER TABLE elsewhere RENAME TO transitions")
    assert await columns(history_url, "id") == []
    await history.store(batch(event(EventKind.STARTED, "running", 2)))
    assert await columns(history_url, "id") == [(ID,)]


async def test_a_database_that_was_restored_is_looked_at_again(history: History, history_url: str) -> None:
    """After a failed batch the next one checks the schema first."""
    await history.store(batch(event(EventKind.STARTED, "running", 2)))
    await execute(history_url, "DROP TABLE jobs, transitions; UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(HistorySchemaError, match="other tables"):
        await history.store(batch(event(EventKind.STARTED, "running", 2)))
    with pytest.raises(HistorySchemaError, match=r"revision 0000.*`millstream migrate`"):
        await history.store(batch(event(EventKind.STARTED, "running", 2)))


async def test_a_look_begins_with_the_schema_each_time(history: History, history_url: str) -> None:
    """Each look checks the schema, also after a good one."""
    await history.look()
    await execute(history_url, "UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(HistorySchemaError, match="revision 0000"):
        await history.look()


async def test_each_job_of_a_batch_has_its_own_error(history: History, history_url: str) -> None:
    """Each job of a batch has its own error, for a retry and for a death."""
    jobs = [replace(JOB, id=new_job_id(QUEUE), error=replace(ERROR, message=f"{n}"), version=3) for n in range(3)]
    events = [
        Event(f"{n}-0", kind, NOW_MS, "w", [JobTransition(job.id, 3, "dead", 1)])
        for n, (kind, job) in enumerate(
            zip((EventKind.RETRYING, EventKind.DEAD, EventKind.RETRYING), jobs, strict=True)
        )
    ]
    await history.store(rows_of([QueueEvents(QUEUE, events)], {QUEUE: {job.id: job for job in jobs}}))
    found = await query(history_url, "SELECT job_id, error ->> 'message' FROM transitions")
    assert dict(found) == {job.id: f"{n}" for n, job in enumerate(jobs)}


async def test_a_batch_leaves_nothing_behind_for_the_next_one(history: History, history_url: str) -> None:
    """The temporary tables of a connection are empty after each batch."""
    await history.store(batch(event(EventKind.STARTED, "running", 2)))
    await execute(history_url, "DELETE FROM jobs; DELETE FROM transitions")
    other = replace(JOB, id=new_job_id(QUEUE))
    await history.store(batch(event(EventKind.STARTED, "running", 2, job_id=other.id), job=other))
    assert await columns(history_url, "id") == [(other.id,)]


def nested(depth: int) -> Any:
    """Return nested lists of this depth."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


async def test_a_value_that_is_too_deep_for_json_is_left_out(history: History, history_url: str) -> None:
    """A value that is too deep for JSON is left out, and its job is stored."""
    await history.store(batch(job=replace(JOB, payload=nested(100_000))))
    assert await columns(history_url, "state", "payload") == [("running", None)]


def many_jobs(count: int) -> list[Job]:
    """Return jobs whose ids are in no order."""
    return [replace(JOB, id=new_job_id(QUEUE)) for _ in range(count)]


def shuffled(jobs: list[Job], known: int, *, backwards: bool) -> Rows:
    """Return the rows of two events with all jobs, of which Redis still has the first few."""
    step = -1 if backwards else 1
    moves = [JobTransition(job.id, 2, "running", 1) for job in jobs[::step]]
    events = [Event(f"{n}-0", EventKind.STARTED, NOW_MS, "w", some) for n, some in enumerate((moves[::2], moves[1::2]))]
    return rows_of([QueueEvents(QUEUE, events)], {QUEUE: {job.id: job for job in jobs[:known][::step]}})


def test_rows_have_one_order_whatever_the_order_of_events_and_jobs() -> None:
    """Rows are written in one order, so that two writers of the same rows cause no deadlock."""
    jobs = many_jobs(20)
    assert shuffled(jobs, 10, backwards=False) == shuffled(jobs, 10, backwards=True)


def test_an_event_that_stands_twice_is_one_row_with_its_error() -> None:
    """A repeated event in one batch is one row, and the one that has the error."""
    failed = event(EventKind.DEAD, "dead", 3)
    rows = batch(failed, failed, job=replace(JOB, state=JobState.DEAD, version=3, error=ERROR))
    [row] = rows.transitions
    assert row[:3] == ("default", ID, 3)
    assert ERROR.message in str(row)


async def test_two_writers_of_the_same_rows_both_end(history: History, history_url: str) -> None:
    """Two writers of the same rows both succeed."""
    jobs = many_jobs(200)
    async with open_history(history_url) as other, anyio.create_task_group() as tasks:
        for writer, backwards in ((history, False), (other, True)):
            for _ in range(5):
                tasks.start_soon(writer.store, shuffled(jobs, 100, backwards=backwards))
    assert await query(history_url, "SELECT count(*) FROM transitions") == [(200,)]


async def test_a_database_that_is_away_is_said_to_be_without_a_word_of_the_payload() -> None:
    """The error about an absent database contains nothing of the payload."""
    async with open_history("postgresql://u:secret@127.0.0.1:9/none") as history:
        with pytest.raises(HistoryUnavailableError) as caught:
            await history.store(batch(event(EventKind.STARTED, "running", 2)))
    assert "secret" not in str(caught.value)
    assert "ann" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "postgresql", "mysql://u:secret@h/d", "sqlite:///secret", "://secret"])
async def test_a_url_of_something_else_is_refused(url: str) -> None:
    """A URL that is none of PostgreSQL is refused without its password."""
    with pytest.raises(HistoryUrlError) as caught:
        async with open_history(url):
            pass
    assert "secret" not in str(caught.value)


async def test_each_failed_attempt_keeps_the_error_that_its_event_has(history: History, history_url: str) -> None:
    """Each failed attempt keeps its own error, also when all of them are stored after the last."""
    errors = [replace(ERROR, message=f"{n}", attempt=n, traceback=f"line {n}") for n in (1, 2, 3)]
    events = [
        Event(f"{n}-0", EventKind.RETRYING, NOW_MS, "w", [JobTransition(ID, 2 * n + 1, "queued", n, error=error)])
        for n, error in enumerate(errors, start=1)
    ]
    failed = replace(JOB, state=JobState.QUEUED, version=7, error=errors[-1])
    await history.store(batch(*events, job=failed))
    found = await query(history_url, "SELECT error ->> 'traceback' FROM transitions ORDER BY version")
    assert found == [("line 1",), ("line 2",), ("line 3",)]


async def test_a_job_is_one_row_whatever_time_its_spec_names(history: History, history_url: str) -> None:
    """The creation time is the one in the id, so a job is one row, whether its hash was read or not."""
    other = replace(JOB, created_at=moment(made_at_ms(ID) + 1))
    await history.store(batch(event(EventKind.STARTED, "running", 2), job=other))
    await history.store(batch(event(EventKind.SUCCEEDED, "succeeded", 3), job=None))
    await history.store(batch(job=replace(other, version=4)))
    assert await columns(history_url, "version", "created_at") == [(4, moment(made_at_ms(ID)))]


@pytest.mark.parametrize("job_id", ["a_001", "a_00" + "Z" * 26, "plain"])
async def test_a_job_whose_id_has_no_time_is_one_row_in_the_far_future(
    history: History, history_url: str, job_id: str
) -> None:
    """A job whose id holds no time that a calendar knows gets one constant time, whichever of its events comes."""
    for version in (2, 3):
        await history.store(batch(event(EventKind.STARTED, "running", version, job_id=job_id), job=None))
    assert await columns(history_url, "id", "version", "created_at") == [(job_id, 3, NO_TIME)]
    job = await history.job(DEFAULT_TENANT, JobId(job_id))
    assert job is not None
    assert job.job.created_at == NO_TIME


async def test_columns_for_searches_follow_from_the_job(history: History, history_url: str) -> None:
    """Outcome, fingerprint, text of the error and durations of a job are columns of their own."""
    error = replace(ERROR, message="x" * 3_000, fingerprint="")
    dead = replace(
        JOB, state=JobState.DEAD, version=3, error=error, reason="no room: 17 of 'a'", finished_at=NOW + MINUTE
    )
    await history.store(rows_of([], {QUEUE: {ID: dead}}, {QUEUE: {ID: 250}}))
    found = await columns(history_url, "outcome", "fingerprint", "length(error_text)", "waited_ms", "ran_ms")
    assert found == [("dead", "reason:no room", 2_000, 250, 60_000)]
    redriven = replace(JOB, version=4, state=JobState.QUEUED, started_at=NOW, error=error)
    await history.store(batch(job=redriven))
    assert await columns(history_url, "outcome", "ran_ms") == [(None, 60_000)]


async def test_a_forgotten_job_that_failed_has_the_error_of_its_last_attempt(
    history: History, history_url: str
) -> None:
    """A job that Redis has deleted is stored with the error and durations that its events carry."""
    started = Event("1-0", EventKind.STARTED, NOW_MS, "w", [JobTransition(ID, 2, "running", 1, "", 1, 40)])
    died = Event("2-0", EventKind.DEAD, NOW_MS, "w", [JobTransition(ID, 3, "dead", 1, "attempts", 1, None, 9, ERROR)])
    let_go = event(EventKind.CANCELLED, "cancelled", 4, detail="discarded")
    await history.store(batch(started, died, let_go, job=None))
    assert await columns(history_url, "outcome", "fingerprint", "error ->> 'message'", "waited_ms", "ran_ms") == [
        ("cancelled", "f00d", ERROR.message, 40, 9)
    ]
