"""What a handler in a process raises or returns means in its worker what it means on the loop."""

from datetime import timedelta
from typing import Any

import pytest

from millstream import Dead, Discard, Retry, RetryAfter, Snooze
from millstream.durable.suspension import Suspended
from millstream_contracts import JobId, limits
from millstream_workers.attempt.handler_request import RemoteRequest, read_request
from millstream_workers.errors import RemoteError
from millstream_workers.isolation.frames import (
    FrameBuffer,
    Order,
    ReturnReport,
    decode_order,
    decode_report,
    encode_frame,
)
from millstream_workers.isolation.outcome_reports import report_raise, result_of

ATTEMPT = 4


def sent(error: BaseException, retry: Retry | None = None) -> BaseException:
    """Return what the worker raises for what a handler has raised, after its report was sent."""
    buffer = FrameBuffer()
    buffer.feed(encode_frame(report_raise(7, raised(error), ATTEMPT, retry)))
    body = buffer.take()
    assert body is not None
    report: Any = decode_report(body)
    assert report.number == 7
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - what it is is what the tests are about
        result_of(report)
    return caught.value


def raised(error: BaseException) -> BaseException:
    """Return an error that was raised in a function of users."""
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        Snooze(2.5),
        Snooze(timedelta(minutes=2), gate="type"),
        Snooze(1, gate="key"),
        Suspended(1_500, "paid"),
        Suspended(0, "", (JobId("a_1"), JobId("b_2"))),
        Discard("not wanted"),
        Dead("no such account"),
        RetryAfter(7),
    ],
    ids=repr,
)
def test_a_request_means_the_same_after_its_way_to_the_worker(error: BaseException) -> None:
    """The delay, the reason, the signal, the jobs and the hold of a request are those that the handler has raised."""
    assert read_request(sent(error)) == read_request(error)


@pytest.mark.parametrize(("error", "kind"), [(ValueError("no"), RemoteError), (Dead("no"), RemoteRequest)])
def test_a_failure_has_its_attempt_and_its_frames(error: Exception, kind: type[RemoteError]) -> None:
    """A failure says at which attempt it was, and has frames for log lines, which quote no message."""
    caught = sent(error)
    assert type(caught) is kind
    assert isinstance(caught, RemoteError)
    assert caught.error.attempt == ATTEMPT
    assert "in raised" in caught.frames


def test_the_largest_payload_and_result_fit_into_a_frame() -> None:
    """What the API takes as a payload and what may be stored as a result goes to a process and back."""
    order = Order(1, "a.b", "a.b_1", 1, 1, bytes(limits.MAX_BODY_BYTES), None)
    report = ReturnReport(1, bytes(limits.MAX_RESULT_BYTES))
    for message, decode in ((order, decode_order), (report, decode_report)):
        buffer = FrameBuffer()
        buffer.feed(encode_frame(message))
        body = buffer.take()
        assert body is not None
        assert decode(body) == message
