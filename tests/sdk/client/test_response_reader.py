"""The client reads refusals of the API, and of other servers."""

import re
from datetime import UTC, datetime

import pytest

from millstream.client.flow import NoResponse, Response
from millstream.client.response_reader import explain, retry_after_s
from millstream.errors import AccessError, ApiError, ConflictError, InvalidError, JobNotFoundError, UnavailableError

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
    """`Retry-After` is read as seconds or a date, by RFC 9110; a past date means now, and other texts mean none."""
    assert retry_after_s({"retry-after": header}, NOW) == seconds


@pytest.mark.parametrize("date", ["Fri, 02 Jan 2026 01:04:05 GMT", "Fri, 02 Jan 2026 05:04:05 GMT"])
def test_retry_after_is_counted_from_the_date_of_the_answer(date: str) -> None:
    """A date in `Retry-After` counts from the `Date` of the response, however wrong the clock of this machine is."""
    after = date.replace("04:05", "04:35")
    assert retry_after_s({"retry-after": after, "date": date}, NOW) == 30.0
    assert retry_after_s({"retry-after": "Fri, 02 Jan 2026 03:04:35 GMT", "date": "nonsense"}, NOW) == 30.0


def test_explain_fills_in_a_problem_when_members_are_missing() -> None:
    """Missing members of a problem document are filled in from the status line."""
    answer = Response(503, {"content-type": "application/problem+json"}, b'{"detail": "later"}')
    error = explain(answer, "http://h/v1/jobs")
    assert isinstance(error, UnavailableError)
    assert str(error) == "Service Unavailable: later"


@pytest.mark.parametrize("content", [b'{"a": 1}', b"[]", b"{", b'{"title": 3}', b"", b"\xff\x00\x1b[31m"])
def test_explain_returns_an_error_when_the_problem_is_no_problem(content: bytes) -> None:
    """The error is an ApiError in printable text, whatever the body of the response is."""
    answer = Response(500, {"content-type": "application/problem+json"}, content)
    error = explain(answer, "http://h/v1/jobs?secret=1")
    assert type(error) is ApiError
    assert str(error).isprintable()
    assert "500 Internal Server Error" in str(error)
    assert "secret" not in str(error)


ERRORS: dict[int, type[ApiError]] = {
    **dict.fromkeys((400, 413, 415, 422), InvalidError),
    404: JobNotFoundError,
    **dict.fromkeys((409, 412), ConflictError),
    **dict.fromkeys((429, 502, 503, 504), UnavailableError),
    **dict.fromkeys((401, 403), AccessError),
    **dict.fromkeys((406, 500, 501), ApiError),
}


@pytest.mark.parametrize(("status", "error"), ERRORS.items())
def test_explain_makes_the_error_of_each_status(status: int, error: type[ApiError]) -> None:
    """Each status with a problem document is one class of error, which keeps the problem and the wait."""
    headers = {"content-type": "application/problem+json", "retry-after": "7"}
    made = explain(Response(status, headers, b'{"title": "No", "detail": "because"}'), "http://h")
    assert type(made) is error
    assert (made.problem.status, made.problem.detail, made.retry_after_s) == (status, "because", 7.0)


@pytest.mark.parametrize("status", ERRORS)
def test_explain_takes_a_stranger_at_its_word_only_where_it_is_unavailable(status: int) -> None:
    """A response that is no problem document becomes no error about a job, and may say when to retry."""
    made = explain(Response(status, {"content-type": "text/html", "retry-after": "7"}, b"<html>"), "http://h")
    assert type(made) is (UnavailableError if status in {429, 502, 503, 504} else ApiError)
    assert (made.problem.status, made.retry_after_s) == (status, 7.0)


def test_explain_shows_the_beginning_of_a_long_page_and_no_secret_of_the_url() -> None:
    """The error shows 160 characters of a page, and neither user nor password of the URL."""
    url = "http://user:password@h/v1/jobs?token=1"
    text = str(explain(Response(500, {}, b"x" * 161), url))
    assert text.endswith("x" * 160 + "\u2026")
    assert "http://h/v1/jobs sent" in text
    assert not {"user", "password", "token"} & set(re.findall(r"\w+", text))
    assert str(explain(Response(500, {}, b"y" * 160), url)).endswith(": " + "y" * 160)


@pytest.mark.parametrize("maybe_done", [False, True])
def test_explain_says_whether_a_request_without_an_answer_may_have_been_carried_out(maybe_done: bool) -> None:
    """The error of a request without a response has the cause, and says whether the request may have been executed."""
    text = str(explain(NoResponse("refused", maybe_done=maybe_done), "http://h/x"))
    assert "http://h/x: refused" in text
    assert ("may have been carried out" in text) is maybe_done
