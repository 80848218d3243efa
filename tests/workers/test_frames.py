"""What a worker and its handler processes say to each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_contracts import JobError, Progress
from millstream_workers.frames import (
    HEADER,
    Order,
    ProgressReport,
    RaiseReport,
    ReturnReport,
    decode_order,
    decode_report,
    encode_frame,
)

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def body(frame: bytes) -> bytes:
    """Return what stands behind the length, having checked that."""
    (length,) = HEADER.unpack(frame[: HEADER.size])
    assert len(frame) == HEADER.size + length
    return frame[HEADER.size :]


@given(plain)
def test_a_result_arrives_as_it_was_sent(value: object) -> None:
    """Whatever plain data a handler returns."""
    assert decode_report(body(encode_frame(ReturnReport(value)))) == ReturnReport(value)


@pytest.mark.parametrize(
    "report",
    [
        ProgressReport(Progress(40.0, "half")),
        RaiseReport("Snooze", 2.5),
        RaiseReport("Snooze", 3),
        RaiseReport("Dead", "no such account"),
        RaiseReport("error", error=JobError("ValueError", "no", "f00d", "Traceback", 2)),
    ],
)
def test_a_report_arrives_as_it_was_sent(report: ProgressReport | RaiseReport) -> None:
    """Each kind is told apart by its tag."""
    assert decode_report(body(encode_frame(report))) == report


@given(st.binary(max_size=1000), st.none() | st.floats(0.1, 1e6))
def test_an_order_arrives_as_it_was_sent(spec: bytes, timeout_s: float | None) -> None:
    """The spec travels as the bytes that are stored."""
    order = Order("email.send", "email.send_00X", 2, 7, spec, timeout_s)
    assert decode_order(body(encode_frame(order))) == order
