"""Every route answers wrong input with a 4xx that points to the fault, stores nothing, and never answers 500."""

import gzip
import json
import secrets
import struct
from typing import Any

import msgspec
import pytest
from ingest.serving import DOORS, JSON, MSGPACK, packed, patient, pointers, problem, running_ingest

from millstream_contracts import limits
from millstream_ingest.http.problems import CATALOGUE
from millstream_ingest.settings import IngestSettings

JOB_ID = "email.send_0001JD3YQ8Z7M4T6V0RXKBN5C2WA"

pytestmark = pytest.mark.usefixtures("stores_nothing")


@pytest.fixture(scope="module", params=DOORS)
async def ingest(redis_url, request):
    """Yield one ingest for all tests of a door, since none of them leaves anything behind."""
    settings = patient(IngestSettings(redis_url=redis_url, namespace=f"bad{secrets.token_hex(6)}", port=0))
    async with running_ingest(settings, door=request.param) as running:
        yield running


@pytest.fixture
async def stores_nothing(ingest):
    """Fail the test when a key was written, beside the audit record of a change that was refused."""
    yield
    broker = ingest.services.broker
    written = {key.decode() async for key in broker.client.scan_iter(match=f"{broker.keys.namespace}:*")}
    assert written <= {broker.keys.audit_trail}


def job(**fields: Any) -> bytes:
    """Return a submission in JSON."""
    return json.dumps({"type": "email.send", **fields}).encode()


def nested(levels: int) -> bytes:
    """Return a submission whose payload is nested lists of this depth."""
    return b'{"type":"email.send","payload":' + b"[" * levels + b"]" * levels + b"}"


MALFORMED_JSON = {
    "empty": b"",
    "cut off": b'{"type":',
    "no JSON": b"email.send",
    "more after the end": b'{"type":"email.send"} {}',
    "byte order mark": b'\xef\xbb\xbf{"type":"email.send"}',
    "NaN": b'{"type":"email.send","payload":NaN}',
    "Infinity": b'{"type":"email.send","payload":[-Infinity]}',
    "invalid UTF-8": b'{"type":"email.send","payload":"\xff"}',
    "MessagePack": packed({"type": "email.send"}),
    "single quotes": b"{'type':'email.send'}",
}
MALFORMED_MSGPACK = {
    "empty": b"",
    "cut off": packed({"type": "email.send", "payload": "abc"})[:-2],
    "more after the end": packed({"type": "email.send"}) + b"\xc0",
    "reserved byte": b"\x82\xa4type\xaaemail.send\xa7payload\xc1",
    "invalid UTF-8": b"\x82\xa4type\xaaemail.send\xa7payload\xa1\xff",
    "length without data": b"\xdf\xff\xff\xff\xff",
}
INVALID_JSON = {
    "a list": (b"[]", ""),
    "a text": (b'"email.send"', ""),
    "null": (b"null", ""),
    "no type": (b"{}", "/type"),
    "type null": (job(type=None), "/type"),
    "type a number": (job(type=7), "/type"),
    "type empty": (job(type=""), "/type"),
    "type upper case": (job(type="Email.send"), "/type"),
    "type with a brace": (job(type="email{send}"), "/type"),
    "type with a slash": (job(type="email/send"), "/type"),
    "type with a newline": (job(type="email.send\n"), "/type"),
    "type too long": (job(type="a" * 65), "/type"),
    "unknown field": (job(payloads={}), "/payloads"),
    "unknown field with a slash": (job(**{"a/b~c": 1}), "/a~1b~0c"),
    "priority unknown": (job(priority="urgent"), "/priority"),
    "delay negative": (job(delay_s=-1), "/delay_s"),
    "delay a text": (job(delay_s="1"), "/delay_s"),
    "delay of centuries": (job(delay_s=1e12), "/delay_s"),
    "delay beyond a float": (b'{"type":"email.send","delay_s":1e999}', "/delay_s"),
    "time without a zone": (job(run_at="2030-01-01T00:00:00"), "/run_at"),
    "time in words": (job(run_at="tomorrow"), "/run_at"),
    "time in milliseconds": (job(run_at=1_900_000_000_000), "/run_at"),
    "time far away": (job(run_at="2999-01-01T00:00:00Z"), "/run_at"),
    "two starts": (job(run_at="2026-12-01T00:00:00Z", delay_s=1), "/delay_s"),
    "two ends": (job(expires_at="2027-01-01T00:00:00Z", expires_in_s=1), "/expires_in_s"),
    "ends before it starts": (job(delay_s=10, expires_in_s=5), "/expires_in_s"),
    "no attempts": (job(max_attempts=0), "/max_attempts"),
    "half an attempt": (job(max_attempts=1.5), "/max_attempts"),
    "huge integer": (b'{"type":"email.send","max_attempts":' + b"9" * 400 + b"}", "/max_attempts"),
    "no time": (job(timeout_s=0), "/timeout_s"),
    "backoff of no kind": (job(backoff={"kind": "random"}), "/backoff/kind"),
    "backoff with a typo": (job(backoff={"base": 1}), "/backoff/base"),
    "tags a list": (job(tags=["a"]), "/tags"),
    "tag a number": (job(tags={"a": 1}), "/tags"),
    "too many tags": (job(tags={str(n): "" for n in range(17)}), "/tags"),
    "tag too long": (job(tags={"a": "b" * 129}), "/tags"),
    "payload with a huge integer": (b'{"type":"email.send","payload":{"n":' + b"9" * 30 + b"}}", "/payload/n"),
    "payload with NUL": (job(payload={"a": ["\0"]}), "/payload/a/0"),
    "payload too deep": (nested(limits.MAX_PAYLOAD_DEPTH + 1), "/payload" + "/0" * limits.MAX_PAYLOAD_DEPTH),
}
INVALID_MSGPACK = {
    "a list": (packed([]), ""),
    "unknown field": (packed({"type": "email.send", "payloads": 1}), "/payloads"),
    "NaN": (packed({"type": "email.send", "payload": [float("nan")]}), "/payload/0"),
    "Infinity": (packed({"type": "email.send", "payload": {"x": float("inf")}}), "/payload/x"),
    "extension type": (packed({"type": "email.send", "payload": msgspec.msgpack.Ext(7, b"x")}), "/payload"),
    "key a number": (packed({"type": "email.send", "payload": {1: 2}}), "/payload"),
    "NaN as delay": (b"\x82\xa4type\xaaemail.send\xa7delay_s\xcb" + struct.pack(">d", float("nan")), "/delay_s"),
}


def cases(table: dict[str, Any]) -> pytest.MarkDecorator:
    """Return a parametrization with readable names."""
    values = [value if isinstance(value, tuple) else (value,) for value in table.values()]
    names = ("content", "pointer")[: len(values[0])]
    return pytest.mark.parametrize(names, values, ids=list(table))


@cases(MALFORMED_JSON)
async def test_submission_that_is_no_json_is_malformed(ingest, content):
    """A body that is no JSON is answered with 400, whatever its bytes are."""
    response = await ingest.http.post("/v1/jobs", content=content, headers={"content-type": JSON})
    problem(response, 400, "malformed-body")


@cases(MALFORMED_MSGPACK)
async def test_submission_that_is_no_messagepack_is_malformed(ingest, content):
    """A body that is no MessagePack is answered with 400, as a problem in JSON."""
    response = await ingest.http.post("/v1/jobs", content=content, headers={"content-type": MSGPACK})
    problem(response, 400, "malformed-body")


@cases(INVALID_JSON)
async def test_invalid_submission_is_refused_with_a_pointer_to_the_field(ingest, content, pointer):
    """An invalid submission is answered with 422 and a pointer to the field."""
    response = await ingest.http.post("/v1/jobs", content=content, headers={"content-type": JSON})
    document = problem(response, 422, "invalid-request")
    assert pointer in pointers(document)
    assert document["instance"] == "/v1/jobs"


@cases(INVALID_MSGPACK)
async def test_invalid_messagepack_submission_is_refused_with_a_pointer(ingest, content, pointer):
    """An invalid submission in MessagePack is answered with 422 and a pointer, by the same rules."""
    response = await ingest.http.post("/v1/jobs", content=content, headers={"content-type": MSGPACK})
    assert pointer in pointers(problem(response, 422, "invalid-request"))


@cases(INVALID_JSON)
async def test_invalid_item_of_a_batch_has_its_problem_with_a_pointer_into_the_batch(ingest, content, pointer):
    """An invalid item of a batch has the problem that it has alone, and a strict batch is refused as a whole."""
    body = b'{"jobs":[' + content + b"]}"
    response = await ingest.http.post("/v1/jobs/batch", content=body, headers={"content-type": JSON})
    assert response.status_code == 207, response.text
    (item,) = response.json()["items"]
    assert item["status"] == 422
    assert "/jobs/0" + pointer in pointers(item["problem"])
    strict = {"content-type": JSON, "prefer": "handling=strict"}
    refused = await ingest.http.post("/v1/jobs/batch", content=body, headers=strict)
    assert "/jobs/0" + pointer in pointers(problem(refused, 422, "invalid-request"))


@pytest.mark.parametrize(
    ("fields", "near"),
    [({"payloads": 1}, "`payload`"), ({"priority": "hihg"}, "`high`"), ({"backoff": {"base": 1}}, "`base_s`")],
)
async def test_refusal_says_what_was_probably_meant(ingest, fields, near):
    """The refusal of a misspelt field suggests the right one."""
    response = await ingest.http.post("/v1/jobs", content=job(**fields), headers={"content-type": JSON})
    assert f"did you mean {near}" in problem(response, 422, "invalid-request")["errors"][0]["detail"]


@pytest.mark.parametrize("levels", [limits.MAX_PAYLOAD_DEPTH + 1, 2_000, 100_000])
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/dead/redrive"])
async def test_deep_nesting_is_refused_and_breaks_nothing(ingest, path, levels):
    """Deep nesting is refused at any depth, without a RecursionError."""
    response = await ingest.http.post(path, content=nested(levels), headers={"content-type": JSON})
    problem(response, 422, "invalid-request")


@pytest.mark.parametrize(
    ("path", "size"),
    [
        ("/v1/jobs", limits.MAX_BODY_BYTES + 1),
        ("/v1/jobs/batch", limits.MAX_BATCH_BODY_BYTES + 1),
        ("/v1/dead/redrive", limits.MAX_BODY_BYTES + 1),
        ("/v1/dead/discard", limits.MAX_BODY_BYTES + 1),
    ],
)
@pytest.mark.parametrize("is_announced", [True, False])
async def test_body_over_its_limit_is_too_large(ingest, path, size, is_announced):
    """A body over its limit is answered with 413, by its announced length or by the bytes that arrive."""

    async def chunks():
        for start in range(0, size, 1 << 16):
            yield b" " * min(1 << 16, size - start)

    content = b" " * size if is_announced else chunks()
    response = await ingest.http.post(path, content=content, headers={"content-type": JSON})
    problem(response, 413, "too-large")


async def test_payload_over_its_limit_is_too_large(ingest):
    """A payload over its own limit is answered with 413 and a pointer."""
    content = job(payload="x" * limits.MAX_PAYLOAD_BYTES)
    response = await ingest.http.post("/v1/jobs", content=content, headers={"content-type": JSON})
    assert pointers(problem(response, 413, "too-large")) == ["/payload"]


CONTENT_TYPES = [None, "", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "{}"]


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/batch", "/v1/dead/redrive", "/v1/dead/discard"])
async def test_unknown_content_type_is_unsupported(ingest, path, content_type):
    """An unknown content type is answered with 415 and the supported types."""
    headers = {} if content_type is None else {"content-type": content_type}
    response = await ingest.http.post(path, content=job(), headers=headers)
    assert "application/vnd.msgpack" in problem(response, 415, "unsupported-media-type")["detail"]


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/batch", "/v1/dead/redrive"])
async def test_compressed_body_is_unsupported(ingest, path):
    """A compressed body is answered with 415, because a few kilobytes of gzip can be 100 MB."""
    headers = {"content-type": JSON, "content-encoding": "gzip"}
    response = await ingest.http.post(path, content=gzip.compress(job()), headers=headers)
    assert "Content-Encoding" in problem(response, 415, "unsupported-media-type")["detail"]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Prefer", "wait=soon"),
        ("Prefer", "wait=-1"),
        ("Prefer", "wait"),
        ("Prefer", "respond-async, wait=1e9"),
        ("Idempotency-Key", ""),
        ("Idempotency-Key", "k" * 256),
        ("Idempotency-Key", '"unclosed'),
        ("Idempotency-Key", "tab\there"),
    ],
)
async def test_header_with_a_wrong_value_is_a_bad_request(ingest, header, value):
    """A header with a wrong value is answered with 400, and the problem names the header."""
    headers = {"content-type": JSON, header: value}
    response = await ingest.http.post("/v1/jobs", content=job(), headers=headers)
    assert pointers(problem(response, 400, "bad-request")) == [f"{header}:"]


async def test_idempotency_key_given_twice_is_a_bad_request(ingest):
    """An idempotency key that is given twice is answered with 400."""
    headers = [("content-type", JSON), ("idempotency-key", "a"), ("idempotency-key", "b")]
    response = await ingest.http.post("/v1/jobs", content=job(), headers=headers)
    problem(response, 400, "bad-request")


LISTS = ["/v1/jobs", "/v1/dead", "/v1/queues", "/v1/types", "/v1/workers"]
NO_LIMITS = ["0", "501", "-1", "abc", "1e2", "", "٣", "9" * 5000, "1.5", "501.0", "+1"]
NO_CURSORS = ["x", "!!!", "queued.!!!", "queued.AAAA", "dead.", "succeeded.x", "%00", "💥", "a" * 5000]


@pytest.mark.parametrize("limit", NO_LIMITS, ids=range(len(NO_LIMITS)))
@pytest.mark.parametrize("path", LISTS)
async def test_wrong_limit_is_a_bad_request(ingest, path, limit):
    """A limit outside of 1 to 500 is answered with 400."""
    response = await ingest.http.get(path, params={"limit": limit})
    assert pointers(problem(response, 400, "bad-request")) == ["?limit"]


@pytest.mark.parametrize("limit", ["3", "3.0", "500.000"])
@pytest.mark.parametrize("path", LISTS)
async def test_limit_without_a_fraction_is_an_integer(ingest, path, limit):
    """A limit such as `3.0`, of a client whose numbers are floats, is accepted."""
    assert (await ingest.http.get(path, params={"limit": limit})).status_code == 200


@pytest.mark.parametrize("cursor", ["x", "!!!", "%00", "💥", "=", "a" * 5001])
@pytest.mark.parametrize("path", LISTS)
async def test_wrong_cursor_is_a_bad_request(ingest, path, cursor):
    """A cursor that no list gave out is answered with 400."""
    response = await ingest.http.get(path, params={"cursor": cursor})
    assert pointers(problem(response, 400, "bad-request")) == ["?cursor"]


@pytest.mark.parametrize(
    ("path", "query", "pointer"),
    [
        ("/v1/jobs", "lmit=1", "?lmit"),
        ("/v1/jobs", "limit=1&limit=2", "?limit"),
        ("/v1/jobs", "state=qeued", "?state"),
        ("/v1/jobs", "type=Email", "?type"),
        ("/v1/jobs", "type=", "?type"),
        ("/v1/dead", "state=dead", "?state"),
        ("/v1/dead", "type=a/b", "?type"),
        ("/v1/queues", "type=a", "?type"),
        ("/v1/queues/email.send", "limit=1", "?limit"),
        ("/v1/types/email.send", "x=1", "?x"),
        ("/v1/workers", "name=a", "?name"),
        (f"/v1/jobs/{JOB_ID}", "wait=soon", "?wait"),
        (f"/v1/jobs/{JOB_ID}", "wait=-1", "?wait"),
        (f"/v1/jobs/{JOB_ID}", "wait=inf", "?wait"),
        (f"/v1/jobs/{JOB_ID}", "wiat=1", "?wiat"),
    ],
)
async def test_wrong_query_is_a_bad_request(ingest, path, query, pointer):
    """A wrong or unknown parameter is answered with 400, because a list without it would be the wrong one."""
    response = await ingest.http.get(f"{path}?{query}")
    assert pointers(problem(response, 400, "bad-request")) == [pointer]


async def test_unknown_parameter_says_what_was_probably_meant(ingest):
    """The refusal of an unknown parameter suggests the right one."""
    response = await ingest.http.get("/v1/jobs?lmit=1")
    assert "did you mean `limit`" in problem(response, 400, "bad-request")["errors"][0]["detail"]


@pytest.mark.parametrize("query", ["%ff=1", "limit=%ff", "&".join(f"a{n}=1" for n in range(100))])
async def test_query_that_cannot_be_read_is_a_bad_request(ingest, query):
    """A query of bytes that are no text, or of too many parameters, is answered with 400."""
    problem(await ingest.http.get(f"/v1/jobs?{query}"), 400, "bad-request")


BAD_IDS = [
    "nope",
    "email.send_00",
    JOB_ID.lower(),
    JOB_ID + "0",
    "email.send_zz01JD3YQ8Z7M4T6V0RXKBN5C2WA",
    "%00",
    "%ff%fe",
    "💥",
    "{}",
    "a" * 4000,
    JOB_ID,
]


@pytest.mark.parametrize("job_id", BAD_IDS, ids=range(len(BAD_IDS)))
@pytest.mark.parametrize(("method", "action"), [("GET", ""), ("POST", "/cancel"), ("POST", "/retry")])
async def test_id_of_no_job_is_not_found(ingest, job_id, method, action):
    """A text that is no id and an id without a job are both answered with 404."""
    problem(await ingest.http.request(method, f"/v1/jobs/{job_id}{action}"), 404, "job-not-found")


@pytest.mark.parametrize("path", ["/v1/queues/nothing", "/v1/types/nothing", "/v1/queues/%ff", "/v1/types/{}"])
async def test_unknown_name_is_not_found(ingest, path):
    """An unknown queue or type is answered with 404."""
    problem(await ingest.http.get(path), 404, "not-found")


DEAD_ACTIONS = {
    "neither": ({}, ""),
    "both": ({"ids": [JOB_ID], "type": "email.send"}, ""),
    "a list": ([], ""),
    "ids a text": ({"ids": JOB_ID}, "/ids"),
    "id a number": ({"ids": [JOB_ID, 7]}, "/ids/1"),
    "no ids": ({"ids": []}, "/ids"),
    "too many ids": ({"ids": [""] * (limits.MAX_BATCH_JOBS + 1)}, "/ids"),
    "type upper case": ({"type": "Email"}, "/type"),
    "limit zero": ({"type": "email.send", "limit": 0}, "/limit"),
    "limit too high": ({"type": "email.send", "limit": 10**9}, "/limit"),
    "limit a text": ({"type": "email.send", "limit": "1"}, "/limit"),
    "unknown field": ({"typ": "email.send"}, "/typ"),
}


@pytest.mark.parametrize(("wish", "pointer"), DEAD_ACTIONS.values(), ids=list(DEAD_ACTIONS))
@pytest.mark.parametrize("action", ["redrive", "discard"])
async def test_wrong_action_on_dead_letters_is_refused(ingest, action, wish, pointer):
    """An action on dead letters is refused unless it names its jobs in exactly one way."""
    for content, content_type in ((json.dumps(wish).encode(), JSON), (packed(wish), MSGPACK)):
        response = await ingest.http.post(f"/v1/dead/{action}", content=content, headers={"content-type": content_type})
        assert pointers(problem(response, 422, "invalid-request")) == [pointer]


@pytest.mark.parametrize("action", ["redrive", "discard"])
async def test_action_on_ids_of_no_jobs_reports_each(ingest, action):
    """A bulk action reports on every id, however wrong it is."""
    ids = [JOB_ID, "nope", "", "💥"]
    response = await ingest.http.post(f"/v1/dead/{action}", json={"ids": ids})
    report = response.json()
    assert (report["done"], report["refused"]) == (0, 4)
    assert [(item["id"], item["status"]) for item in report["items"]] == [(job_id, 404) for job_id in ids]


BATCHES = {
    "no object": (b"[]", 422, ""),
    "no jobs": (b"{}", 422, "/jobs"),
    "jobs null": (b'{"jobs":null}', 422, "/jobs"),
    "jobs empty": (b'{"jobs":[]}', 422, "/jobs"),
    "unknown field": (b'{"jobs":[{"type":"a"}],"job":1}', 422, "/job"),
    "too many jobs": (b'{"jobs":[' + b"0," * limits.MAX_BATCH_JOBS + b"0]}", 422, ""),
    "cut off": (b'{"jobs":[', 400, None),
    "empty": (b"", 400, None),
}


@pytest.mark.parametrize(("content", "status", "pointer"), BATCHES.values(), ids=list(BATCHES))
async def test_batch_that_is_wrong_as_a_whole_is_refused_as_a_whole(ingest, content, status, pointer):
    """A body that is no batch is refused before any item is read."""
    response = await ingest.http.post("/v1/jobs/batch", content=content, headers={"content-type": JSON})
    document = problem(response, status, "invalid-request" if status == 422 else "malformed-body")
    assert pointer is None or pointers(document) == [pointer]


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/vnd.msgpack-seq"])
async def test_sequence_with_a_bad_item_points_to_it_by_its_number(ingest, content_type):
    """The pointer to a bad item of a sequence begins with the index, since a sequence has no `jobs`."""
    ndjson = b'{"typ":"a"}\n[]\n'
    sequence = packed({"typ": "a"}) + packed([])
    content = ndjson if "json" in content_type else sequence
    response = await ingest.http.post("/v1/jobs/batch", content=content, headers={"content-type": content_type})
    items = response.json()["items"] if "json" in content_type else msgspec.msgpack.decode(response.content)["items"]
    assert [item["status"] for item in items] == [422, 422]
    assert [pointers(item["problem"])[0][:2] for item in items] == ["/0", "/1"]


@pytest.mark.parametrize("path", ["/v1", "/v1/nothing", "/v1/jobs/a/b/c", "/v2/jobs", "/docs/nothing", "/%00", "/💥"])
async def test_unknown_path_is_not_found(ingest, path):
    """An unknown path is answered with 404 and a problem document."""
    problem(await ingest.http.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/jobs", "GET, HEAD, OPTIONS, POST"),
        ("DELETE", f"/v1/jobs/{JOB_ID}", "GET, HEAD, OPTIONS"),
        ("GET", "/v1/jobs/batch", "OPTIONS, POST"),
        ("GET", f"/v1/jobs/{JOB_ID}/cancel", "OPTIONS, POST"),
        ("POST", "/v1/dead", "GET, HEAD, OPTIONS"),
        ("GET", "/v1/dead/redrive", "OPTIONS, POST"),
        ("POST", "/v1/queues", "GET, HEAD, OPTIONS"),
        ("PATCH", "/health", "GET, HEAD, OPTIONS"),
    ],
)
async def test_wrong_method_is_not_allowed_and_says_which_are(ingest, method, path, allowed):
    """A wrong method is answered with 405 and `Allow`, and OPTIONS names the same methods."""
    response = await ingest.http.request(method, path)
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == allowed
    options = await ingest.http.options(path)
    assert (options.status_code, options.headers["allow"]) == (204, allowed)


@pytest.mark.parametrize("slug", CATALOGUE)
async def test_type_of_every_problem_leads_to_a_page(ingest, slug):
    """The URL in `type` of every problem leads to a page that explains it."""
    response = await ingest.http.get(f"/problems/{slug}")
    assert response.status_code == 200
    assert slug in response.text
