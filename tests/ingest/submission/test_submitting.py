"""A submission over HTTP is answered with the job that is stored."""

from datetime import UTC, datetime, timedelta

import anyio
import msgspec
import pytest
from ingest.serving import JSON, MSGPACK, packed, problem, unpacked

from millstream_contracts import (
    DEFAULT_TENANT,
    Callback,
    JobEvent,
    JobSpec,
    JobState,
    JobType,
    TypePolicy,
    TypeRegistration,
)
from millstream_streams import Durability
from millstream_streams.store import job_store

PAYLOAD = {"to": "ada@example.org", "copies": 2, "ratio": 0.5, "tags": ["ä", None, True]}


async def test_submission_is_answered_with_the_job_that_is_stored(ingest):
    """The response 202 means that the job is stored, and shows it as a read does."""
    response = await ingest.http.post("/v1/jobs", json={"type": "email.send", "payload": PAYLOAD})
    assert response.status_code == 202
    job = response.json()
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert job["state"] == "queued"
    assert job["payload"] == PAYLOAD
    assert await ingest.get(response.headers["location"]) == job


async def test_submission_in_messagepack_is_answered_in_messagepack(ingest):
    """Without `Accept` the response has the encoding of the request, with times as text."""
    body = packed({"type": "email.send", "payload": PAYLOAD})
    response = await ingest.http.post(
        "/v1/jobs", content=body, headers={"content-type": "application/msgpack", "accept": ""}
    )
    assert response.status_code == 202
    job = unpacked(response)
    assert job["payload"] == PAYLOAD
    assert datetime.fromisoformat(job["created_at"]).tzinfo is not None


@pytest.mark.parametrize(("sent", "accepted"), [(JSON, MSGPACK), (MSGPACK, JSON)])
async def test_accept_decides_over_the_encoding_of_the_answer(ingest, sent, accepted):
    """`Accept` decides the encoding of the response, and caches keep answers apart by it and by the mask of secrets."""
    value = {"type": "email.send", "payload": PAYLOAD}
    content = packed(value) if sent == MSGPACK else b'{"type":"email.send","payload":{"to":"ada@example.org"}}'
    response = await ingest.http.post("/v1/jobs", content=content, headers={"content-type": sent, "accept": accepted})
    assert response.headers["content-type"] == accepted
    assert response.headers["vary"] == "Accept, Millstream-Secrets"


async def test_payload_is_stored_as_messagepack_whatever_it_came_in(ingest, broker, queue):
    """A payload of either encoding is stored as MessagePack."""
    by_json = await ingest.submit(payload=PAYLOAD)
    response = await ingest.http.post(
        "/v1/jobs", content=packed({"type": "email.send", "payload": PAYLOAD}), headers={"content-type": MSGPACK}
    )
    for job_id in (by_json["id"], unpacked(response)["id"]):
        raw = await broker.client.hget(broker.keys.of(queue).job(job_id), "spec")
        spec = msgspec.msgpack.decode(raw, type=JobSpec)
        assert msgspec.msgpack.decode(spec.payload) == PAYLOAD


async def test_missing_payload_is_null(ingest):
    """A missing payload is null."""
    response = await ingest.http.post("/v1/jobs", json={"type": "email.send"})
    assert (await ingest.get(response.headers["location"])).get("payload") is None


async def test_binary_payload_is_kept_and_shown_as_base64_in_json(ingest, broker, queue):
    """Bytes of a MessagePack payload are kept, and shown as base64 in JSON."""
    body = packed({"type": "email.send", "payload": {"data": b"\x00\xff"}})
    response = await ingest.http.post("/v1/jobs", content=body, headers={"content-type": MSGPACK, "accept": MSGPACK})
    job = unpacked(response)
    assert job["payload"] == {"data": b"\x00\xff"}
    assert (await ingest.get(f"/v1/jobs/{job['id']}"))["payload"] == {"data": "AP8="}
    stored = await broker.views.job(queue, job["id"])
    assert stored.payload == {"data": b"\x00\xff"}


async def test_options_are_stored_with_the_job(ingest, broker, queue):
    """The options of a submission are stored and shown."""
    job = await ingest.submit(
        priority="high",
        max_attempts=9,
        timeout_s=2.5,
        backoff={"kind": "constant", "base_s": 3},
        tags={"order": "4711"},
        expires_in_s=60,
    )
    assert await ingest.get(f"/v1/jobs/{job['id']}") == job
    assert (job["priority"], job["max_attempts"], job["timeout_s"], job["tags"]) == ("high", 9, 2.5, {"order": "4711"})
    claim = await broker.store.claim(queue, consumer="w", nonce="n", limit=1)
    assert claim.deliveries[0].spec.backoff.base_s == 3


async def test_callback_is_noted_with_the_job(ingest, broker, queue):
    """The callback of a submission is stored with its job, alone or in a batch, and its queue is noted before."""
    callback = {"url": "https://a.example/ü b", "events": ["dead", "dead"]}
    job = await ingest.submit(callback=callback)
    batch = await ingest.http.post("/v1/jobs/batch", json={"jobs": [{"type": "email.send", "callback": callback}]})
    ids = [job["id"], batch.json()["items"][0]["id"]]
    found = await broker.callbacks.of(queue, [*ids, "email.send_none"])
    assert found == dict.fromkeys(ids, Callback("https://a.example/ü%20b", [JobEvent.DEAD]))
    assert list(await broker.registry.callback_queues()) == [queue]


async def test_repetition_of_a_submission_has_one_callback(ingest, broker, queue):
    """A submission that is repeated with its key notes the callback once, for the job that there is."""
    ids = {
        (await ingest.submit(callback={"url": "https://a.example/"}, headers={"idempotency-key": "k"}))["id"]
        for _ in range(2)
    }
    assert len(ids) == 1
    assert await broker.client.hlen(broker.keys.of(queue).callbacks) == 1


async def test_delayed_job_waits_for_its_time(ingest, broker, queue):
    """`delay_s` and `run_at` schedule a job, and the response and a read show its time."""
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    delayed = await ingest.submit(delay_s=3600, expires_in_s=7200)
    planned = await ingest.submit(run_at=at.isoformat(), expires_at=(at + timedelta(hours=1)).isoformat())
    for job in (delayed, planned):
        assert job["state"] == "scheduled"
        assert await ingest.get(f"/v1/jobs/{job['id']}") == job
    assert datetime.fromisoformat(planned["run_at"]) == at
    assert (await broker.store.measure(queue)).scheduled == 2


async def test_time_that_is_past_makes_a_job_ready_at_once(ingest):
    """A `run_at` in the past makes a job ready at once."""
    past = (datetime.now(UTC) - timedelta(seconds=5)).isoformat()
    assert (await ingest.submit(run_at=past))["state"] == "queued"
    assert (await ingest.submit(delay_s=0))["state"] == "queued"


async def test_first_job_of_a_queue_makes_the_queue_known(ingest, broker, queue):
    """The first job of a queue registers the queue."""
    await ingest.submit()
    assert await broker.registry.queues() == [queue]


async def test_jobs_of_a_type_spread_over_its_partitions(ingest, broker):
    """The jobs of a type are spread over its partitions."""
    registration = TypeRegistration(type=JobType("hot.type"), policy=TypePolicy(partitions=4))
    await broker.registry.add_types(DEFAULT_TENANT, [registration])
    ids = [(await ingest.submit("hot.type"))["id"] for _ in range(64)]
    assert {job_id.split("_")[1][:2] for job_id in ids} == {"00", "01", "02", "03"}
    for job_id in ids[:8]:
        assert (await ingest.get(f"/v1/jobs/{job_id}"))["state"] == JobState.QUEUED


async def test_submission_that_cannot_be_made_durable_says_so_and_makes_one_job(ingest, monkeypatch):
    """Without a replica a replicated submission is answered with 503, and its repetition by key makes no second job."""
    monkeypatch.setitem(job_store._CONFIRMATIONS, Durability.REPLICATED, ("WAIT", 1, 50))
    headers = {"prefer": "durability=replicated", "idempotency-key": "k1"}
    for _ in range(2):
        response = await ingest.http.post("/v1/jobs", json={"type": "email.send"}, headers=headers)
        problem(response, 503, "not-durable")
        assert "retry-after" in response.headers
    batch = await ingest.http.post("/v1/jobs/batch", json={"jobs": [{"type": "email.send"}]}, headers=headers)
    problem(batch, 503, "not-durable")
    assert len((await ingest.get("/v1/jobs"))["items"]) == 2


async def test_concurrent_requests_share_calls_to_redis(ingest, broker, queue):
    """Concurrent requests share calls to Redis."""
    count = 100

    async def submit() -> None:
        await ingest.submit()

    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(submit)
    calls = ingest.services.registry.get_sample_value("millstream_enqueue_seconds_count", {"outcome": "ok"})
    stored = ingest.services.registry.get_sample_value("millstream_enqueue_batch_size_sum")
    assert stored == count
    assert calls < count / 2
    assert sum((await broker.store.measure(queue)).queued) == count
