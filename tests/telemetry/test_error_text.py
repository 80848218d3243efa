"""An exception is rendered as bounded text, at low cost also with a long chain of causes."""

import pytest

from millstream_telemetry import origin, traceback_of

LIMIT = 8_192


def chain(length: int, attribute: str) -> BaseException:
    """Return an exception with this many others behind it, linked by `__cause__` or `__context__`."""
    error = ValueError("the first")
    for number in range(length):
        following = ValueError(f"number {number}")
        setattr(following, attribute, error)
        error = following
    return error


@pytest.mark.parametrize("attribute", ["__cause__", "__context__"])
def test_of_a_long_chain_only_the_last_exception_is_shown(attribute: str) -> None:
    """Of a long chain only the last exception is rendered."""
    assert traceback_of(chain(200, attribute), LIMIT) == "ValueError: number 199\n"


@pytest.mark.parametrize("attribute", ["__cause__", "__context__"])
def test_a_short_chain_is_shown_whole(attribute: str) -> None:
    """A short chain is rendered whole, since its first exception often names the fault."""
    assert "the first" in traceback_of(chain(3, attribute), LIMIT)


def test_the_end_of_a_traceback_is_kept() -> None:
    """A long traceback keeps its end, which names the cause."""
    text = traceback_of(ValueError("x" * 100), 20)
    assert text == "x" * 19 + "\n"


def fail() -> None:
    """Raise."""
    raise LookupError


def test_the_origin_is_the_frame_that_raised() -> None:
    """The origin of an error is the frame that raised it, and not the one that caught it."""
    with pytest.raises(LookupError) as caught:
        fail()
    assert origin(caught.value) == "test_error_text.py:fail"
    assert origin(LookupError()) == ""
