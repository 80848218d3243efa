"""Without Redis, or with a full one, ingest answers 503 soon, accepts nothing, and recovers by itself."""

import os
import signal
import time

import anyio
import pytest
from ingest.serving import problem, running_ingest
from msgspec.structs import replace
from waiting import wait_until

from millstream_streams import open_broker

JOB_ID = "email.send_0001JD3YQ8Z7M4T6V0RXKBN5C2WA"

REQUESTS = [
    ("POST", "/v1/jobs", {"type": "email.send"}),
    ("POST", "/v1/jobs/", {"type": "email.send"}),
    ("POST", "/v1/jobs/batch", {"jobs": [{"type": "email.send"}, {"type": "sms.send"}]}),
    ("GET", "/v1/jobs", None),
    ("GET", f"/v1/jobs/{JOB_ID}", None),
    ("GET", f"/v1/jobs/{JOB_ID}?wait=5", None),
    ("POST", f"/v1/jobs/{JOB_ID}/cancel", None),
    ("POST", f"/v1/jobs/{JOB_ID}/retry", None),
    ("GET", "/v1/dead", None),
    ("POST", "/v1/dead/redrive", {"ids": [JOB_ID]}),
    ("POST", "/v1/dead/discard", {"type": "email.send"}),
    ("GET", "/v1/queues", None),
    ("GET", "/v1/queues/email.send", None),
    ("GET", "/v1/types", None),
    ("GET", "/v1/types/email.send", None),
    ("GET", "/v1/workers", None),
]


@pytest.fixture
async def ingest(own_redis, settings):
    """Yield an ingest on a Redis that the test may break."""
    async with running_ingest(replace(settings, redis_url=own_redis.url)) as running:
        yield running


def refused(response) -> None:
    """Check that a refusal asks the client to come back."""
    assert "127.0.0.1" not in problem(response, 503, "store-unreachable").get("detail", "")
    assert 1 <= int(response.headers["retry-after"]) <= 3


async def test_every_route_says_503_while_redis_is_away(ingest, own_redis):
    """Every route answers 503 with `Retry-After` while Redis is away, and probes and pages are still served."""
    await ingest.submit()
    own_redis.close()
    for method, path, body in REQUESTS:
        refused(await ingest.http.request(method, path, json=body))
    await wait_until(lambda: is_unready(ingest), "readiness fails")
    for path in ("/livez", "/openapi.json", "/docs", "/metrics", "/problems/store-unreachable"):
        assert (await ingest.http.get(path)).status_code == 200


@pytest.mark.parametrize("is_silent", [False, True], ids=["away", "silent"])
async def test_the_system_is_shown_while_redis_is_away(ingest, own_redis, is_silent):
    """What is known of the system is answered while Redis is away or silent, and says so."""
    if is_silent:
        os.kill(own_redis.pid, signal.SIGSTOP)
    else:
        own_redis.close()
    try:
        found = await ingest.get("/v1/system")
    finally:
        if is_silent:
            os.kill(own_redis.pid, signal.SIGCONT)
    assert (found["redis"], found["processes"]) == (None, [])
    assert [one["status"] for one in found["checks"] if one["name"] == "redis"] == ["bad"]
    assert any("heartbeats" in one["detail"] for one in found["checks"])


async def is_unready(ingest) -> bool:
    """Whether the readiness probe fails."""
    return (await ingest.http.get("/readyz")).status_code == 503


async def test_submissions_are_accepted_again_once_redis_is_back(ingest, own_redis):
    """Submissions are answered with 503 while Redis is frozen, and accepted again when it is back."""
    os.kill(own_redis.pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        refused(await ingest.http.post("/v1/jobs", json={"type": "email.send"}))
        # Far below the 5 s that a connection to a silent Redis would hold the request.
        assert time.monotonic() - begun < 4.0
    finally:
        os.kill(own_redis.pid, signal.SIGCONT)

    async def is_accepted() -> bool:
        return (await ingest.http.post("/v1/jobs", json={"type": "email.send"})).status_code == 202

    await wait_until(is_accepted, "a submission is accepted")


async def test_full_redis_refuses_submissions_and_lets_jobs_be_discarded(ingest, own_redis, settings):
    """A full Redis refuses submissions and lets jobs be discarded."""
    job = await ingest.submit()
    async with open_broker(own_redis.url) as broker:
        await broker.client.config_set("maxmemory", "1")
    response = await ingest.http.post("/v1/jobs", json={"type": "email.send"})
    problem(response, 503, "store-full")
    assert "retry-after" in response.headers
    batch = await ingest.http.post("/v1/jobs/batch", json={"jobs": [{"type": "email.send"}] * 3})
    problem(batch, 503, "store-full")
    assert (await ingest.get(f"/v1/jobs/{job['id']}"))["state"] == "queued"
    async with open_broker(own_redis.url) as broker:
        await broker.client.config_set("maxmemory", "0")
    await ingest.submit()


async def test_accepted_job_is_not_refused_because_redis_went_away_while_its_client_waited(ingest, own_redis):
    """A stored job is answered as accepted, though Redis went away while its client waited."""
    answers = []

    async def submit() -> None:
        headers = {"prefer": "wait=30"}
        answers.append(await ingest.http.post("/v1/jobs", json={"type": "email.send"}, headers=headers))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(submit)
        await wait_until(lambda: ingest.services.waiter.waiting == 1, "the request waits")
        own_redis.close()
    assert answers[0].status_code == 202
    assert answers[0].json()["state"] == "queued"


async def test_lost_scripts_are_loaded_again(ingest, own_redis):
    """Scripts that Redis lost are loaded again, and requests succeed."""
    await ingest.submit()
    async with open_broker(own_redis.url) as broker:
        await broker.client.script_flush()
    await ingest.submit()


async def test_submission_that_failed_is_counted_and_logged_without_its_payload(ingest, own_redis, capsys):
    """A failed submission is counted, and logged in one line without its payload."""
    own_redis.close()
    body = {"type": "email.send", "payload": "canary-4711"}
    refused(await ingest.http.post("/v1/jobs", json=body))
    value = ingest.services.registry.get_sample_value(
        "millstream_jobs_submitted_total", {"type": "_other", "outcome": "unavailable"}
    )
    assert value == 1
    logged = capsys.readouterr()
    assert "request refused" in logged.out + logged.err
    assert "canary" not in logged.out + logged.err
