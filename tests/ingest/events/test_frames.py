"""Frames are Server-Sent Events: an id that is a time, a name, and the event as JSON on one line."""

from datetime import UTC, datetime

import msgspec
import pytest

from millstream.client.event_reader import EventReader, SentEvent
from millstream_contracts import DEFAULT_TENANT, Event, JobId, JobTransition, JobType, LiveEvent, Queue
from millstream_ingest.events.frames import GAP_FRAME, RETRY_MS, first_lines, job_frame, sign_of_life, time_of

QUEUE = Queue(DEFAULT_TENANT, JobType("email.send"))
JOB = JobId("email.send_0001JD3YQ8Z7M4T6V0RXKBN5C2WA")


def test_a_frame_is_one_event_with_its_time_as_id() -> None:
    """A client reads from a frame what happened, and the entry as the id from which it may resume."""
    event = Event("1764172800000-3", "dead", 1_764_172_800_001, "vm:1", [])
    reader = EventReader()
    [sent] = reader.feed(job_frame(QUEUE, event, JobTransition(JOB, 4, "dead", 2, "attempts\n\nid: 9")))
    assert (sent.name, reader.last_id) == ("job", "1764172800000-3")
    assert msgspec.json.decode(sent.data, type=LiveEvent) == LiveEvent(
        id=JOB,
        type=QUEUE.type,
        kind="dead",
        state="dead",
        version=4,
        at=datetime(2025, 11, 26, 16, 0, 0, 1000, tzinfo=UTC),
        worker="vm:1",
        detail="attempts\n\nid: 9",
    )


def test_other_frames_move_the_place_of_the_client() -> None:
    """The first lines and signs of life say where the client is, and are no events; a gap is one."""
    reader = EventReader()
    assert reader.feed(first_lines(1_000)) == []
    assert reader.last_id == "1000-0"
    assert reader.retry_ms is not None
    assert 0.5 * RETRY_MS <= reader.retry_ms <= 1.5 * RETRY_MS
    assert reader.feed(sign_of_life(2_000)) == []
    assert reader.last_id == "2000-0"
    assert reader.feed(GAP_FRAME) == [SentEvent("gap", b"{}")]
    assert reader.last_id == "2000-0"


@pytest.mark.parametrize(
    ("text", "ms"),
    [("1764172800000-0", 1_764_172_800_000), ("5-17", 5), ("", None), ("5", None), ("-5-0", None), ("9" * 20, None)],
)
def test_time_of_reads_ids_of_frames_alone(text: str, ms: int | None) -> None:
    """The time of an id is its first part; another text has none."""
    assert time_of(text) == ms
