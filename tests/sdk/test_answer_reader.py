"""Reading refusals."""

from datetime import UTC, datetime

import pytest

from millstream.answer_reader import explain, retry_after_s
from millstream.conversation import Answer
from millstream.errors import ApiError, UnavailableError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("Fri, 02 Jan 2026 03:04:35 GMT", 30.0),
        ("Fri, 02 Jan 2026 03:04:35 -0000", 30.0),
        ("Fri, 02 Jan 2026 03:04:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    """Both forms of RFC 9110 are understood, a date in the past means now, and nonsense means nothing."""
    assert retry_after_s({"retry-after": header}, NOW) == seconds


@pytest.mark.parametrize("date", ["Fri, 02 Jan 2026 01:04:05 GMT", "Fri, 02 Jan 2026 05:04:05 GMT"])
def test_retry_after_is_counted_from_the_date_of_the_answer(date: str) -> None:
    """A client that is two hours ahead would not wait at all, and one that is behind for two hours."""
    after = date.replace("04:05", "04:35")
    assert retry_after_s({"retry-after": after, "date": date}, NOW) == 30.0
    assert retry_after_s({"retry-after": "Fri, 02 Jan 2026 03:04:35 GMT", "date": "nonsense"}, NOW) == 30.0


def test_explain_fills_in_a_problem_when_members_are_missing() -> None:
    """All members of a problem document are optional; the status line fills the gaps."""
    answer = Answer(503, {"content-type": "application/problem+json"}, b'{"detail": "later"}')
    error = explain(answer, "http://h/v1/jobs")
    assert isinstance(error, UnavailableError)
    assert str(error) == "Service Unavailable: later"


@pytest.mark.parametrize("content", [b'{"a": 1}', b"[]", b"{", b'{"title": 3}', b"", b"\xff\x00\x1b[31m"])
def test_explain_returns_an_error_when_the_problem_is_no_problem(content: bytes) -> None:
    """Whatever is sent, the error is an ApiError in printable text."""
    answer = Answer(500, {"content-type": "application/problem+json"}, content)
    error = explain(answer, "http://h/v1/jobs?secret=1")
    assert type(error) is ApiError
    assert str(error).isprintable()
    assert "500 Internal Server Error" in str(error)
    assert "secret" not in str(error)
