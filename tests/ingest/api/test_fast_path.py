"""The door reads headers as the framework does."""

import pytest

from millstream_ingest.api.fast_path import DirectHeaders

ONCE = [(b"accept", b"text/html"), (b"prefer", b"wait=1")]
TWICE = [*ONCE, (b"prefer", b"durability=fsynced"), (b"tracestate", "é".encode("latin-1"))]


@pytest.mark.parametrize("raw", [ONCE, TWICE])
def test_a_header_that_stands_once_is_found_beside_any_others(raw: list[tuple[bytes, bytes]]):
    """Whether or not some other header stands twice."""
    headers = DirectHeaders(raw)

    assert list(headers.getall("accept", ())) == ["text/html"]
    assert headers.get(b"accept") == "text/html"
    assert headers.getall("expect", None) is None
    assert headers.get(b"expect") == ""


def test_a_header_that_stands_twice_keeps_both_values_in_order():
    """None of them is lost, and none is taken for the other."""
    headers = DirectHeaders(TWICE)

    assert list(headers.getall("prefer", ())) == ["wait=1", "durability=fsynced"]
    assert headers.get(b"prefer") == "wait=1, durability=fsynced"
    assert headers.get(b"tracestate") == "é"


@pytest.mark.parametrize(
    "name", ["Prefer", "idempotency-key", "Content-Encoding", "transfer-encoding", "expect", "traceparent"]
)
def test_headers_are_not_plain_with_one_that_means_more_work(name: str):
    """The short way would pass it over."""
    headers = DirectHeaders([(b"content-length", b"5"), (name.lower().encode(), b"")])

    assert not headers.is_plain
    assert headers.plain_length is None


@pytest.mark.parametrize(
    ("raw", "length"),
    [
        ([(b"accept", b"*/*"), (b"content-length", b"5")], 5),
        ([(b"content-length", b"5"), (b"accept", b"a/b"), (b"accept", b"c/d")], None),
        ([(b"content-length", b"5"), (b"content-length", b"6")], None),
        ([(b"content-length", b"5, 5")], None),
        ([(b"content-length", b"-5")], None),
        ([(b"content-length", "\u0665".encode())], None),
        ([], None),
    ],
)
def test_a_body_is_as_long_as_plain_headers_say(raw: list[tuple[bytes, bytes]], length: int | None):
    """Where it does not stand once and in digits, the long way decides."""
    assert DirectHeaders(raw).plain_length == length
