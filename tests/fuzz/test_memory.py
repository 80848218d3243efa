"""A request costs a bounded amount of memory: the peak of a real ingest process, as the kernel counts it."""

import sys
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from fuzz.garbage import HOSTILE_JSON, HOSTILE_MSGPACK, MB

from millstream_contracts import limits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process in /proc")

JSON, NDJSON = "application/json", "application/x-ndjson"
MSGPACK, SEQUENCE = "application/vnd.msgpack", "application/vnd.msgpack-seq"

BYTES_PER_VALUE = 128
"""More than any value of one byte takes once it is decoded: an empty dict has 64 bytes, 16 before it for the garbage
collector, 8 in the list that holds it, and the walk over all of them holds it in another list.
"""

ONE_BYTES = BYTES_PER_VALUE * limits.MAX_PAYLOAD_BYTES + 16 * limits.MAX_BODY_BYTES
"""The bound of a request with one job: its decoded payload, some copies of the body, and 16 MB that the allocator takes
in one piece. This is 48 times the largest body.
"""

COPIES = 6
"""The number of copies of a batch: as received, joined, cut into items, as it is stored, on its way to Redis, and in
the response. Only one item is decoded at a time.
"""

CONCURRENT = 4


def packed(payload: bytes) -> bytes:
    """Return a submission in MessagePack."""
    return b"\x82\xa4type\xa1a\xa7payload" + payload


def array(count: int, member: bytes) -> bytes:
    """Return a MessagePack array that has one member many times."""
    return b"\xdd" + count.to_bytes(4, "big") + member * count


FULL = limits.MAX_PAYLOAD_BYTES - 5
ONE = {
    "as many empty arrays as fit": ("/v1/jobs", MSGPACK, packed(array(FULL, b"\x90"))),
    "as many empty maps as fit": ("/v1/jobs", MSGPACK, packed(array(FULL, b"\x80"))),
    "as many empty objects as fit": ("/v1/jobs", JSON, b'{"type":"a","payload":[' + b"{}," * 87_000 + b"{}]}"),
    "as many numbers as fit": ("/v1/jobs", JSON, b'{"type":"a","payload":[' + b"0.1," * 65_000 + b"1]}"),
    "a MB of tags": ("/v1/jobs", JSON, b'{"type":"a","tags":{' + b'"aaaa":"",' * 100_000 + b'"b":""}}'),
    "a MB of different tags": (
        "/v1/jobs",
        MSGPACK,
        b"\x82\xa4type\xa1a\xa4tags\xdf"
        + (170_000).to_bytes(4, "big")
        + b"".join(
            b"\xa4"
            + bytes(
                97 + (at >> shift) % 16
                for shift in (
                    0,
                    4,
                    8,
                    12,
                )
            )
            + b"\xa0"
            for at in range(170_000)
        ),
    ),
    "a MB of ids": ("/v1/dead/redrive", MSGPACK, b"\x81\xa3ids" + array(MB // 3 - 20, b"\xa2ab")),
    "a MB of empty ids": ("/v1/dead/discard", MSGPACK, b"\x81\xa3ids" + array(MB - 20, b"\xa0")),
    **{f"{name}, MessagePack": ("/v1/jobs", MSGPACK, packed(data)) for name, data in HOSTILE_MSGPACK.items()},
    **{
        f"{name}, JSON": ("/v1/jobs", JSON, b'{"type":"a","payload":' + data + b"}")
        for name, data in HOSTILE_JSON.items()
    },
}

LARGEST = limits.MAX_BATCH_BODY_BYTES
BATCHES = {
    "payloads full of empty arrays": (MSGPACK, b"\x81\xa4jobs" + array(24, packed(array(FULL, b"\x90")))),
    "small payloads full of empty arrays": (MSGPACK, b"\x81\xa4jobs" + array(1_500, packed(array(3_200, b"\x90")))),
    "a sequence of payloads full of empty maps": (SEQUENCE, packed(array(FULL, b"\x80")) * 24),
    "lines full of empty objects": (NDJSON, (b'{"type":"a","payload":[' + b"{}," * 16_000 + b"{}]}\n") * 200),
    "one byte, 32 million times": (SEQUENCE, b"\x90" * LARGEST),
    "an array of 32 million": (MSGPACK, b"\x81\xa4jobs" + array(LARGEST - 20, b"\x90")),
    "arrays 32 million deep": (MSGPACK, b"\x91" * LARGEST),
    "a list of 16 million numbers": (JSON, b'{"jobs":[' + b"1," * (LARGEST // 2 - 20) + b"1]}"),
    "32 million empty lines": (NDJSON, b"\n" * LARGEST),
    "ten thousand refusals": (JSON, b'{"jobs":[' + b",".join([b'{"x":"' + b"y" * 3_200 + b'"}'] * 10_000) + b"]}"),
}


def growth_bytes(target, http, path: str, content_type: str, body: bytes) -> int:
    """Send a body and return by how much the peak exceeds the memory before."""
    before = target.forget_peak()
    response = http.post(path, content=body, headers={"content-type": content_type, "accept": JSON})
    assert response.status_code < 500, response.text
    target.clean()
    return target.peak_bytes - before


@pytest.mark.parametrize(("path", "content_type", "body"), ONE.values(), ids=ONE)
def test_request_with_one_job_costs_a_multiple_of_its_limit(target, http, path, content_type, body):
    """A request with one job costs a bounded multiple of its limit, whatever its bytes are."""
    assert growth_bytes(target, http, path, content_type, body) < ONE_BYTES


@pytest.mark.parametrize(("content_type", "body"), BATCHES.values(), ids=BATCHES)
def test_batch_costs_a_multiple_of_its_size(target, http, content_type, body):
    """A batch costs a bounded multiple of its size, however many items it has."""
    assert growth_bytes(target, http, "/v1/jobs/batch", content_type, body) < COPIES * len(body) + ONE_BYTES


def test_batches_at_the_same_time_cost_their_sum_and_hold_nobody_up(target, http):
    """Batches at the same time cost at most the sum of each, and other requests are answered meanwhile."""
    content_type, body = BATCHES["payloads full of empty arrays"]
    before = target.forget_peak()

    def post(_: int) -> int:
        headers = {"content-type": content_type, "accept": JSON}
        with httpx2.Client(base_url=target.url, trust_env=False, timeout=120) as another:
            return another.post("/v1/jobs/batch", content=body, headers=headers).status_code

    with ThreadPoolExecutor(CONCURRENT) as pool:
        batches = [pool.submit(post, number) for number in range(CONCURRENT)]
        answered = 0
        while not all(batch.done() for batch in batches):
            assert http.get("/livez").status_code == 200
            answered += 1
        assert {batch.result() for batch in batches} <= {207, 503}
    assert answered > CONCURRENT
    assert target.peak_bytes - before < CONCURRENT * (COPIES * len(body) + ONE_BYTES)
    target.clean()
