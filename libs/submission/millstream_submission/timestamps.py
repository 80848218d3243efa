"""Writes timestamps of MessagePack as text of RFC 3339: JSON has no other form for a time, and no schema knows one.

Source: the MessagePack specification, section "Timestamp extension type".
"""

import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.msgpack import Ext

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_BITS = 34

_members_of = msgspec.msgpack.Decoder(dict[str, Raw]).decode
_items_of = msgspec.msgpack.Decoder(list[Raw]).decode
_extension_of = msgspec.msgpack.Decoder(Ext).decode
_encode = msgspec.msgpack.Encoder().encode


def times_as_text(packed: bytes | Raw, value: Any) -> bytes:
    """Return a payload with each timestamp as text. `value` is what it was decoded to; its keys have to be text."""
    match value:
        case datetime():
            return _encode(_text(bytes(_extension_of(packed).data)))
        case dict():
            members = _members_of(packed)
            return _encode({key: Raw(times_as_text(member, value[key])) for key, member in members.items()})
        case list():
            return _encode([Raw(times_as_text(*pair)) for pair in zip(_items_of(packed), value, strict=True)])
    return bytes(packed)


def _text(data: bytes) -> str:
    """Return a time in UTC with as many digits of its fraction as it needs: none, three, six or nine."""
    seconds, nanoseconds = _parts(data)
    whole = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()
    digits = f"{nanoseconds:09}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f"{whole}.{digits}Z" if digits else f"{whole}Z"


def _parts(data: bytes) -> tuple[int, int]:
    """Return the seconds and nanoseconds of one of the three widths; msgspec has refused every other."""
    if len(data) == 4:
        return int.from_bytes(data), 0
    if len(data) == 8:
        both = int.from_bytes(data)
        return both & ((1 << _SECONDS_BITS) - 1), both >> _SECONDS_BITS
    nanoseconds, seconds = struct.unpack(">Iq", data)
    return seconds, nanoseconds
