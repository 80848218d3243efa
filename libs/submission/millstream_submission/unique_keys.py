"""Makes the unique key of a job: of its submission, of fields of its payload, or of all of that; pure functions.

Two jobs of a type with the same key are the same work. Redis compares digests; the text is for people.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from millstream_contracts import FieldError, JobType, TypePolicy, limits
from millstream_streams import UniqueKey
from millstream_submission.decoding import Decoded
from millstream_submission.errors import InvalidError
from millstream_submission.field_errors import pointer, quoted
from millstream_submission.payload_fields import value_at

_DIGEST_BYTES = 16
_SCALARS = str | int | float | bool

# Two objects that differ in the order of their members are one and the same value.
_encode_json = msgspec.json.Encoder(order="deterministic").encode
_encode_msgpack = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder().decode


def unique_key(decoded: Decoded, policy: TypePolicy, prefix: str = "") -> UniqueKey | None:
    """Return the unique key of a submission; None for a job that is not unique.

    `prefix` is the pointer to the submission in the request. Raises: InvalidError, when the payload lacks a field.
    """
    asked = decoded.submission.unique
    rule = asked or policy.unique
    if rule is None:
        return None
    fields = policy.unique.fields if policy.unique else ()
    text = asked.key if asked and asked.key is not None else _text_of(decoded, fields, prefix)
    return UniqueKey(
        scope=rule.scope,
        digest=_digest(JobType(decoded.submission.type), text),
        on_conflict=rule.on_conflict,
        held_ms=None if rule.window_s is None else round(rule.window_s * 1000),
        text=_shown(text),
    )


def _text_of(decoded: Decoded, fields: Sequence[str], prefix: str) -> str:
    """Return the key that a payload makes. Raises: InvalidError."""
    if not fields:
        payload = _decode(decoded.payload)
        return f"payload {hashlib.blake2b(_encode_msgpack(payload), digest_size=_DIGEST_BYTES).hexdigest()}"
    values = [_plain_value_at(decoded.payload, path, f"{prefix}/payload") for path in fields]
    if len(values) == 1:
        return values[0] if isinstance(values[0], str) else _encode_json(values[0]).decode()
    return _encode_json(values).decode()


def _plain_value_at(payload: bytes | Raw, path: str, prefix: str) -> Any:
    """Return the value of a field of a payload. Raises: InvalidError, when there is none, or it is no plain value."""
    parts = path.split(".")
    value = value_at(payload, parts)
    if isinstance(value, _SCALARS):
        return value
    where = prefix + pointer(*parts)
    if value is None:
        raise InvalidError([FieldError(where, f"is missing, and `{quoted(path)}` makes the unique key of the type")])
    detail = f"is no text, number or boolean, and `{quoted(path)}` makes the unique key of the type"
    raise InvalidError([FieldError(where, detail)])


def _digest(job_type: JobType, text: str) -> str:
    return hashlib.blake2b(f"{job_type}\0{text}".encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _shown(text: str) -> str:
    """Return a key as it is shown: the beginning of a long one."""
    if len(text) <= limits.MAX_UNIQUE_KEY_CHARS:
        return text
    return text[: limits.MAX_UNIQUE_KEY_CHARS - 1] + "…"
