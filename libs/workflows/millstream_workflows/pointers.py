"""Reads and writes JSON pointers. Source: RFC 6901."""

import re
from typing import Any

MAX_POINTER_CHARS = 256

_FORM = re.compile(r"(?:/(?:[^~/]|~[01])*)*", re.DOTALL)
_INDEX = re.compile(r"0|[1-9]\d{0,9}", re.ASCII)

MISSING = object()
"""Stands for a value that is not there."""


def pointer_to(*keys: str | int) -> str:
    """Return the pointer of these keys and indexes, cut when it is very long."""
    text = "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)
    return text if len(text) <= MAX_POINTER_CHARS else text[:MAX_POINTER_CHARS] + "…"


def is_pointer(text: str) -> bool:
    """Return whether a text is a pointer."""
    return _FORM.fullmatch(text) is not None


def value_at(value: Any, pointer: str) -> Any:
    """Return the value that a pointer names, or `MISSING`."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(key, MISSING)
        elif isinstance(value, list) and _INDEX.fullmatch(key) and int(key) < len(value):
            value = value[int(key)]
        else:
            return MISSING
    return value
