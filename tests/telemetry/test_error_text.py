"""Exceptions as text: bounded, and cheap also where each was caused by another."""

import pytest

from millstream_telemetry import origin, traceback_of

LIMIT = 8_192


def chain(length: int, attribute: str) -> BaseException:
    """Return an exception with so many others behind it, each linked by `__cause__` or `__context__`."""
    error = ValueError("the first")
    for number in range(length):
        following = ValueError(f"number {number}")
        setattr(following, attribute, error)
        error = following
    return error


@pytest.mark.parametrize("attribute", ["__cause__", "__context__"])
def test_of_a_long_chain_only_the_last_exception_is_shown(attribute: str) -> None:
    """Each would be formatted with all of its frames."""
    assert traceback_of(chain(200, attribute), LIMIT) == "ValueError: number 199\n"


@pytest.mark.parametrize("attribute", ["__cause__", "__context__"])
def test_a_short_chain_is_shown_whole(attribute: str) -> None:
    """The first exception is often the one that tells what was wrong."""
    assert "the first" in traceback_of(chain(3, attribute), LIMIT)


def test_the_end_of_a_traceback_is_kept() -> None:
    """It names the cause."""
    text = traceback_of(ValueError("x" * 100), 20)
    assert text == "x" * 19 + "\n"


def fail() -> None:
    """Raise."""
    raise LookupError


def test_the_origin_is_the_frame_that_raised() -> None:
    """The frame that caught it says nothing about the error."""
    with pytest.raises(LookupError) as caught:
        fail()
    assert origin(caught.value) == "test_error_text.py:fail"
    assert origin(LookupError()) == ""
