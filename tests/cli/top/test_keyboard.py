"""The keyboard of `top` knows keys by name, however they arrive."""

import os
from collections.abc import Iterator

import pytest

from millstream_cli.top.keyboard import Keyboard


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Yield both ends of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_keys_have_names(pipe: tuple[int, int]) -> None:
    """Keys that come together are read one by one, and those of several characters are one key."""
    os.write(pipe[1], b"j\x1b[A\x1b[6~\r\tq\x7f")
    keys = Keyboard(pipe[0])
    assert [keys.read(1.0) for _ in range(7)] == ["j", "up", "page down", "enter", "tab", "q", "backspace"]


def test_no_key_is_an_empty_text(pipe: tuple[int, int]) -> None:
    """Where no key is pressed in time, the text is empty; Escape alone is a key."""
    keys = Keyboard(pipe[0])
    assert keys.read(0.0) == ""
    os.write(pipe[1], b"\x1b")
    assert keys.read(1.0) == "escape"
