"""The span `send` lasts as long as the storing of its job, and only a stored job has one."""

import time

import pytest
from ingest.serving import problem, spans
from opentelemetry.trace import StatusCode

from millstream_streams import Durability, StoreUnavailableError
from millstream_streams.store import job_store

ONE = {"type": "email.send"}


def sends(exporter):
    """Return the `send` spans in the order in which they ended."""
    return [span for span in exporter.get_finished_spans() if span.name.startswith("send ")]


@pytest.fixture(params=["single", "batch"])
def post(traced, request):
    """Return a function that submits a job, alone or as a batch of one."""

    async def submit(**headers):
        if request.param == "single":
            return await traced.http.post("/v1/jobs", json=ONE, headers=headers)
        return await traced.http.post("/v1/jobs/batch", json={"jobs": [ONE]}, headers=headers)

    return submit


async def test_send_lasts_as_long_as_the_storing(traced, post, exporter, monkeypatch):
    """The span `send` begins before Redis is called and ends after its answer."""
    store, called = traced.services.broker.store, []
    enqueue = store.enqueue

    async def timed(*args, **options):
        called.append(time.time_ns())
        answers = await enqueue(*args, **options)
        called.append(time.time_ns())
        return answers

    monkeypatch.setattr(store, "enqueue", timed)
    await post()
    (send,) = sends(exporter)
    assert send.start_time <= called[0] <= called[1] <= send.end_time


async def test_refused_submission_leaves_the_request_alone_in_its_trace(traced, post, exporter, monkeypatch):
    """A submission that is refused with 503 has the span of its request and no `send`."""

    async def refuse(*_, **__):
        raise StoreUnavailableError("away")

    monkeypatch.setattr(traced.services.broker.store, "enqueue", refuse)
    problem(await post(), 503, "store-unreachable")
    (request,) = exporter.get_finished_spans()
    assert (request.status.status_code, request.attributes["error.type"]) == (StatusCode.ERROR, "503")


async def test_replay_makes_no_second_span(traced, post, exporter):
    """A replay makes no `send`, because its job was stored by the first request."""
    for _ in range(2):
        assert (await post(**{"idempotency-key": "k1"})).is_success
    assert len(sends(exporter)) == 1


async def test_job_that_was_stored_by_a_call_without_an_answer_has_its_span(traced, post, exporter, monkeypatch):
    """A job that Redis stored by a call whose answer was lost has one `send`."""
    store = traced.services.broker.store
    enqueue = store.enqueue

    async def twice(*args, **options):
        await enqueue(*args, **options)
        return await enqueue(*args, **options)

    monkeypatch.setattr(store, "enqueue", twice)
    assert (await post()).is_success
    assert len(sends(exporter)) == 1


async def test_send_of_a_stored_job_that_was_not_confirmed_is_an_error(traced, post, exporter, monkeypatch):
    """The `send` of a job that is stored and answered with 503 exists and is an error, and a replay adds none."""
    monkeypatch.setitem(job_store._CONFIRMATIONS, Durability.REPLICATED, ("WAIT", 1, 50))
    headers = {"prefer": "durability=replicated", "idempotency-key": "k1"}
    for _ in range(2):  # the second one is a replay of the first
        problem(await post(**headers), 503, "not-durable")
    (send,) = sends(exporter)
    assert send.status.status_code is StatusCode.ERROR
    assert send.attributes["error.type"].endswith("NotDurableError")
    (job,) = (await traced.get("/v1/jobs"))["items"]
    assert send.attributes["messaging.message.id"] == job["id"]


async def test_only_the_stored_items_of_a_batch_have_spans(traced, exporter):
    """Only the stored items of a batch have a `send`."""
    response = await traced.http.post("/v1/jobs/batch", json={"jobs": [ONE, {"type": "no type"}, ONE]})
    stored = [item["id"] for item in response.json()["items"] if item["status"] == 202]
    assert [span.attributes["messaging.message.id"] for span in sends(exporter)] == stored
    assert len(stored) == 2
    assert spans(exporter)["POST /v1/jobs/batch"].attributes["messaging.batch.message_count"] == 3
