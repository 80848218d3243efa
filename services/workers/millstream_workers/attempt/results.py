"""Converts results of handlers to plain data and encodes them once, where the handler ran."""

from typing import Any

import msgspec
from msgspec import Struct

from millstream_contracts import limits


class EncodedResult(Struct, frozen=True):
    """A result that a handler's own process has encoded."""

    blob: bytes


def encode_result(value: Any) -> bytes:
    """Return a result in MessagePack that JSON can show too.

    Raises: ValueError, TypeError, OverflowError or RecursionError, when it cannot be stored; any exception that an
    attribute of a user's class raises.
    """
    if value is None:
        return b"\xc0"
    if type(value) is EncodedResult:
        return value.blob
    encoded = msgspec.msgpack.encode(msgspec.to_builtins(value, builtin_types=(bytes,), str_keys=True))
    if len(encoded) > limits.MAX_RESULT_BYTES:
        raise ValueError(
            f"the result has {len(encoded)} bytes, more than {limits.MAX_RESULT_BYTES}: store it elsewhere"
        )
    return encoded
