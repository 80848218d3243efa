"""Makes every stored value showable, so that no value of a handler or another program leads to a 500."""

import base64
from typing import Any

import msgspec

MAX_SHOWN_DEPTH = 128
"""Twice the depth of a payload; results, and values that were written past the API, may be deeper."""


def showable(value: Any, depth: int = 0) -> Any:
    """Return a value in the types of JSON: keys are text, extensions are bytes, and deeper nesting is null.

    It is slow, and only for values that an encoder has refused.
    """
    if depth > MAX_SHOWN_DEPTH:
        return None
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        return {_key(key): showable(member, depth + 1) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [showable(member, depth + 1) for member in value]
    return bytes(value.data) if isinstance(value, msgspec.msgpack.Ext) else value


def _key(key: Any) -> str:
    return base64.b64encode(key).decode() if isinstance(key, bytes) else str(key)
