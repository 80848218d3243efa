"""The reader of Server-Sent Events follows the standard, however the response is cut into pieces."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.client.event_reader import EventReader, SentEvent

STREAM = (
    b": hello\nretry: 1500\nid: 1-0\n\nid: 2-0\nevent: job\ndata: {\ndata: }\n\ndata: x\r\n\r\nid: 3-0\nevent: job\n"
)
EVENTS = [SentEvent("job", b"{\n}"), SentEvent("message", b"x")]


@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_events_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    """A piece may end anywhere; an event without its end is none, and moves no place."""
    reader, found = EventReader(), []
    bounds = [0, *sorted(cuts), len(STREAM)]
    for start, end in pairwise(bounds):
        found += reader.feed(STREAM[start:end])
    assert (found, reader.last_id, reader.retry_ms) == (EVENTS, "2-0", 1500)


@pytest.mark.parametrize(
    ("line", "last_id", "retry_ms"),
    [
        (b"id: a\0b", "0", None),
        (b"retry: 1.5", "0", None),
        (b"id", "", None),
        (b"retry:7", "0", 7),
        (b"x: y", "0", None),
    ],
)
def test_fields_that_mean_nothing_are_passed_over(line: bytes, last_id: str, retry_ms: int | None) -> None:
    """An id with NUL, a time that is no number and unknown fields change nothing; an empty id forgets the last one."""
    reader = EventReader("0")
    assert reader.feed(line + b"\n\n") == []
    assert (reader.last_id, reader.retry_ms) == (last_id, retry_ms)


def test_a_line_without_end_is_refused() -> None:
    """A line of more than a megabyte is an error, and is not collected."""
    reader = EventReader()
    with pytest.raises(ValueError, match="1 MiB"):
        reader.feed(b"data: " + b"x" * (1 << 21))
