"""Reads one field of a payload, without decoding the rest."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

_decode_members = msgspec.msgpack.Decoder(dict[str, Raw]).decode
_decode = msgspec.msgpack.Decoder().decode


def value_at(payload: bytes | Raw, names: Sequence[str]) -> Any:
    """Return the value at a path into a payload in MessagePack; None where there is nothing."""
    for name in names:
        try:
            payload = _decode_members(payload)[name]
        except (msgspec.ValidationError, KeyError):
            return None
    return _decode(payload)
