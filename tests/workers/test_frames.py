"""What a worker and its handler processes say to each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_contracts import JobError, Progress
from millstream_workers.frames import (
    HEADER,
    FailureReport,
    Order,
    ProgressReport,
    ReadyReport,
    Report,
    ReturnReport,
    WishReport,
    decode_order,
    decode_report,
    encode_frame,
)


def body(frame: bytes) -> bytes:
    """Return what stands behind the length, having checked that."""
    (length,) = HEADER.unpack(frame[: HEADER.size])
    assert len(frame) == HEADER.size + length
    return frame[HEADER.size :]


@given(st.binary(max_size=1000))
def test_a_result_arrives_as_it_was_encoded(result: bytes) -> None:
    """It is encoded once, in the handler's process, and stored as it is."""
    assert decode_report(body(encode_frame(ReturnReport(result)))) == ReturnReport(result)


@pytest.mark.parametrize(
    "report",
    [
        ReadyReport(),
        ProgressReport(Progress(40.0, "half")),
        WishReport("snooze", delay_s=2.5),
        WishReport("retry_after", delay_s=0.0),
        WishReport("dead", reason="no such account"),
        WishReport("discard", reason=""),
        FailureReport(JobError("ValueError", "no", "f00d", "Traceback", 2)),
        FailureReport(JobError("TypeError", "no"), invalid_result=True),
    ],
)
def test_a_report_arrives_as_it_was_sent(report: Report) -> None:
    """Each kind is told apart by its tag."""
    assert decode_report(body(encode_frame(report))) == report


@given(st.binary(max_size=1000), st.none() | st.floats(0.1, 1e6))
def test_an_order_arrives_as_it_was_sent(spec: bytes, timeout_s: float | None) -> None:
    """The spec travels as the bytes that are stored."""
    order = Order("email.send", "email.send_00X", 2, 7, spec, timeout_s)
    assert decode_order(body(encode_frame(order))) == order
