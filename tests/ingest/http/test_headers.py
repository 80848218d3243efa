"""The headers of a request are read once."""

import pytest

from millstream_ingest.http.headers import header_text, read_headers

ONCE = [(b"accept", b"text/html"), (b"prefer", b"wait=1")]
TWICE = [*ONCE, (b"prefer", b"durability=fsynced"), (b"tracestate", "é".encode("latin-1"))]


@pytest.mark.parametrize("raw", [ONCE, TWICE])
def test_a_header_that_stands_once_is_found_beside_any_others(raw: list[tuple[bytes, bytes]]):
    """A header is found whether or not another one stands twice."""
    headers = read_headers(raw)

    assert headers[b"accept"] == b"text/html"
    assert header_text(headers, b"accept") == "text/html"
    assert headers.get(b"expect") is None
    assert header_text(headers, b"expect") == ""


def test_a_header_that_stands_twice_keeps_both_values_in_order():
    """A header that stands twice keeps both values in order."""
    headers = read_headers(TWICE)

    assert header_text(headers, b"prefer") == "wait=1, durability=fsynced"
    assert header_text(headers, b"tracestate") == "é"


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ([(b"content-length", b"5"), (b"content-length", b"6")], b"5, 6"),
        ([(b"content-length", b"5"), (b"accept", b"a/b"), (b"content-length", b"5")], b"5, 5"),
        ([(b"content-length", b"5"), (b"accept", b"a/b"), (b"accept", b"c/d")], b"5"),
    ],
)
def test_a_length_that_stands_twice_is_no_number(raw: list[tuple[bytes, bytes]], value: bytes):
    """A content length counts if it stands once, and not if it stands twice."""
    assert read_headers(raw)[b"content-length"] == value
