"""The texts for values which JSON has no type for, by the name of their format in JSON Schema.

Ingest calls these functions when it validates a submission, and workers read the same texts with the same parser: what
is accepted can be decoded. Where the parser knows less than the standard (leap seconds, the year 0000, durations in
months), the text is refused at submission.
"""

import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec


def _read(text: str, kind: type) -> Any:
    """Return the value of a text; None for a text of another format."""
    try:
        return msgspec.convert(text, kind)
    except msgspec.ValidationError:
        return None


def _is_zoned(text: str, kind: type) -> bool:
    value = _read(text, kind)
    return value is not None and value.tzinfo is not None


def _is_local(text: str, kind: type) -> bool:
    value = _read(text, kind)
    return value is not None and value.tzinfo is None


def _is_decimal(text: str) -> bool:
    """Whether a text is a finite decimal number."""
    value = _read(text, decimal.Decimal)
    return value is not None and value.is_finite()


TEXT_FORMATS: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {
        "date-time": lambda text: _is_zoned(text, dt.datetime),
        "date-time-local": lambda text: _is_local(text, dt.datetime),
        "time": lambda text: _is_zoned(text, dt.time),
        "time-local": lambda text: _is_local(text, dt.time),
        "date": lambda text: _read(text, dt.date) is not None,
        "duration": lambda text: _read(text, dt.timedelta) is not None,
        "uuid": lambda text: _read(text, uuid.UUID) is not None,
        "decimal": _is_decimal,
    }
)
"""Whether a text has a format. The names are those of JSON Schema, and of OpenAPI's registry of formats."""

BASE64_PATTERN = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
"""What the text of binary data matches: RFC 4648, with padding."""
