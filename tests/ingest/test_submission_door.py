"""The door reads headers as the framework does."""

import pytest

from millstream_ingest.submission_door import DirectHeaders

ONCE = [(b"accept", b"text/html"), (b"prefer", b"wait=1")]
TWICE = [*ONCE, (b"prefer", b"durability=fsynced"), (b"tracestate", "é".encode("latin-1"))]


@pytest.mark.parametrize("raw", [ONCE, TWICE])
def test_a_header_that_stands_once_is_found_beside_any_others(raw: list[tuple[bytes, bytes]]):
    """Whether or not some other header stands twice."""
    headers = DirectHeaders(raw)

    assert list(headers.getall("accept", ())) == ["text/html"]
    assert headers.get("accept") == "text/html"
    assert headers.getall("expect", None) is None
    assert headers.get("expect") == ""


def test_a_header_that_stands_twice_keeps_both_values_in_order():
    """None of them is lost, and none is taken for the other."""
    headers = DirectHeaders(TWICE)

    assert list(headers.getall("prefer", ())) == ["wait=1", "durability=fsynced"]
    assert headers.get("prefer") == "wait=1, durability=fsynced"
    assert headers.get("tracestate") == "é"
