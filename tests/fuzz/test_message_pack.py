"""A running ingest answers every body, never with a 500, and stores nothing of what it refuses."""

import json

import httpx2
import hypothesis
import msgspec
import pytest
from fuzz.garbage import (
    HOSTILE_JSON,
    HOSTILE_MSGPACK,
    json_bodies,
    json_payloads,
    msgpack_bodies,
    packed_payloads,
)
from fuzz.target import Target
from hypothesis import given
from hypothesis import strategies as st

from millstream import App
from millstream_streams.store.specs import read_spec

JSON = "application/json"
MSGPACK = "application/vnd.msgpack"
NDJSON = "application/x-ndjson"
SEQUENCE = "application/vnd.msgpack-seq"

SUBMIT, BATCH, REDRIVE, DISCARD = "/v1/jobs", "/v1/jobs/batch", "/v1/dead/redrive", "/v1/dead/discard"
REFUSALS = {400, 413, 415, 422}

fuzzed = hypothesis.settings(hypothesis.settings.get_profile("fuzz"))
paths = st.sampled_from([SUBMIT, SUBMIT, BATCH, BATCH, REDRIVE, DISCARD])


def send(target: Target, http: httpx2.Client, path: str, content_type: str, body: bytes) -> httpx2.Response:
    """Send a body, compare the response with what is stored, and then delete that."""
    response = http.post(path, content=body, headers={"content-type": content_type, "accept": JSON})
    stored = [key for key in target.stored_keys() if b"}:job:" in key]
    try:
        if response.status_code in REFUSALS:
            assert response.headers["content-type"] == "application/problem+json"
            assert json.loads(response.content)["status"] == response.status_code
            assert target.stored_keys() == []
        elif response.status_code == 202:
            assert len(stored) == 1
        elif response.status_code == 207:
            receipt = response.json()
            assert len(stored) == receipt["accepted"] == sum(item["status"] == 202 for item in receipt["items"])
            assert {item["status"] for item in receipt["items"]} <= {202, *REFUSALS}
        else:
            assert (response.status_code, path) in {(200, REDRIVE), (200, DISCARD)}, response.text
    finally:
        target.clean()
    return response


def submission(payload: bytes) -> bytes:
    """Return a submission in MessagePack with these bytes as its payload."""
    return b"\x82\xa4type\xa1a\xa7payload" + payload


def json_submission(payload: bytes) -> bytes:
    """Return a submission in JSON with these bytes as its payload."""
    return b'{"type":"a","payload":' + payload + b"}"


class TestRoundTrip:
    """Payloads that are accepted."""

    @fuzzed
    @given(payload=packed_payloads)
    def test_messagepack_payload_is_stored_byte_for_byte(self, target, http, payload):
        """A MessagePack payload reaches the handler byte for byte, whatever widths its sender chose."""
        value = msgspec.msgpack.decode(payload)
        response = http.post(SUBMIT, content=submission(payload), headers={"content-type": MSGPACK})
        assert response.status_code == 202, response.text
        spec = read_spec(target.stored_spec(msgspec.msgpack.decode(response.content)["id"]))
        assert bytes(spec.payload) == payload
        assert decoded_by_worker(spec.payload) == value
        assert msgspec.msgpack.decode(response.content)["payload"] == value
        target.clean()

    @fuzzed
    @given(value=json_payloads)
    def test_json_payload_reaches_the_handler_as_the_same_value(self, target, http, value):
        """A JSON payload reaches the handler as the same value, to the last digit and character."""
        body = json_submission(json.dumps(value).encode())
        response = http.post(SUBMIT, content=body, headers={"content-type": JSON})
        assert response.status_code == 202, response.text
        spec = read_spec(target.stored_spec(response.json()["id"]))
        assert same(decoded_by_worker(spec.payload), value)
        assert same(response.json()["payload"], value)
        target.clean()


def decoded_by_worker(payload: msgspec.Raw) -> object:
    """Return the payload of a handler that declares any type."""
    app = App("echo")

    @app.job("a")
    async def echo(payload: object) -> None:
        """Declare any payload."""

    return echo.decode(payload)


def same(one: object, other: object) -> bool:
    """Return whether two values are deeply equal, with 1, 1.0 and True different."""
    return repr(one) == repr(other)


class TestHostile:
    """Known attacks, as the whole body, as the payload, and as an item of a batch."""

    @pytest.mark.parametrize("data", HOSTILE_MSGPACK.values(), ids=HOSTILE_MSGPACK.keys())
    def test_hostile_messagepack_is_answered(self, target, http, data):
        """A hostile MessagePack body, such as a header that announces 4 GB, is answered."""
        for path in (SUBMIT, BATCH, REDRIVE, DISCARD):
            assert send(target, http, path, MSGPACK, data).status_code in REFUSALS
        refused = send(target, http, SUBMIT, MSGPACK, submission(data)).status_code in REFUSALS
        assert refused or data in ACCEPTED
        item = submission(data)
        send(target, http, BATCH, MSGPACK, b"\x81\xa4jobs\x92" + item + submission(b"\xc0"))
        send(target, http, BATCH, SEQUENCE, item + submission(b"\xc0"))
        send(target, http, REDRIVE, MSGPACK, b"\x81\xa3ids" + data)

    @pytest.mark.parametrize("data", HOSTILE_JSON.values(), ids=HOSTILE_JSON.keys())
    def test_hostile_json_is_answered(self, target, http, data):
        """A hostile JSON body is answered."""
        for path in (SUBMIT, BATCH, REDRIVE, DISCARD):
            assert send(target, http, path, JSON, data).status_code in REFUSALS
        refused = send(target, http, SUBMIT, JSON, json_submission(data)).status_code in REFUSALS
        assert refused or data in ACCEPTED
        item = json_submission(data)
        send(target, http, BATCH, JSON, b'{"jobs":[' + item + b',{"type":"a"}]}')
        send(target, http, BATCH, NDJSON, item + b'\n{"type":"a"}')
        send(target, http, REDRIVE, JSON, b'{"ids":' + data + b"}")


ACCEPTED = {
    HOSTILE_JSON["one key 9,000 times"],
    HOSTILE_JSON["5,000 digits behind a point"],
    HOSTILE_MSGPACK["one key 9,000 times"],
    HOSTILE_MSGPACK["many keys"],
    HOSTILE_MSGPACK["timestamp 32"],
    HOSTILE_MSGPACK["timestamp 64"],
    HOSTILE_MSGPACK["timestamp 96"],
}
"""Values that are odd and harmless as payloads."""


class TestFuzzed:
    """Bodies of drawn bytes."""

    @fuzzed
    @given(path=paths, body=msgpack_bodies)
    def test_messagepack_body_is_answered(self, target, http, path, body):
        """A MessagePack body of any bytes is answered."""
        send(target, http, path, MSGPACK, body)

    @fuzzed
    @given(path=paths, body=json_bodies)
    def test_json_body_is_answered(self, target, http, path, body):
        """A JSON body of any bytes is answered."""
        send(target, http, path, JSON, body)

    @fuzzed
    @given(bodies=st.lists(msgpack_bodies, max_size=5))
    def test_sequence_of_messagepack_is_answered(self, target, http, bodies):
        """A MessagePack sequence of any items is answered."""
        send(target, http, BATCH, SEQUENCE, b"".join(bodies))

    @fuzzed
    @given(bodies=st.lists(json_bodies, max_size=5), end=st.sampled_from([b"\n", b"\r\n", b"\n\n"]))
    def test_lines_of_json_are_answered(self, target, http, bodies, end):
        """An NDJSON batch of any lines is answered."""
        send(target, http, BATCH, NDJSON, end.join(bodies))

    @fuzzed
    @given(bodies=st.lists(json_bodies, max_size=5))
    def test_batch_of_json_is_answered(self, target, http, bodies):
        """A JSON batch of any items is answered."""
        send(target, http, BATCH, JSON, b'{"jobs":[' + b",".join(bodies) + b"]}")

    @fuzzed
    @given(bodies=st.lists(msgpack_bodies, max_size=5))
    def test_batch_of_messagepack_is_answered(self, target, http, bodies):
        """A MessagePack batch of any items is answered."""
        send(target, http, BATCH, MSGPACK, b"\x81\xa4jobs" + bytes([0x90 | len(bodies)]) + b"".join(bodies))
