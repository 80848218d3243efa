"""Checks the payload of a submission and makes it what is stored: one MessagePack value, also showable as JSON."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Raw

from millstream_contracts import FieldError, limits
from millstream_ingest.errors import TOO_DEEP, field_error, invalid, malformed, pointer, too_large
from millstream_ingest.negotiation import Encoding

_NIL = b"\xc0"

_decode_payload = {
    Encoding.JSON: msgspec.json.Decoder().decode,
    Encoding.MSGPACK: msgspec.msgpack.Decoder().decode,
}
_CONTAINERS = frozenset({dict, list})
# What needs no look at each value: MessagePack has no larger integers, and `encode` refuses them from JSON.
_HARMLESS = frozenset({str, int, bool, type(None), bytes})

# To read a member of an enumeration off its class takes 0.1 us.
_MSGPACK = Encoding.MSGPACK
_encode = msgspec.msgpack.Encoder().encode


def pack_payload(payload: Raw, encoding: Encoding, prefix: str) -> tuple[Any, bytes]:
    """Return a payload's value and the MessagePack to be stored. Raises: BodyError.

    MessagePack is stored as it came. Of keys that stand twice in one object the last wins, in both encodings.
    """
    if not payload:
        return None, _NIL
    if len(payload) > limits.MAX_PAYLOAD_BYTES:
        raise too_large(prefix, "the payload", len(payload), limits.MAX_PAYLOAD_BYTES)
    value, packed = _repack(bytes(payload), encoding, prefix)
    if packed is None:
        raise invalid(_too_many(prefix) if _is_too_much(value) else next(_payload_faults(value, prefix)))
    # A number may take more room than in JSON: the bound holds for what is stored too.
    if len(packed) > limits.MAX_PAYLOAD_BYTES:
        raise too_large(prefix, "the payload, as MessagePack,", len(packed), limits.MAX_PAYLOAD_BYTES)
    return value, packed


def _repack(payload: bytes, encoding: Encoding, prefix: str) -> tuple[Any, bytes | None]:
    """Return the payload's value, and its MessagePack unless a part of the value may not be."""
    try:
        value = _decode_payload[encoding](payload)
        if encoding is _MSGPACK:
            return value, payload if _is_sound(value) else None
        return value, _encode(value) if _is_plain(payload) or _is_sound(value) else None
    except msgspec.ValidationError as error:
        raise invalid(field_error(error, prefix=prefix)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(error, prefix) from None
    except RecursionError:
        raise invalid(FieldError(prefix, TOO_DEEP)) from None
    except OverflowError:
        return value, None


def _is_plain(json: bytes) -> bool:
    """Whether JSON is sound as far as only its value could tell: one look at the bytes spares most that walk."""
    return (
        json.count(b"[") + json.count(b"{") <= limits.MAX_PAYLOAD_DEPTH
        and json.count(b",") < limits.MAX_PAYLOAD_VALUES - limits.MAX_PAYLOAD_DEPTH
        and b"\\u0000" not in json
    )


def _is_sound(value: Any) -> bool:
    """Whether a value may be a payload. It goes level by level: no depth of nesting can end it early."""
    if type(value) not in _CONTAINERS:
        return not _scalar_fault(value)
    containers: list[Any] = [value]
    room = limits.MAX_PAYLOAD_VALUES
    for _ in range(limits.MAX_PAYLOAD_DEPTH):
        found: list[Any] = []
        room -= sum(map(len, containers))
        if room < 0:
            return False
        for container in containers:
            if not _is_sound_container(container, found):
                return False
        if not found:
            return True
        containers = found
    return False


def _is_sound_container(container: Any, found: list[Any]) -> bool:
    """Whether the keys and scalars of a container may be; what it contains of others is added to `found`."""
    members = container
    if type(container) is dict:
        if not _are_keys(container):
            return False
        members = container.values()
    for member in members:
        kind = type(member)
        if kind in _CONTAINERS:
            found.append(member)
        elif (kind is str and "\0" in member) or (kind not in _HARMLESS and _scalar_fault(member)):
            return False
    return True


def _is_too_much(value: Any) -> bool:
    """Whether a value has more members than a payload may have."""
    containers, room = [value], limits.MAX_PAYLOAD_VALUES
    while containers:
        containers = [container for container in containers if type(container) in _CONTAINERS]
        room -= sum(map(len, containers))
        if room < 0:
            return True
        containers = [
            member
            for container in containers
            for member in (container.values() if type(container) is dict else container)
        ]
    return False


def _are_keys(keys: Iterable[Any]) -> bool:
    try:
        return "\0" not in "".join(keys)
    except TypeError:
        return False


def _scalar_fault(value: Any) -> str:
    kind = type(value)
    if kind is str:
        # PostgreSQL can store NUL neither in text nor in jsonb, so history could not keep the job.
        return "contains the character NUL" if "\0" in value else ""
    if kind is int:
        return "" if -(1 << 63) <= value < 1 << 64 else "an integer beyond 64 bits"
    if kind is float:
        return "" if math.isfinite(value) else "NaN and Infinity cannot be shown as JSON"
    # Binary data is shown as base64. Every other extension, timestamps too, would have no one form in JSON.
    if value is None or kind is bool or kind is bytes:
        return ""
    return "MessagePack extension types are not supported; write times as text, by RFC 3339"


def _too_many(prefix: str) -> FieldError:
    return FieldError(prefix, f"more than {limits.MAX_PAYLOAD_VALUES:,} values in its objects and arrays")


def _payload_faults(value: Any, prefix: str, depth: int = 1) -> Iterator[FieldError]:
    """Yield what is wrong with a payload, each with its pointer. The slow twin of :func:`_is_sound`."""
    if type(value) not in _CONTAINERS:
        if fault := _scalar_fault(value):
            yield FieldError(prefix, fault)
        return
    if depth > limits.MAX_PAYLOAD_DEPTH:
        yield FieldError(prefix, f"nested more than {limits.MAX_PAYLOAD_DEPTH} levels deep")
        return
    for key, member in value.items() if type(value) is dict else enumerate(value):
        if type(value) is dict and type(key) is not str:
            yield FieldError(prefix, "the keys of a map have to be strings")
        elif type(key) is str and "\0" in key:
            yield FieldError(prefix, "a key contains the character NUL")
        else:
            yield from _payload_faults(member, prefix + pointer(key), depth + 1)
