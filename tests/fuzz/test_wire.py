"""HTTP that no client library writes is answered or cut off, and other clients are served meanwhile."""

import gzip
import json
import zlib
from contextlib import ExitStack

import pytest
from fuzz.raw_http import answer_to, chunked, head, wire_to

from millstream_contracts import limits

JOB = b'{"type":"a"}'
JSON = "Content-Type: application/json"
LENGTH = f"Content-Length: {len(JOB)}"
MSGPACK_JOB = b"\x81\xa4type\xa1a"

BODY_PATHS = ("/v1/jobs", "/v1/jobs/batch", "/v1/dead/redrive", "/v1/dead/discard")


@pytest.fixture(autouse=True)
def others_are_served(target):
    """Fail the test when a plain submission is not accepted at its end."""
    yield
    assert answer_to(target.port, head("POST", "/v1/jobs", JSON, LENGTH) + JOB) == 202
    target.clean()


def refused(target, request: bytes, *statuses: int) -> None:
    """Check that a request is answered with one of these statuses and stores nothing."""
    assert answer_to(target.port, request) in statuses
    assert target.stored_keys() == []


def bomb(size: int) -> bytes:
    """Return a submission of this many bytes that compresses to a thousandth."""
    return b'{"type":"a","payload":"' + b"x" * size + b'"}'


COMPRESSED = {
    "gzip": gzip.compress(bomb(64 << 20)),
    "deflate": zlib.compress(bomb(64 << 20)),
    "br": JOB,
    "zstd": JOB,
    "GZIP": gzip.compress(JOB),
    "x-gzip": gzip.compress(JOB),
    "identity, gzip": gzip.compress(JOB),
    "gzip, identity": gzip.compress(JOB),
    "\xff": JOB,
}


@pytest.mark.parametrize("path", BODY_PATHS)
@pytest.mark.parametrize(("coding", "body"), COMPRESSED.items(), ids=COMPRESSED)
def test_compressed_body_is_refused_unread(target, path, coding, body):
    """A compressed body is refused without being read."""
    before = target.forget_peak()
    refused(target, head("POST", path, JSON, f"Content-Encoding: {coding}", f"Content-Length: {len(body)}") + body, 415)
    assert target.peak_bytes - before < 16 << 20


@pytest.mark.parametrize("path", BODY_PATHS)
@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json;charset=utf-16", "\xff", "a" * 10_000])
def test_body_of_another_type_is_refused(target, path, content_type):
    """A body of another content type is refused."""
    refused(target, head("POST", path, f"Content-Type: {content_type}", LENGTH) + JOB, 415)
    refused(target, head("POST", path, LENGTH) + JOB, 415)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((JSON, "Content-Type: application/vnd.msgpack"), JOB),
        (("Content-Type: application/vnd.msgpack", JSON), MSGPACK_JOB),
        ((JSON, "Content-Encoding: identity", "Content-Encoding: gzip"), JOB),
        ((JSON, "Content-Encoding: gzip", "Content-Encoding: identity"), JOB),
    ],
)
def test_headers_that_contradict_each_other_are_refused(target, headers, body):
    """Headers that contradict each other are refused, because a proxy could follow the other one."""
    refused(target, head("POST", "/v1/jobs", *headers, f"Content-Length: {len(body)}") + body, 400, 415)


@pytest.mark.parametrize("path", BODY_PATHS)
def test_announced_length_over_the_limit_is_refused_before_the_body_comes(target, path):
    """An announced length over the limit is refused before the body is sent."""
    refused(target, head("POST", path, JSON, "Content-Length: 1000000000000"), 413)
    refused(target, head("POST", path, JSON, "Content-Length: 1000000000000", "Expect: 100-continue"), 413)


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/dead/redrive"])
def test_body_without_an_end_is_cut_off(target, path):
    """A body without an end is cut off at the limit, with or without a length."""
    before, sent = target.forget_peak(), 0
    piece = next(chunked([b" " * (1 << 16)]))
    with wire_to(target.port) as wire:
        wire.send(head("POST", path, JSON, "Transfer-Encoding: chunked"))
        while not wire.is_cut and sent < 1 << 30:
            wire.send(piece)
            sent += len(piece)
        assert wire.is_cut
    # What the sockets hold is on its way yet when the connection is cut.
    assert sent < 32 * limits.MAX_BODY_BYTES
    assert target.peak_bytes - before < 16 * limits.MAX_BODY_BYTES
    assert target.stored_keys() == []


def test_chunked_body_within_the_limit_is_accepted_however_it_is_cut(target):
    """A chunked body within the limit is accepted, also with one byte a chunk."""
    with wire_to(target.port) as wire:
        wire.send(head("POST", "/v1/jobs", JSON, "Transfer-Encoding: chunked"))
        for piece in chunked(JOB[at : at + 1] for at in range(len(JOB))):
            wire.send(piece)
        assert wire.status() == 202


def test_length_beside_chunks_cuts_no_body_short(target):
    """A content length beside chunks does not shorten the body."""
    short = len(JOB) - 1
    with wire_to(target.port) as wire:
        wire.send(head("POST", "/v1/jobs", JSON, "Transfer-Encoding: chunked", f"Content-Length: {short}"))
        for piece in chunked([JOB[:short], JOB[short:]]):
            wire.send(piece)
        assert wire.status() == 202


def test_slow_bodies_hold_nobody_up(target):
    """Other clients are served while fifty stop in the middle of a body, and so are those fifty afterwards."""
    with ExitStack() as stack:
        opened = [stack.enter_context(wire_to(target.port)) for _ in range(50)]
        for wire in opened:
            wire.send(head("POST", "/v1/jobs", JSON, LENGTH) + JOB[:-1])
        assert answer_to(target.port, head("GET", "/v1/jobs")) == 200
        for wire in opened:
            wire.send(JOB[-1:])
        assert [wire.status() for wire in opened] == [202] * 50


def test_client_that_leaves_in_the_middle_of_a_body_leaves_nothing(target):
    """A client that disconnects in the middle of a body stores nothing."""
    for cut in range(len(JOB)):
        with wire_to(target.port) as wire:
            wire.send(head("POST", "/v1/jobs", JSON, LENGTH) + JOB[:cut])
    assert answer_to(target.port, head("GET", "/v1/jobs")) == 200
    assert target.stored_keys() == []


BROKEN_FRAMING = {
    "two lengths": (LENGTH, "Content-Length: 3"),
    "a negative length": ("Content-Length: -5",),
    "a length in words": ("Content-Length: many",),
    "a length beyond 64 bits": ("Content-Length: 18446744073709551616",),
    "no length": (),
    "a length with a sign": ("Content-Length: +12",),
    "a transfer coding of no kind": ("Transfer-Encoding: chunky",),
    "chunked not at the end": ("Transfer-Encoding: chunked, gzip",),
}


@pytest.mark.parametrize("headers", BROKEN_FRAMING.values(), ids=BROKEN_FRAMING)
def test_body_whose_end_is_unclear_is_refused(target, headers):
    """A body whose end is ambiguous is refused, because the rest could be read as another request."""
    refused(target, head("POST", "/v1/jobs", JSON, *headers) + JOB, 400, 0)


@pytest.mark.parametrize("size", [b"zz", b"-1", b"", b"0x5", b"ffffffffffffffffff", b"5;" + b"x" * 100_000])
def test_chunk_without_a_size_is_refused(target, size):
    """A chunk without a valid size is refused."""
    request = head("POST", "/v1/jobs", JSON, "Transfer-Encoding: chunked")
    refused(target, request + size + b"\r\n" + JOB + b"\r\n0\r\n\r\n", 400, 0)


NO_REQUESTS = {
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2,
    "NUL in the path": b"GET /v1/jobs/\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "no UTF-8 in the path": b"GET /v1/jobs/\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
    "a line break in a header": b"GET /v1/jobs HTTP/1.1\r\nA: b\rc\r\n\r\n",
    "a space before the colon": b"GET /v1/jobs HTTP/1.1\r\nHost : a\r\n\r\n",
    "a MB of header": b"GET /v1/jobs HTTP/1.1\r\nA: " + b"a" * (1 << 20) + b"\r\n\r\n",
    "ten thousand headers": head("GET", "/v1/jobs", *(f"A{number}: 1" for number in range(10_000))),
    "a MB of path": head("GET", "/v1/jobs/" + "a" * (1 << 20)),
}


@pytest.mark.parametrize("data", NO_REQUESTS.values(), ids=NO_REQUESTS)
def test_bytes_that_are_no_request_are_refused(target, data):
    """Bytes that are no request are refused by the server."""
    refused(target, data, 400, 414, 431, 0)


ODD_HEADERS = {
    "Prefer": ["\xff", "a " * 10_000, "a;" * 10_000, 'a="\\' * 5_000, "wait=" + "9" * 10_000, "handling=strict;" * 99],
    "Accept": [
        "\xff",
        "a/b;q=0.5," * 500,
        " ," * 5_000,
        'a/b;c="' + "\\\\" * 5_000,
        "*/*;q=nan",
        "application/json;q=2",
    ],
    "Idempotency-Key": ["\xff", '"' + "\\" * 10_001, '"' + '\\"' * 5_000, "\t"],
    "If-None-Match": ["\xff", "," * 10_000, "W/" * 5_000, "*, *"],
    "traceparent": ["\xff", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "ff-" + "g" * 10_000, "-" * 10_000],
    "tracestate": ["\xff\x80", "a=b," * 5_000, "=" * 10_000, '{"a":1}\x7f'],
    "Expect": ["100-continue", "200-ok"],
    "Host": ["", "\xff", "a" * 10_000, "a, b", "[::1"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ODD_HEADERS.items() for value in values])
@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/jobs"), ("POST", "/v1/jobs")])
def test_odd_header_is_read_or_refused(target, method, path, name, value):
    """Each header that ingest reads is accepted or refused with any value."""
    headers = [f"{name}: {value}", *(["traceparent: 00-" + "a" * 32 + "-" + "b" * 16 + "-01"] * (name == "tracestate"))]
    request = head(method, path, JSON, LENGTH, *headers) + JOB
    assert answer_to(target.port, request) in {100, 200, 202, 400, 417}


@pytest.mark.parametrize(
    "path", ["/v1/jobs/%", "/v1/jobs/%zz", "/v1/jobs/%00", "/v1/jobs/%ff", "/v1/%2e%2e/jobs", "*", ""]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "CONNECT", "FOO", "A" * 1_000])
def test_odd_path_or_method_is_refused(target, method, path):
    """A path or method without a route is answered with 404, 405 or as no HTTP."""
    # `//` is the root by another name, and leads to the docs.
    found = {204, 307, 400, 404, 405} if (method, path) == ("GET", "") else {204, 400, 404, 405}
    assert answer_to(target.port, head(method, path or "//", JSON, "Content-Length: 0")) in found


def test_refusal_quotes_little_of_what_it_refuses(target, http):
    """A refusal stays small, however long the names and values that it quotes."""
    for body in ({"x" * 500_000: 1}, {"type": "x" * 500_000}, {"type": "a", "priority": "x" * 500_000}):
        response = http.post("/v1/jobs", content=json.dumps(body), headers={"content-type": "application/json"})
        assert response.status_code == 422
        assert len(response.content) < 2_000
