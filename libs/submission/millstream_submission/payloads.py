"""Checks the payload of a submission and packs it as one MessagePack value, which JSON can also show."""

import math
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.msgpack import Ext

from millstream_codec import CodecCode
from millstream_contracts import FieldError, limits
from millstream_submission.errors import invalid, too_large
from millstream_submission.field_errors import TOO_DEEP, decode, pointer
from millstream_submission.timestamps import times_as_text

_NIL = b"\xc0"

_decode_json = msgspec.json.Decoder().decode
_decode_msgpack = msgspec.msgpack.Decoder().decode
_encode = msgspec.msgpack.Encoder().encode

_CONTAINERS = frozenset({dict, list})
# What needs no look at each value: MessagePack has no integers beyond 64 bits, and `encode` refuses those from JSON.
_HARMLESS: frozenset[type] = frozenset({str, int, bool, type(None), bytes})


def pack_json(payload: Raw, prefix: str) -> tuple[Any, bytes]:
    """Return the value of a payload in JSON, and the MessagePack to be stored. Raises: SubmissionError."""
    if not payload:
        return None, _NIL
    _check_size(prefix, "the payload", len(payload))
    json = bytes(payload)
    value = decode(_decode_json, json, prefix=prefix)
    fault = None if _is_plain(json) else value_fault(value, prefix)
    if fault:
        raise invalid(fault)
    try:
        packed = _encode(value)
    except OverflowError:
        fault = value_fault(value, prefix, _HARMLESS - {int})
        assert fault is not None  # an integer beyond 64 bits
        raise invalid(fault) from None
    except RecursionError:
        raise invalid(FieldError(prefix, TOO_DEEP)) from None
    # A number may take more room than in JSON: the bound holds for what is stored too.
    _check_size(prefix, "the payload, as MessagePack,", len(packed))
    return value, packed


def pack_msgpack(payload: Raw, prefix: str) -> tuple[Any, bytes]:
    """Return the value of a payload in MessagePack, and the bytes to store, which are those of the payload.

    Only a payload with timestamps is written anew: they become text. If an object has a key twice, the last one wins,
    as in JSON. Raises: SubmissionError.
    """
    if not payload:
        return None, _NIL
    _check_size(prefix, "the payload", len(payload))
    packed = bytes(payload)
    value = decode(_decode_msgpack, packed, prefix=prefix)
    if fault := value_fault(value, prefix):
        # Checked only here: payloads without a time pay nothing for those that have one.
        if fault := value_fault(value, prefix, _HARMLESS | {datetime}):
            raise invalid(fault)
        packed = times_as_text(packed, value)
        _check_size(prefix, "the payload, with its times as text,", len(packed))
        value = _decode_msgpack(packed)
    return value, packed


def _check_size(prefix: str, what: str, size: int) -> None:
    if size > limits.MAX_PAYLOAD_BYTES:
        raise too_large(prefix, what, size, limits.MAX_PAYLOAD_BYTES)


def _is_plain(json: bytes) -> bool:
    """Whether the bytes of JSON prove all that :func:`value_fault` checks by walking the value.

    False proves nothing: then the value has to be walked.
    """
    return (
        json.count(b"[") + json.count(b"{") <= limits.MAX_PAYLOAD_DEPTH
        and json.count(b",") < limits.MAX_PAYLOAD_VALUES - limits.MAX_PAYLOAD_DEPTH
        and b"\\u0000" not in json
    )


def value_fault(value: Any, prefix: str, harmless: frozenset[type] = _HARMLESS) -> FieldError | None:
    """Return the first fault of a value as a payload, with its pointer; None without one.

    Scalars of `harmless` types are not checked. The walk goes level by level: no depth of nesting can end it early.
    """
    if type(value) not in _CONTAINERS:
        fault = _fault_of(value, harmless)
        return FieldError(prefix, fault) if fault else None
    level: list[Any] = [value]
    levels: list[list[Any]] = []
    room = limits.MAX_PAYLOAD_VALUES
    for _ in range(limits.MAX_PAYLOAD_DEPTH):
        room -= sum(map(len, level))
        if room < 0:
            return FieldError(prefix, f"more than {limits.MAX_PAYLOAD_VALUES:,} values in its objects and arrays")
        found: list[Any] = []
        for container in level:
            if not _is_sound(container, found, harmless):
                key, detail = next(_faults(container, harmless))
                return FieldError(prefix + pointer(*_path(levels, container), *key), detail)
        if not found:
            return None
        levels.append(level)
        level = found
    detail = f"nested more than {limits.MAX_PAYLOAD_DEPTH} levels deep"
    return FieldError(prefix + pointer(*_path(levels, level[0])), detail)


def _is_sound(container: Any, found: list[Any], harmless: frozenset[type]) -> bool:
    """Whether the keys and scalars of a container are valid; its containers are added to `found`.

    It is asked of every container of every payload, so it says no more than that; :func:`_faults` says what, once.
    """
    members = container
    if type(container) is dict:
        if not _are_keys(container):
            return False
        members = container.values()
    for member in members:
        kind = type(member)
        if kind in _CONTAINERS:
            found.append(member)
        elif (kind is str and "\0" in member) or (kind not in harmless and _scalar_fault(member)):
            return False
    return True


def _faults(container: Any, harmless: frozenset[type]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the faults that :func:`_is_sound` finds, each with its key; without keys where these are no text."""
    for key, member in _members(container):
        if type(container) is dict and not _are_keys([key]):
            yield (), "a key contains the character NUL" if type(key) is str else "the keys of a map have to be strings"
        elif type(member) not in _CONTAINERS and (fault := _fault_of(member, harmless)):
            yield (key,), fault


def _path(levels: list[list[Any]], container: Any) -> list[str | int]:
    """Return the keys that lead from the root of a walk to a container; `levels` are those above it."""
    path: list[str | int] = []
    for parents in reversed(levels):
        container, key = next(
            (parent, key) for parent in parents for key, member in _members(parent) if member is container
        )
        path.append(key)
    return path[::-1]


def _members(container: Any) -> Iterable[tuple[Any, Any]]:
    return container.items() if type(container) is dict else enumerate(container)


def _are_keys(keys: Iterable[Any]) -> bool:
    try:
        return "\0" not in "".join(keys)
    except TypeError:
        return False


def _fault_of(value: Any, harmless: frozenset[type]) -> str:
    kind = type(value)
    return _scalar_fault(value) if kind is str or kind not in harmless else ""


def _scalar_fault(value: Any) -> str:
    kind = type(value)
    if kind is str:
        # PostgreSQL can store NUL neither in text nor in jsonb, so history could not keep the job.
        return "contains the character NUL" if "\0" in value else ""
    if kind is int:
        return "" if -(1 << 63) <= value < 1 << 64 else "an integer beyond 64 bits"
    if kind is float:
        return "" if math.isfinite(value) else "NaN and Infinity cannot be shown as JSON"
    # Binary data is shown as base64.
    if value is None or kind is bool or kind is bytes:
        return ""
    if kind is datetime:
        return "a timestamp"
    return _extension_fault(value)


def _extension_fault(value: Ext) -> str:
    if value.code == CodecCode.SEALED:
        # On its way to another node of its workflow, told by a dispatcher that had not its key.
        return "the result of an encrypted job, whose key was not there"
    return (
        f"the MessagePack extension {value.code} has no form in JSON; of extensions only timestamps, -1, are accepted"
    )
