"""Patterns of addresses are filled with values that stay values."""

import msgspec
import pytest

from millstream_console.drawing.url_pattern import MAX_VALUE_CHARS, filled
from millstream_console.settings import ConsoleSettings


def test_values_are_quoted_and_cut() -> None:
    """A value can neither end its parameter nor lead elsewhere, and has no more than some hundred characters."""
    pattern = "https://example.com/new?title={type}&body={message}&again={type}"
    assert filled(pattern, {"type": "a b", "message": "x&y=/{type}#"}) == (
        "https://example.com/new?title=a%20b&body=x%26y%3D%2F%7Btype%7D%23&again=a%20b"
    )
    assert len(filled("{message}", {"message": "x" * 9999})) == MAX_VALUE_CHARS
    assert filled("", {"type": "a"}) == ""


def test_a_place_that_there_is_not_is_refused_by_name() -> None:
    """A misspelt place ends the start, with what was meant."""
    with pytest.raises((ValueError, msgspec.ValidationError), match=r"no place `\{finger_print\}`.*fingerprint"):
        ConsoleSettings(console_issue_url="https://example.com/?q={finger_print}")
    with pytest.raises((ValueError, msgspec.ValidationError), match=r"no place `\{job\}`.*job_id"):
        ConsoleSettings(console_log_url="https://example.com/?q={job}")
