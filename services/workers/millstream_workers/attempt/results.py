"""Results of handlers: made plain data, encoded and checked once, where the handler ran.

A result is checked as the client will read it: by the decoder of the annotation, which accepts what the published
schema accepts (ADR 41). Without an annotation it is any value that can be shown as JSON.
"""

import math
import re
from typing import Any

import msgspec
from msgspec import Struct

from millstream.payloads import DataType, plain_result
from millstream_contracts import limits
from millstream_workers.errors import ResultTypeError

_NIL = b"\xc0"

_SCALARS: frozenset[type] = frozenset({str, int, bool, bytes})
"""Types whose values are plain data already: to have them made plain takes five times as long."""

_A_FLOAT = 0xCB
"""The byte with which a float in MessagePack begins: to look for one byte takes a tenth of a search."""

_seem_infinite = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]", re.DOTALL).search
"""Finds how a float in MessagePack begins that is infinite or no number. A text may contain the same bytes."""

_encode = msgspec.msgpack.Encoder().encode


class EncodedResult(Struct, frozen=True):
    """A result that a handler's own process has encoded and checked."""

    blob: bytes


def encode_result(value: Any, gives: DataType) -> bytes:
    """Return a result in MessagePack, such that it can be shown as JSON and is what the handler is annotated with.

    Raises: ResultTypeError, which names the field; ValueError, TypeError, OverflowError or RecursionError, when it
    cannot be stored; anything, when it is of a user's class whose attributes raise.
    """
    if value is None and gives.takes_none:
        return _NIL
    if type(value) is EncodedResult:
        return value.blob
    is_scalar = type(value) in _SCALARS
    encoded = _encode(value if is_scalar else plain_result(value))
    if len(encoded) > limits.MAX_RESULT_BYTES:
        raise ValueError(
            f"the result has {len(encoded)} bytes, more than {limits.MAX_RESULT_BYTES}: store it elsewhere"
        )
    if _A_FLOAT in encoded and not is_scalar and _seem_infinite(encoded):
        _check_finite(msgspec.msgpack.decode(encoded), "$")
    if gives.schema is not None:
        _check_type(encoded, gives)
    return encoded


def _check_type(encoded: bytes, gives: DataType) -> None:
    try:
        gives.decode(encoded)
    except msgspec.ValidationError as error:
        raise ResultTypeError(f"the result is no {gives.name}: {error}") from None


def _check_finite(value: Any, path: str) -> None:
    """Raise ValueError for a number that JSON has no form for."""
    match value:
        case float() if not math.isfinite(value):
            raise ValueError(f"the result has {value} at `{path}`: NaN and infinities cannot be shown as JSON")
        case dict():
            for name, member in value.items():
                _check_finite(member, f"{path}.{name}")
        case list():
            for at, member in enumerate(value):
                _check_finite(member, f"{path}[{at}]")
