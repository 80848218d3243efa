"""Reads what stands in the fields of forms about jobs, and writes what is to stand there."""

import json
import re
from collections.abc import Mapping
from typing import Any

from millstream_console.drawing.user_text import json_text

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_LENGTH = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?(s|m|h|d)?")


class FieldFaultError(Exception):
    """A field cannot be read."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def payload_of(field: str, text: str) -> Any:
    """Return a payload that is typed as JSON; None for nothing. Raises: FieldFaultError."""
    try:
        return json.loads(text, parse_constant=_no_constant) if text else None
    except RecursionError:
        raise FieldFaultError(field, "It is nested too deeply.") from None
    except ValueError as error:
        raise FieldFaultError(field, f"This is no JSON: {error}.") from None


def payload_text(payload: Any) -> str:
    """Return a payload as JSON, with every digit of large numbers."""
    return json_text(payload, indent=2)


def tags_of(field: str, text: str) -> dict[str, str]:
    """Return tags that are typed one a line, `name: value`. Raises: FieldFaultError."""
    tags: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise FieldFaultError(field, f"Expected `name: value` on each line, got `{line}`.")
        tags[name.strip()] = value.strip()
    return tags


def tags_text(tags: Mapping[str, str] | None) -> str:
    """Return tags one a line."""
    return "\n".join(f"{name}: {value}" for name, value in sorted((tags or {}).items()))


def whole_number(field: str, text: str) -> int:
    """Return a number from 0 on. Raises: FieldFaultError."""
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise FieldFaultError(field, f"Expected a whole number, got `{text}`.")
    return int(text)


def length_of(field: str, text: str) -> float:
    """Return a length of time in seconds: `90`, `90s`, `10m`, `6h`, `14d`. Raises: FieldFaultError."""
    match = _LENGTH.fullmatch(text)
    if match is None:
        raise FieldFaultError(field, f"Expected a length of time such as `90s`, `10m`, `6h` or `14d`, got `{text}`.")
    return float(match[1]) * _UNITS[match[2] or "s"]


def length_text(seconds: float | None) -> str:
    """Return a length of time as `length_of` reads it, in the largest unit that leaves no rest; empty for None."""
    if seconds is None:
        return ""
    unit = next((one for one, unit_s in _UNITS.items() if seconds >= unit_s and seconds % unit_s == 0), "s")
    return f"{seconds / _UNITS[unit]:.10g}{unit}"


def _no_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")
