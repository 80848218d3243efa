"""Makes any value plain and short enough for a log line, whatever its own methods do.

A value's `__repr__`, `__class__` or iteration may raise anything, or never come to an end of nesting. Nothing
here raises but KeyboardInterrupt, and no result is longer than the bounds below.
"""

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from millstream_telemetry.error_text import converted

MAX_VALUE_CHARS = 8_192
MAX_DEPTH = 8
MAX_MEMBERS = 200
"""Members of all containers of a value together."""
MAX_INT_BITS = 4_096
"""Python refuses to print much longer ones."""


def shown(value: object, convert: Callable[[Any], str] = repr) -> str:
    """Return a value as text: bounded, without lone surrogates."""
    return cut(converted(value, convert, passes=(KeyboardInterrupt,)))


def kind_of(value: object) -> str:
    """Return the name of a value's type, also of one whose metaclass says otherwise."""
    name: str = type.__dict__["__name__"].__get__(type(value))
    return cut(name)


def cut(text: str, limit: int = MAX_VALUE_CHARS) -> str:
    """Return the beginning of a text, in characters that every encoding takes."""
    # Not `text[:limit]`: a subclass of str may have a `__getitem__` of its own.
    start = str.__getitem__(text, slice(0, limit)).encode(errors="backslashreplace").decode()
    left_out = str.__len__(text) - limit
    return f"{start}... ({left_out} characters left out)" if left_out > 0 else start


def exception_text(exc_info: object) -> str:
    """Return the traceback that `exc_info` asks for: an exception, a tuple with one, or True; or an empty string."""
    error = _exception(exc_info)
    if error is None:
        return ""
    try:
        return "".join(traceback.format_exception(error)).rstrip("\n")
    except KeyboardInterrupt:
        raise
    except BaseException as problem:  # noqa: BLE001 - its notes, causes and attributes may raise anything
        return f"{kind_of(error)}: {shown(error, str)}\n<its traceback raised {kind_of(problem)}>"


def _exception(exc_info: object) -> BaseException | None:
    if issubclass(type(exc_info), BaseException):
        return exc_info  # type: ignore[return-value]
    if type(exc_info) is tuple:
        return _exception(exc_info[1]) if len(exc_info) > 1 else None
    return sys.exc_info()[1]


class PlainCopy:
    """Copies one value into what JSON has, up to the bounds."""

    def __init__(self) -> None:
        self._members_left = MAX_MEMBERS
        self._chars_left = MAX_VALUE_CHARS

    def of(self, value: Any, depth: int = 0) -> Any:
        """Return the copy. Containers that are too deep or too full end in a text that says so."""
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return _plain_int(value)
        if kind in {dict, list, tuple, set, frozenset}:
            return self._container(value, depth)
        return self._text(value)

    def _text(self, value: Any) -> str:
        text = cut(value if type(value) is str else shown(value), max(0, self._chars_left))
        self._chars_left -= len(text)
        return text

    def _container(self, value: Any, depth: int) -> Any:
        if depth >= MAX_DEPTH or self._is_full:
            return f"<{kind_of(value)} of {len(value)}>"
        try:
            if type(value) is dict:
                return {self._text(key): self.of(one, depth + 1) for key, one in self._some(value.items())}
            return [self.of(one, depth + 1) for one in self._some(value)]
        except RuntimeError:  # another thread changes it meanwhile
            return f"<{kind_of(value)}, changing>"

    @property
    def _is_full(self) -> bool:
        return self._members_left <= 0 or self._chars_left <= 0

    def _some(self, members: Iterable[Any]) -> Iterator[Any]:
        for member in members:
            if self._is_full:
                return
            self._members_left -= 1
            yield member


def _plain_int(value: int) -> int | str:
    bits = value.bit_length()
    return value if bits <= MAX_INT_BITS else f"<int of {bits} bits>"
