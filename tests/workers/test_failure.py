"""A failure is described as text, and its fingerprint groups it with equal ones."""

import functools
import json
import re

import pytest

from millstream_contracts import JobError, limits
from millstream_workers.attempt.failure import describe_failure, fingerprint
from millstream_workers.children.refusals import InvalidChildError
from millstream_workers.errors import (
    HandlerExitError,
    ProcessDiedError,
    RemoteError,
    SelfCancelledError,
    UndecidableError,
    UnreadableJobError,
)
from millstream_workers.isolation.pooled_process import NotBegunError


class ApiError(Exception):
    """An error class that the user defined."""


def look_up(key: str) -> None:
    """Raise an error whose message names the key."""
    if key:
        raise ApiError(f"no {key}")
    raise ApiError("no key at all")


def other_place() -> None:
    """Raise an error in another function."""
    raise ApiError("no")


def caught(call, *args) -> Exception:
    """Return the exception that a call raises."""
    try:
        call(*args)
    except Exception as error:  # noqa: BLE001 - that is what is wanted
        return error
    raise AssertionError("nothing was raised")


def test_fingerprint_is_equal_for_one_type_in_one_function() -> None:
    """Failures of one type in one function share a fingerprint.

    Message and line do not count, because they differ between jobs and releases.
    """
    assert fingerprint(caught(look_up, "a")) == fingerprint(caught(look_up, "b")) == fingerprint(caught(look_up, ""))


def test_fingerprint_differs_by_type_and_by_function() -> None:
    """A failure of another type or in another function has another fingerprint, so that two defects stay apart."""
    prints = {
        fingerprint(caught(look_up, "a")),
        fingerprint(caught(other_place)),
        fingerprint(caught(int, "x")),
        fingerprint(ApiError("never raised")),
    }
    assert len(prints) == 4
    assert all(re.fullmatch("v2:[0-9a-f]{16}", one) for one in prints)


def parse(text: str) -> object:
    """Raise the error of a library."""
    return json.loads(text)


def parse_elsewhere(text: str) -> object:
    """Raise the same error from another function."""
    return json.loads(text)


def test_fingerprint_names_the_function_of_the_application_also_where_a_library_raises() -> None:
    """Errors that one library raises for two functions of the handler's package stay apart."""
    once, again = (fingerprint(caught(parse, text)) for text in ("{", '["'))
    assert once != fingerprint(caught(parse_elsewhere, "{"))
    assert once == again


def test_fingerprint_passes_over_a_library_that_surrounds_the_handler() -> None:
    """A decorator of a library does not make its package that of the handler."""
    surrounded = functools.singledispatch(look_up)
    assert fingerprint(caught(surrounded, "a")) == fingerprint(caught(look_up, "a"))


def test_fingerprint_is_the_same_in_every_process_and_release() -> None:
    """The fingerprint depends on no hash seed and no address, because it groups the dead letters of all workers."""
    assert fingerprint(ValueError()) == "v2:47da6a277c185331"


def test_description_keeps_the_end_of_a_long_traceback() -> None:
    """A long traceback keeps its end, where the cause is."""

    def deep(n: int) -> None:
        if n:
            deep2(n)
        raise ApiError("the cause")

    def deep2(n: int) -> None:
        deep(n - 1)

    described = describe_failure(caught(deep, 200), 3, "00-trace")
    assert len(described.traceback) <= limits.MAX_ERROR_CHARS
    assert described.traceback.rstrip().endswith("the cause")
    assert (described.attempt, described.traceparent) == (3, "00-trace")
    assert described.type.endswith("ApiError")


def test_description_shows_the_cause_of_an_error() -> None:
    """The description shows the cause that `raise … from …` names."""

    def wrap() -> None:
        try:
            other_place()
        except ApiError as error:
            raise RuntimeError("outer") from error

    described = describe_failure(caught(wrap), 1)
    assert (described.type, described.message) == ("RuntimeError", "outer")
    assert "ApiError" in described.traceback


@pytest.mark.parametrize("message", ["\ud800 half a pair", "a\0b", "x" * 1_000_000, "é" * 20_000, ""])
def test_description_is_text_that_every_store_takes(message: str) -> None:
    """The description has no NUL and no lone surrogate, and its message is bounded."""
    described = describe_failure(caught(look_up, message), 1)
    for text in (described.message, described.traceback, described.type):
        text.encode()
        assert "\0" not in text
        assert len(text) <= limits.MAX_ERROR_CHARS


def test_description_survives_an_error_that_cannot_be_put_into_words() -> None:
    """An error whose `__str__` raises still has a description."""

    class MuteError(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    described = describe_failure(MuteError(), 1)
    assert described.type.endswith("MuteError")


def test_description_of_a_remote_failure_is_the_one_that_was_sent() -> None:
    """A failure in a handler process keeps the description from there; the worker adds attempt and span."""
    sent = JobError("ValueError", "nine", "f00d", "Traceback …", 0)
    described = describe_failure(RemoteError(sent), 4, "00-trace")
    assert described == JobError("ValueError", "nine", "f00d", "Traceback …", 4, "00-trace")


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (HandlerExitError, "millstream_workers.errors.HandlerExitError"),
        (InvalidChildError, "millstream_workers.child_jobs.InvalidChildError"),
        (NotBegunError, "millstream_workers.pooled_process.NotBegunError"),
        (ProcessDiedError, "millstream_workers.errors.ProcessDiedError"),
        (SelfCancelledError, "millstream_workers.errors.SelfCancelledError"),
        (UndecidableError, "millstream_workers.errors.UndecidableError"),
        (UnreadableJobError, "millstream_workers.errors.UnreadableJobError"),
    ],
)
def test_an_error_of_the_worker_is_stored_under_the_name_that_it_has_had(error: type[Exception], name: str) -> None:
    """An error of the worker keeps its stored name wherever its module lies, because users search and alert by it."""
    stored = describe_failure(error.__new__(error), 1)
    assert stored.type == name
