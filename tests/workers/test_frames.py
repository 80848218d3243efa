"""A worker and its handler processes exchange frames: a length, a tag and a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_contracts import JobError, Progress
from millstream_workers.attempt.handler_request import HandlerRequest
from millstream_workers.isolation.frames import (
    HEADER,
    MAX_FRAME_BYTES,
    FailureReport,
    FrameBuffer,
    Order,
    ProgressReport,
    ReadyReport,
    Report,
    RequestReport,
    ReturnReport,
    StopOrder,
    StoppedReport,
    decode_order,
    decode_report,
    encode_frame,
)

ERROR = JobError("ValueError", "no", "f00d", "Traceback", 2)


def body(frame: bytes) -> bytes:
    """Return what follows the length of a frame, having checked the length."""
    (length,) = HEADER.unpack(frame[: HEADER.size])
    assert len(frame) == HEADER.size + length
    return frame[HEADER.size :]


@given(st.binary(max_size=1000))
def test_a_result_arrives_as_it_was_encoded(result: bytes) -> None:
    """A result arrives as the bytes that the handler's process encoded, which are stored as they are."""
    assert decode_report(body(encode_frame(ReturnReport(1, result)))) == ReturnReport(1, result)


@pytest.mark.parametrize(
    "report",
    [
        ReadyReport(0, 4711),
        ReadyReport(3),
        ProgressReport(3, Progress(40.0, "half")),
        RequestReport(3, HandlerRequest("snooze", 2_500), ERROR),
        RequestReport(3, HandlerRequest("retry_after", 0), ERROR),
        RequestReport(3, HandlerRequest("snooze", unread="`delay_s` cannot be read"), ERROR),
        RequestReport(3, HandlerRequest("dead", reason="no such account"), ERROR),
        RequestReport(3, HandlerRequest("discard"), ERROR),
        FailureReport(3, ERROR, changed=("umask", "threads")),
        FailureReport(3, JobError("TypeError", "no"), invalid_result=True),
        StoppedReport(3),
    ],
)
def test_a_report_arrives_as_it_was_sent(report: Report) -> None:
    """A report of each kind arrives as it was sent, told apart by its tag."""
    assert decode_report(body(encode_frame(report))) == report


@given(st.binary(max_size=1000), st.none() | st.floats(0.1, 1e6))
def test_an_order_arrives_as_it_was_sent(spec: bytes, timeout_s: float | None) -> None:
    """An order arrives as it was sent, with the spec in the bytes that are stored."""
    order = Order(5, "email.send", "email.send_00X", 2, 7, spec, timeout_s, "00-ab", "c=d")
    assert decode_order(body(encode_frame(order))) == order
    assert decode_order(body(encode_frame(StopOrder(5)))) == StopOrder(5)


@given(st.lists(st.binary(max_size=50), max_size=10), st.integers(1, 20))
def test_frames_are_found_however_they_are_cut(results: list[bytes], step: int) -> None:
    """Frames are found in whatever pieces a socket delivers."""
    sent = b"".join(encode_frame(ReturnReport(1, result)) for result in results)
    buffer, found = FrameBuffer(), []
    for start in range(0, len(sent), step):
        buffer.feed(sent[start : start + step])
        while (frame := buffer.take()) is not None:
            found.append(decode_report(frame))
    assert found == [ReturnReport(1, result) for result in results]


def test_a_length_that_nobody_sends_is_refused() -> None:
    """A length beyond the largest frame is refused, because a handler may write into the channel."""
    buffer = FrameBuffer()
    buffer.feed(HEADER.pack(MAX_FRAME_BYTES + 1))
    with pytest.raises(ValueError, match="frame of"):
        buffer.take()
