"""The log has each 5xx with its cause, and is not flooded by an outage."""

import time
from collections.abc import AsyncIterator

import pytest
from ingest.serving import Ingest, problem, running_ingest
from msgspec.structs import replace
from structlog.testing import capture_logs
from waiting import wait_until

from millstream_cli.embedded import EmbeddedRedis
from millstream_ingest.http import refusal_log
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import INTERNAL_ERROR, JOB_NOT_FOUND, OVERLOADED, STORE_FULL, STORE_UNREACHABLE
from millstream_ingest.http.refusal_log import RefusalLog
from millstream_ingest.settings import IngestSettings
from millstream_streams import StoreBusyError, StoreFullError, StoreUnavailableError, open_broker
from millstream_submission import deadline

BATCH = {"jobs": [{"type": "email.send"}, {"type": "sms.send"}]}


@pytest.fixture
async def ingest(own_redis: EmbeddedRedis, settings: IngestSettings) -> AsyncIterator[Ingest]:
    """Yield an ingest on a Redis that the test may break."""
    async with running_ingest(replace(settings, redis_url=own_redis.url)) as running:
        yield running


def refusals(lines: list[dict]) -> list[dict]:
    """Return the log lines about refused requests."""
    return [line for line in lines if line["event"] == "request refused"]


@pytest.mark.parametrize(
    ("method", "path", "body", "route"),
    [
        ("POST", "/v1/jobs", {"type": "email.send"}, "/v1/jobs"),
        ("POST", "/v1/jobs/batch", BATCH, "/v1/jobs/batch"),
        ("GET", "/v1/jobs/email.send_0001JD3YQ8Z7M4T6V0RXKBN5C2WA", None, "/v1/jobs/{job_id}"),
        ("GET", "/v1/workers", None, "/v1/workers"),
    ],
)
async def test_refusal_for_want_of_redis_is_logged_with_its_cause(ingest, own_redis, method, path, body, route):
    """One line names the problem, the dependency, its error and the route, through the fast path and the router."""
    own_redis.close()
    with capture_logs() as lines:
        problem(await ingest.http.request(method, path, json=body), 503, "store-unreachable")
    (line,) = refusals(lines)
    assert (line["problem"], line["dependency"], line["route"]) == ("store-unreachable", "redis", route)
    assert line["method"] == method
    assert "Redis" in line["error"]
    assert "\n" not in line["error"]


async def test_refusals_of_one_kind_are_counted_in_one_line(monkeypatch):
    """The first refusal of a kind is logged at once, and the others in one line with their number."""
    monkeypatch.setattr(refusal_log, "LOG_EVERY_S", 0.05)
    with capture_logs() as lines:
        log = RefusalLog()
        for _ in range(1000):
            log.note(StoreUnavailableError("gone"), IngestError(STORE_UNREACHABLE), method="GET", route="/v1/jobs")
        log.note(StoreFullError("full"), IngestError(STORE_FULL), method="POST", route="/v1/jobs")
        assert [line["requests"] for line in lines] == [1, 1]
        await wait_until(lambda: len(lines) == 3 and not log._kinds, "the others are logged, and the kinds forgotten")
        log.note(StoreUnavailableError("again"), IngestError(STORE_UNREACHABLE), method="GET", route="/v1/dead")
    assert [line["requests"] for line in lines] == [1, 1, 999, 1]
    assert lines[-1]["error"] == "again"


async def test_defects_are_logged_each_with_their_traceback():
    """Each 500 is logged with its own traceback, and no 4xx is logged."""
    with capture_logs() as lines:
        log = RefusalLog()
        for _ in range(2):
            log.note(KeyError("x"), IngestError(INTERNAL_ERROR), method="GET", route="/v1/jobs")
        log.note(IngestError(JOB_NOT_FOUND), IngestError(JOB_NOT_FOUND), method="GET", route="/v1/jobs")
    assert [(line["event"], line["status"]) for line in lines] == [("request crashed", 500)] * 2
    assert all(isinstance(line["exc_info"], KeyError) for line in lines)


async def test_busy_connections_are_ingest_s_overload_and_not_redis_away():
    """Busy connections are logged as overload, with Redis as the dependency that is waited for."""
    with capture_logs() as lines:
        error = StoreBusyError("all 16 connections to Redis are in use")
        RefusalLog().note(error, IngestError(OVERLOADED), method="GET", route="/v1/jobs")
    assert (lines[0]["problem"], lines[0]["dependency"]) == ("overloaded", "redis")


async def test_items_of_a_batch_that_are_refused_are_logged(ingest, own_redis):
    """A receipt holds their 503s; the log says why as for any other, and how many there were."""
    async with open_broker(own_redis.url) as broker:
        await ingest.submit("email.send")
        await broker.client.config_set("maxmemory", "1")
        with capture_logs() as lines:
            batch = {"jobs": [*[{"type": "email.send"}] * 3, {"type": "No Type"}]}
            assert (await ingest.http.post("/v1/jobs/batch", json=batch)).status_code == 207
        await broker.client.config_set("maxmemory", "0")
    (line,) = refusals(lines)
    assert (line["problem"], line["requests"]) == ("store-full", 3)


async def test_submission_is_accepted_when_the_event_loop_itself_was_late(ingest, monkeypatch):
    """A response of Redis that the late event loop has not read yet is read before the call counts as failed."""
    await ingest.submit()
    ingest.services.committer.answer_within_s = 0.1
    monkeypatch.setattr("millstream_submission.group_commit.CALL_S", 0.1)
    store, late = ingest.services.broker.store, list[bool]()
    enqueue = store.enqueue

    async def stall(*arguments, **options):
        if not late:
            late.append(True)
            time.sleep(0.3)  # noqa: ASYNC251 - what else this process does meanwhile
        return await enqueue(*arguments, **options)

    monkeypatch.setattr(store, "enqueue", stall)
    assert (await ingest.http.post("/v1/jobs", json={"type": "email.send"})).status_code == 202
    assert late
    assert deadline.READ_WITHIN_S < 0.1
