"""Writes values and keys as a query has them."""

import re

_BARE_VALUE = re.compile(r"[\w$@/+-][^\s,\"\\()*]*")
_BARE_KEY = re.compile(r"[\w$@/-]+")


def written_value(text: str) -> str:
    """Return a value as it stands in a query: with quotes where it would mean something else, or nothing."""
    return text if _BARE_VALUE.fullmatch(text) and ".." not in text else _quoted(text)


def written_key(key: str) -> str:
    """Return a key of a path as it stands in a query."""
    return key if _BARE_KEY.fullmatch(key) else _quoted(key)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
