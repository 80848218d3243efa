"""Translates the constraints of a type into keywords of JSON Schema."""

import json
from itertools import takewhile
from typing import Any

import msgspec
from msgspec import inspect as mi

from millstream_contracts import BASE64_PATTERN

Schema = dict[str, Any]

_BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}

_WITHOUT_ZONE = {"date-time": "date-time-local", "time": "time-local"}


def bounds(info: Any) -> Schema:
    """Return the bounds of a number. They are finite: msgspec refuses others."""
    found = {word: getattr(info, name) for name, word in _BOUNDS.items()}
    return {word: bound for word, bound in found.items() if bound is not None}


def lengths(info: Any, what: str) -> Schema:
    """Return the bounds of a length; `what` is `Length` (of a text), `Items` (of an array) or `Properties`."""
    found = {f"min{what}": info.min_length, f"max{what}": info.max_length}
    return {word: bound for word, bound in found.items() if bound is not None}


def moment(zoned: str, *, tz: bool | None) -> Schema:
    """Return the schema of a time, with a zone, without one, or either."""
    local = _WITHOUT_ZONE[zoned]
    if tz is not None:
        return {"type": "string", "format": zoned if tz else local}
    return {"type": "string", "anyOf": [{"format": zoned}, {"format": local}]}


def binary(info: Any) -> Schema:
    """Return the schema of bytes as base64. The padding shows the number of bytes in the last four characters."""
    schema: Schema = {"type": "string", "contentEncoding": "base64", "pattern": BASE64_PATTERN}
    exact = []
    if info.min_length:
        quads, spare = _quads(info.min_length)
        schema["minLength"] = quads * 4
        if spare < 2:
            exact.append({"anyOf": [{"minLength": quads * 4 + 1}, {"pattern": ("[^=]$", "[^=]=?$")[spare]}]})
    if info.max_length is not None:
        quads, spare = _quads(info.max_length)
        schema["maxLength"] = quads * 4
        if spare:
            exact.append({"anyOf": [{"maxLength": quads * 4 - 4}, {"pattern": "=" * spare + "$"}]})
    return {**schema, "allOf": exact} if exact else schema


def _quads(length: int) -> tuple[int, int]:
    """Return the number of groups of four characters for `length` bytes, and the bytes that these have to spare."""
    quads = -(-length // 3)
    return quads, quads * 3 - length


def positions(info: Any, fields: list[Schema]) -> Schema:
    """Return the schema of a class that is encoded as an array, with a schema for each position."""
    closed = isinstance(info, mi.NamedTupleType) or info.forbid_unknown_fields
    may_be_missing = len(list(takewhile(lambda field: not field.required, reversed(info.fields))))
    return {
        "type": "array",
        "prefixItems": fields,
        "minItems": len(fields) - may_be_missing,
        **({"maxItems": len(fields)} if closed else {}),
    }


def default(field: mi.Field) -> Schema:
    """Return the default of a field, where JSON can express it."""
    value = field.default_factory() if field.default_factory in {list, dict, set, bytearray} else field.default
    if value is msgspec.NODEFAULT:
        return {}
    try:
        plain = msgspec.to_builtins(value, str_keys=True)
        json.dumps(plain, allow_nan=False)
        msgspec.msgpack.encode(plain)
    except (TypeError, ValueError, OverflowError):
        return {}
    return {"default": plain}
