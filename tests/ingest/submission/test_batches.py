"""A batch submits many jobs in one request, each for itself or all or nothing."""

import json

import anyio
import pytest
from anyio.lowlevel import checkpoint
from ingest.serving import DOORS, JSON, MSGPACK, packed, pointers, problem, running_ingest, unpacked
from msgspec.structs import replace

from millstream_contracts import DEFAULT_TENANT, JobType, Queue, limits
from millstream_ingest.submission.batch import BREATHE_EVERY, BREATHE_EVERY_BYTES
from millstream_streams import StoreUnavailableError

GOOD = {"type": "email.send", "payload": 1}
BAD = {"type": "email.send", "priority": "urgent"}


@pytest.fixture
def door() -> str:
    """Return the router, which alone takes batches."""
    return DOORS[0]


async def post(ingest, jobs, **headers):
    """Submit a batch in JSON."""
    return await ingest.http.post("/v1/jobs/batch", json={"jobs": jobs}, headers=headers)


async def test_receipt_has_every_item_in_the_order_of_the_request(ingest, broker):
    """The receipt lists every item in the order of the request, whatever queue it went to."""
    jobs = [{"type": f"type.{n % 3}", "payload": n} for n in range(250)]
    response = await post(ingest, jobs)
    assert response.status_code == 207
    receipt = response.json()
    assert (receipt["accepted"], receipt["rejected"]) == (250, 0)
    assert [item["index"] for item in receipt["items"]] == list(range(250))
    for n in (0, 1, 2, 249):
        job = await ingest.get(f"/v1/jobs/{receipt['items'][n]['id']}")
        assert (job["type"], job["payload"]) == (f"type.{n % 3}", n)


async def test_bad_item_does_not_spoil_the_others(ingest, broker, queue):
    """A bad item is refused, and the others are accepted."""
    receipt = (await post(ingest, [GOOD, BAD, GOOD])).json()
    assert [item["status"] for item in receipt["items"]] == [202, 422, 202]
    assert (receipt["accepted"], receipt["rejected"]) == (2, 1)
    assert pointers(receipt["items"][1]["problem"]) == ["/jobs/1/priority"]
    assert sum((await broker.store.measure(queue)).queued) == 2


async def test_strict_batch_with_a_bad_item_stores_nothing(ingest, broker, queue):
    """A strict batch with a bad item stores nothing."""
    document = problem(await post(ingest, [GOOD, BAD, GOOD, {}], prefer="handling=strict"), 422, "invalid-request")
    assert pointers(document) == ["/jobs/1/priority", "/jobs/3/type"]
    assert await broker.registry.queues() == []


async def test_strict_batch_names_at_most_fifty_errors(ingest):
    """The refusal of a strict batch has the number of bad items and lists at most fifty."""
    document = problem(await post(ingest, [BAD] * 60, prefer="handling=strict"), 422, "invalid-request")
    assert pointers(document) == [f"/jobs/{n}/priority" for n in range(50)]
    assert document["detail"].startswith("60 of 60 jobs are refused")


async def test_strict_batch_of_good_items_is_stored(ingest, broker, queue):
    """A strict batch is stored whole, and the response says that the preference was applied."""
    response = await post(ingest, [GOOD, GOOD], prefer="handling=strict")
    assert response.status_code == 207
    assert response.headers["preference-applied"] == "handling=strict"
    assert sum((await broker.store.measure(queue)).queued) == 2


async def test_batch_in_messagepack_is_answered_in_messagepack(ingest):
    """A batch in MessagePack is answered in MessagePack."""
    response = await ingest.http.post(
        "/v1/jobs/batch", content=packed({"jobs": [GOOD, BAD]}), headers={"content-type": MSGPACK}
    )
    assert response.status_code == 207
    assert [item["status"] for item in unpacked(response)["items"]] == [202, 422]


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("application/x-ndjson", b"\n".join(json.dumps(job).encode() for job in (GOOD, BAD, GOOD))),
        ("application/vnd.msgpack-seq", b"".join(map(packed, (GOOD, BAD, GOOD)))),
    ],
)
async def test_sequence_is_a_batch(ingest, content_type, content):
    """A sequence of jobs without a list around them is a batch."""
    headers = {"content-type": content_type, "accept": JSON}
    response = await ingest.http.post("/v1/jobs/batch", content=content, headers=headers)
    assert [item["status"] for item in response.json()["items"]] == [202, 422, 202]
    assert pointers(response.json()["items"][1]["problem"]) == ["/1/priority"]


async def test_largest_batch_is_stored(ingest, broker, queue):
    """A batch of ten thousand jobs is stored, a hundred per call."""
    content = packed({"jobs": [GOOD] * limits.MAX_BATCH_JOBS})
    response = await ingest.http.post("/v1/jobs/batch", content=content, headers={"content-type": MSGPACK})
    assert unpacked(response)["accepted"] == limits.MAX_BATCH_JOBS
    assert sum((await broker.store.measure(queue)).queued) == limits.MAX_BATCH_JOBS
    largest = ingest.services.registry.get_sample_value("millstream_enqueue_batch_size_count")
    assert largest >= limits.MAX_BATCH_JOBS / limits.MAX_SCRIPT_JOBS


async def test_others_are_answered_while_a_batch_is_checked(ingest):
    """Other requests are answered while a large batch is checked, which yields every hundred items."""
    order = []

    async def submit_many() -> None:
        content = packed({"jobs": [GOOD] * 5_000})
        await ingest.http.post("/v1/jobs/batch", content=content, headers={"content-type": MSGPACK})
        order.append("batch")

    async def probe() -> None:
        await ingest.http.get("/livez")
        order.append("probe")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(submit_many)
        tasks.start_soon(probe)
    assert order == ["probe", "batch"]


@pytest.mark.parametrize(
    ("count", "size_bytes", "pauses"),
    [
        (20, BREATHE_EVERY_BYTES * 5 // 8, 10),
        (20, 2 * BREATHE_EVERY_BYTES, 20),
        # As many while they are checked, one fewer while they are stored: that is counted from their end.
        (BREATHE_EVERY + 1, 10, 2 + 1),
    ],
    ids=["some bytes each", "many bytes each", "many items"],
)
async def test_batch_gives_way_after_so_many_bytes_or_items(ingest, monkeypatch, count, size_bytes, pauses):
    """Ten large items take as long as a thousand small ones: others wait for neither."""
    paused = []

    async def pause() -> None:
        paused.append(True)
        await checkpoint()

    monkeypatch.setattr("millstream_ingest.submission.batch.checkpoint", pause)
    response = await post(ingest, [{"type": "email.send", "payload": "x" * size_bytes}] * count)
    assert response.json()["accepted"] == count
    assert len(paused) == pauses


async def test_redis_that_fails_in_the_middle_fails_only_some_items(ingest, broker, queue, monkeypatch):
    """When Redis fails in the middle of a batch, the receipt says which items were stored."""
    store = ingest.services.broker.store
    enqueue = store.enqueue

    async def failing(target, jobs, durability, **options):
        if target == queue:
            raise StoreUnavailableError("away")
        return await enqueue(target, jobs, durability, **options)

    monkeypatch.setattr(store, "enqueue", failing)
    response = await post(ingest, [GOOD, {"type": "sms.send"}])
    assert response.status_code == 207
    assert [item["status"] for item in response.json()["items"]] == [503, 202]
    assert response.json()["items"][0]["problem"]["type"] == "/problems/store-unreachable"
    problem(await post(ingest, [GOOD, GOOD]), 503, "store-unreachable")
    assert sum((await broker.store.measure(Queue(DEFAULT_TENANT, JobType("sms.send")))).queued) == 1


async def test_load_that_finds_the_backlog_full_fails_only_its_own_items(broker, settings, queue):
    """Items beyond the backlog limit are refused one by one, and the others are stored."""
    async with running_ingest(replace(settings, max_backlog_jobs=2)) as ingest:
        response = await post(ingest, [GOOD, {"type": "sms.send"}, {"type": "sms.send"}, GOOD])
        assert response.status_code == 207, response.text
        receipt = response.json()
        assert [item["status"] for item in receipt["items"]] == [202, 503, 503, 202]
        assert (receipt["accepted"], receipt["rejected"]) == (2, 2)
        assert receipt["items"][1]["problem"]["type"] == "/problems/overloaded"
        assert sum((await broker.store.measure(queue)).queued) == 2
        counted = ingest.services.registry.get_sample_value
        assert counted("millstream_jobs_submitted_total", {"type": "_other", "outcome": "unavailable"}) == 2
        assert counted("millstream_jobs_submitted_total", {"type": "_other", "outcome": "accepted"}) == 2
