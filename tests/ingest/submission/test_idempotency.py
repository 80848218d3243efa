"""A repeated request with the same idempotency key makes no second job."""

import json
import os
import subprocess
import sys

import pytest
from ingest.serving import JSON, MSGPACK, packed, problem, unpacked
from streams.seeds import commit, take_one

from millstream_contracts import DEFAULT_TENANT, JobType, TypePolicy, TypeRegistration
from millstream_ingest.submission.idempotency import parse_key
from millstream_submission import JSON as JSON_CODEC
from millstream_submission import decode_submission

BODY = {"type": "email.send", "payload": {"to": "a", "n": 1}, "priority": "high"}


async def post(ingest, body=None, key="k1", **headers):
    """Submit with a key."""
    return await ingest.http.post("/v1/jobs", json=body or BODY, headers={"idempotency-key": key, **headers})


async def test_repetition_returns_the_same_job_and_says_so(ingest, broker, queue):
    """A repetition returns the first job and says so, however often it is sent."""
    first = await post(ingest)
    again = await post(ingest)
    assert first.status_code == again.status_code == 202
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert (await broker.store.measure(queue)).queued == (1, 0, 0)


async def test_repetition_shows_the_job_as_it_is_now(ingest, broker, queue):
    """A repetition shows the present state of the job."""
    await post(ingest)
    await commit(broker, await take_one(broker, queue))
    assert (await post(ingest)).json()["state"] == "succeeded"


@pytest.mark.parametrize(
    "content",
    [
        b'{ "payload" : {"n":1,"to":"a"},\n"priority":"high", "type":"email.send"}',
        b'{"type":"email.send","payload":{"to":"\\u0061","n":1},"priority":"high","delay_s":null}',
    ],
)
async def test_layout_of_the_body_makes_no_difference(ingest, content):
    """The layout of the JSON makes no difference to the fingerprint of a request."""
    first = await post(ingest)
    again = await ingest.http.post("/v1/jobs", content=content, headers={"content-type": JSON, "idempotency-key": "k1"})
    assert again.json()["id"] == first.json()["id"]


async def test_encoding_of_the_body_makes_no_difference(ingest):
    """The encoding of the body makes no difference to the fingerprint of a request."""
    first = await post(ingest)
    again = await ingest.http.post(
        "/v1/jobs", content=packed(BODY), headers={"content-type": MSGPACK, "idempotency-key": "k1"}
    )
    assert unpacked(again)["id"] == first.json()["id"]


@pytest.mark.parametrize("change", [{"payload": {"to": "b", "n": 1}}, {"priority": "low"}, {"max_attempts": 2}])
async def test_key_with_another_body_is_refused(ingest, broker, queue, change):
    """A known key with another body is refused."""
    await post(ingest)
    problem(await post(ingest, BODY | change), 422, "idempotency-key-reused")
    assert sum((await broker.store.measure(queue)).queued) == 1


async def test_quoted_key_is_the_key_without_its_quotes(ingest):
    """A quoted key, as the draft standard writes it, equals the key without quotes."""
    first = await post(ingest, key="order-1")
    assert (await post(ingest, key='"order-1"')).json()["id"] == first.json()["id"]


async def test_same_key_for_another_type_is_another_request(ingest):
    """Keys are scoped to tenant and type."""
    first = await post(ingest)
    other = await post(ingest, {"type": "sms.send"})
    assert other.status_code == 202
    assert other.json()["id"] != first.json()["id"]


async def test_repetition_after_the_job_was_forgotten_names_it(ingest, broker, queue):
    """A repetition after its job was removed is answered with 410 and the id, and runs nothing again."""
    job_id = (await post(ingest)).json()["id"]
    await commit(broker, await take_one(broker, queue), ttl_ms=1)
    await broker.client.delete(broker.keys.of(queue).job(job_id))
    assert job_id in problem(await post(ingest), 410, "job-forgotten")["detail"]


async def test_repetition_finds_its_partition(ingest, broker):
    """A job with a key goes to the partition that the key determines, where its record is."""
    registration = TypeRegistration(type=JobType("hot.type"), policy=TypePolicy(partitions=16))
    await broker.registry.add_types(DEFAULT_TENANT, [registration])
    first = {key: (await post(ingest, {"type": "hot.type"}, key)).json()["id"] for key in map(str, range(20))}
    again = {key: (await post(ingest, {"type": "hot.type"}, key)).json()["id"] for key in map(str, range(20))}
    assert again == first
    assert len({job_id.split("_")[1][:2] for job_id in first.values()}) > 4


async def test_batch_is_repeated_item_by_item(ingest, broker, queue):
    """Each item of a repeated batch is stored or found by itself."""
    jobs = [{"type": "email.send", "payload": n} for n in range(3)]
    headers = {"idempotency-key": "import-1"}
    part = await ingest.http.post("/v1/jobs/batch", json={"jobs": jobs[:2]}, headers=headers)
    whole = await ingest.http.post("/v1/jobs/batch", json={"jobs": jobs}, headers=headers)
    assert [item.get("replayed", False) for item in whole.json()["items"]] == [True, True, False]
    assert [item["id"] for item in whole.json()["items"][:2]] == [item["id"] for item in part.json()["items"]]
    assert "idempotency-replayed" not in whole.headers
    again = await ingest.http.post("/v1/jobs/batch", json={"jobs": jobs}, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert sum((await broker.store.measure(queue)).queued) == 3


async def test_item_of_a_repeated_batch_that_has_changed_is_refused(ingest):
    """A changed item of a repeated batch is refused by itself."""
    headers = {"idempotency-key": "import-1"}
    jobs = [{"type": "email.send", "payload": n} for n in range(2)]
    await ingest.http.post("/v1/jobs/batch", json={"jobs": jobs}, headers=headers)
    jobs[1]["payload"] = 7
    receipt = (await ingest.http.post("/v1/jobs/batch", json={"jobs": jobs}, headers=headers)).json()
    assert (receipt["accepted"], receipt["rejected"]) == (1, 1)
    assert receipt["items"][1]["problem"]["type"] == "/problems/idempotency-key-reused"


async def test_batch_and_single_submission_do_not_share_keys(ingest):
    """The key `k#0` of a single submission is not that of item 0 of a batch with key `k`."""
    await ingest.http.post("/v1/jobs/batch", json={"jobs": [BODY]}, headers={"idempotency-key": "k"})
    problem(await post(ingest, key="k#0"), 422, "idempotency-key-reused")


def test_key_is_digested_per_tenant():
    """A key is digested with its tenant, and its text is not stored in Redis."""
    keys = [parse_key(tenant, ["k"], "POST /v1/jobs") for tenant in ("a", "b")]
    decoded = decode_submission(json.dumps(BODY).encode(), JSON_CODEC)
    digests = {key.of(decoded).key for key in keys}
    assert len(digests) == 2
    assert all(len(digest) == 16 for digest in digests)


# What earlier releases have stored under these names is compared with what this one makes.
GOLDEN = ["3955591870", "3030541711", "ebc58abeac8244c58e9e5f0038b1c188", "3311450b131852acb3ddc2feeb2c8f2e"]
SCRIPT = """
from millstream_submission import JSON, decode_submission
from millstream_ingest.submission.idempotency import parse_key
key = parse_key("default", ["order-4711"], "POST /v1/jobs")
decoded = decode_submission(b'{"type": "email.send", "payload": {"b": 1, "a": [2]}}', JSON)
stored, item = key.of(decoded), key.item(1).of(decoded)
print(stored.partition_seed, item.partition_seed, stored.key.hex(), stored.fingerprint)
"""


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_every_replica_and_every_release_makes_the_same_of_a_key(hash_seed):
    """Every replica and release derives the same partition and fingerprint from a key."""
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == GOLDEN
