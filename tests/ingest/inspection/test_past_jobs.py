"""Jobs that Redis has forgotten are read from the history, and nothing more can be done with them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from history_seeds import events_of, store_at
from ingest.serving import Ingest, problem, remembering_ingest, running_ingest
from msgspec.structs import replace
from streams.seeds import commit, seed_running, take_one

from millstream_contracts import (
    DEFAULT_TENANT,
    EventKind,
    Job,
    JobError,
    JobState,
    JobType,
    KeptLine,
    KeptLines,
    Queue,
    new_job_id,
)
from millstream_history import open_history
from millstream_streams import Broker

QUEUE = Queue(DEFAULT_TENANT, JobType("email.send"))
NOW_MS = 1_795_000_000_000
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
SUCCESS = [(EventKind.SUBMITTED, "queued"), (EventKind.STARTED, "running"), (EventKind.SUCCEEDED, "succeeded")]


def past_job(state: JobState = JobState.SUCCEEDED, version: int = 3, **fields) -> Job:
    """Return a job that Redis knows nothing of."""
    job_id = new_job_id(QUEUE, NOW_MS)
    return Job(id=job_id, type=QUEUE.type, state=state, version=version, deliveries=1, created_at=NOW, **fields)


@pytest.fixture
async def ingest(settings, history_url, broker: Broker) -> AsyncIterator[Ingest]:
    """Yield an ingest with a history."""
    async with remembering_ingest(settings, history_url) as running:
        yield running


@pytest.fixture
async def past(history_url) -> Job:
    """Return a job that is in the history alone."""
    job = past_job(payload={"to": "ann"}, result={"sent": True}, attempts=1)
    await store_at(history_url, QUEUE, job, events_of(job, SUCCESS, at_ms=NOW_MS))
    return job


async def test_a_forgotten_job_is_read_from_the_history(ingest, past):
    """A job that Redis has forgotten is read from the history, with its version as its ETag."""
    response = await ingest.http.get(f"/v1/jobs/{past.id}", params={"wait": 5})
    assert response.status_code == 200, response.text
    found = response.json()
    assert (found["source"], found["state"], found["result"]) == ("history", "succeeded", {"sent": True})
    assert response.headers["etag"] == '"3"'
    again = await ingest.http.get(f"/v1/jobs/{past.id}", headers={"if-none-match": '"3"'})
    assert again.status_code == 304


async def test_a_job_that_redis_has_is_live(ingest):
    """A job that Redis has is read there."""
    job = await ingest.submit()
    assert (await ingest.get(f"/v1/jobs/{job['id']}"))["source"] == "live"


async def test_nothing_can_be_done_with_a_forgotten_job(ingest, past):
    """A job that only the history has cannot be cancelled, retried or asked for its stack."""
    for method, action in (("POST", "cancel"), ("POST", "retry"), ("GET", "stack")):
        document = problem(await ingest.http.request(method, f"/v1/jobs/{past.id}/{action}"), 409, "wrong-state")
        assert "history" in document["detail"]


async def test_an_unknown_job_is_in_neither(ingest):
    """A job that neither Redis nor the history knows is not found, whatever is asked of it."""
    path = f"/v1/jobs/{past_job().id}"
    for method, more in (("GET", ""), ("GET", "/timeline"), ("GET", "/stack"), ("POST", "/cancel"), ("POST", "/retry")):
        problem(await ingest.http.request(method, path + more), 404, "job-not-found")


async def test_an_erased_job_is_gone_whatever_is_asked_of_it(ingest, past, history_url):
    """An erased job answers 410 with its own problem to every question, also one that was never stored."""
    unseen = past_job()
    async with open_history(history_url) as history:
        for job in (past, unseen):
            await history.erasures.mark(QUEUE.tenant, [job.id])
            await history.erasures.blank(QUEUE.tenant, [job.id])
    for path in (f"/v1/jobs/{past.id}", f"/v1/jobs/{unseen.id}"):
        for method, more in (
            ("GET", ""),
            ("GET", "/timeline"),
            ("GET", "/stack"),
            ("POST", "/cancel"),
            ("POST", "/retry"),
        ):
            document = problem(await ingest.http.request(method, path + more), 410, "erased")
            assert "was erased at 20" in document["detail"]
    [found] = (await ingest.get("/v1/jobs", q=""))["items"]
    assert (found["id"], found["state"], found["reason"], found["tags"]) == (past.id, "succeeded", "erased", None)


async def test_the_history_of_another_tenant_is_not_shown(ingest, history_url):
    """A job of another tenant is not read from the history."""
    job = past_job()
    await store_at(history_url, replace(QUEUE, tenant="acme"), job, events_of(job, SUCCESS, at_ms=NOW_MS))
    problem(await ingest.http.get(f"/v1/jobs/{job.id}"), 404, "job-not-found")


async def test_the_timeline_has_every_transition_and_every_attempt(ingest, history_url):
    """A timeline has every transition in order, and every attempt with its error and its lengths."""
    steps = [
        *SUCCESS[:2],
        (EventKind.RETRYING, "queued"),
        (EventKind.STARTED, "running"),
        (EventKind.SUCCEEDED, "succeeded"),
    ]
    error = JobError(type="shop.MailError", message="refused", traceback="  File x\n", attempt=1)
    job = past_job(version=5, error=error, trace_id="4bf92f3577b34da6a3ce929d0e0e4736")
    await store_at(history_url, QUEUE, job, events_of(job, steps, at_ms=NOW_MS))
    found = await ingest.get(f"/v1/jobs/{job.id}/timeline")
    assert [(item["version"], item["kind"], item["state"]) for item in found["items"]] == [
        (place + 1, kind.value, state) for place, (kind, state) in enumerate(steps)
    ]
    first, second = found["attempts"]
    assert (first["n"], first["outcome"], first["error"]["traceback"]) == (1, "retrying", "  File x\n")
    assert (first["waited_ms"], first["ran_ms"], first["trace_id"]) == (1000, 1000, job.trace_id)
    assert (second["n"], second["outcome"], second["error"]) == (2, "succeeded", None)
    assert found["complete"] is True


async def test_the_timeline_has_the_log_lines_that_are_asked_for(ingest, history_url):
    """With `logs=1` an attempt has its last lines, and how many are missing before them; without it none."""
    job = past_job(version=3)
    submitted, started, ended = events_of(job, [*SUCCESS[:2], (EventKind.SUCCEEDED, "succeeded")], at_ms=NOW_MS)
    kept = KeptLines(4, [KeptLine(NOW_MS, "info", "sent", {"to": "ann"})])
    ended = replace(ended, jobs=[replace(ended.jobs[0], log_lines=kept)])
    await store_at(history_url, QUEUE, job, [submitted, started, ended])
    [attempt] = (await ingest.get(f"/v1/jobs/{job.id}/timeline", logs="1"))["attempts"]
    [line] = attempt["logs"]
    assert (line["level"], line["message"], line["fields"]) == ("info", "sent", {"to": "ann"})
    assert attempt["logs_left_out"] == 4
    assert (await ingest.get(f"/v1/jobs/{job.id}/timeline"))["attempts"][0]["logs"] is None
    problem(await ingest.http.get(f"/v1/jobs/{job.id}/timeline?logs=yes"), 400, "bad-request")


async def test_the_timeline_of_a_live_job_ends_with_its_present_state(ingest, broker, queue):
    """A timeline ends with the present state of the job, also before the history has it."""
    delivery = await seed_running(broker, queue)
    found = await ingest.get(f"/v1/jobs/{delivery.id}/timeline")
    assert [item["kind"] for item in found["items"]] == ["started"]
    assert [(one["n"], one["outcome"]) for one in found["attempts"]] == [(1, "running")]
    assert found["complete"] is False


async def test_without_a_history_its_routes_say_how_to_get_one(settings, broker, queue):
    """Without a database a timeline is refused with the remedy, and a forgotten job is not found."""
    async with running_ingest(settings) as ingest:
        job = await ingest.submit()
        document = problem(await ingest.http.get(f"/v1/jobs/{job['id']}/timeline"), 422, "no-history")
        assert "MILLSTREAM_HISTORY_URL" in document["detail"]
        problem(await ingest.http.get(f"/v1/jobs/{past_job().id}"), 404, "job-not-found")
        await commit(broker, await take_one(broker, queue))
        assert (await ingest.get(f"/v1/jobs/{job['id']}"))["state"] == "succeeded"
