"""Decodes request bodies under every bound that stands in `millstream_contracts.limits`; called by the routes.

Pure functions. Whatever the bytes are, the outcome is a value or a BodyError: 400 when they cannot be decoded,
413 when they are too large, 422 when they say something that may not be. A payload that gets through is one
MessagePack value that can also be shown as JSON and stored as `jsonb`.
"""

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Raw, Struct

from millstream_contracts import Batch, FieldError, Submission, limits
from millstream_ingest.errors import BodyError, field_error, pointer
from millstream_ingest.negotiation import BatchFormat, Encoding
from millstream_ingest.problems import INVALID_REQUEST, MALFORMED_BODY, TOO_LARGE

T = TypeVar("T")

_NIL = b"\xc0"
_TRAILING = re.compile(r".*trailing characters \(byte (\d+)\)")
_TOO_DEEP = "nested too deeply to be read"


class Decoded(NamedTuple):
    """A submission with its checked payload."""

    submission: Submission
    payload: bytes
    """One MessagePack value: what is stored."""
    value: Any
    """What the payload says, so that nobody has to decode it again."""


# The jobs of a batch, as an "object" of so many optional fields: decoding stops at the first one too many. A
# `list[Raw]` is built before its length is looked at: 32 MB of `1,` would become a gigabyte.
_Jobs = msgspec.defstruct(
    "_Jobs",
    [("job", Raw), *((f"job{index}", Raw, Raw(b"")) for index in range(1, limits.MAX_BATCH_JOBS))],
    array_like=True,
    forbid_unknown_fields=True,
    frozen=True,
)


class _Batch(Struct, frozen=True, forbid_unknown_fields=True):
    jobs: _Jobs  # type: ignore[valid-type]


@lru_cache(maxsize=64)
def _decoder(model: Any, encoding: Encoding) -> Callable[[bytes | Raw | memoryview], Any]:
    codec = msgspec.json if encoding is Encoding.JSON else msgspec.msgpack
    return codec.Decoder(model).decode  # type: ignore[no-any-return]


_decode_payload = {
    Encoding.JSON: msgspec.json.Decoder().decode,
    Encoding.MSGPACK: msgspec.msgpack.Decoder().decode,
}
_CONTAINERS = frozenset({dict, list})
# What needs no look at each value: MessagePack has no larger integers, and `encode` refuses them from JSON.
_HARMLESS = frozenset({str, int, bool, type(None), bytes})

_encode = msgspec.msgpack.Encoder().encode


def decode_as(model: type[T], body: bytes | Raw, encoding: Encoding, prefix: str = "") -> T:
    """Return a body as a value of this type. Raises: BodyError.

    `prefix` is the pointer to the value, where it is only a part of the request's body.
    """
    try:
        return _decoder(model, encoding)(body)  # type: ignore[arg-type, no-any-return]
    except msgspec.ValidationError as error:
        # Describing ten thousand fields takes a tenth of a second; the contract has the same names.
        raise _invalid(field_error(error, Batch if model is _Batch else model, prefix)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _malformed(error, prefix) from None
    except RecursionError:
        raise _invalid(FieldError(prefix, _TOO_DEEP)) from None


def decode_submission(
    body: bytes | Raw, encoding: Encoding, prefix: str = "", clock: Callable[[], float] = time.time
) -> Decoded:
    """Return one submission and its payload. Raises: BodyError.

    `clock` gives Unix seconds; it is read only when the submission names a time.
    """
    if len(body) > limits.MAX_BODY_BYTES:
        raise _too_large(prefix, "the submission", len(body), limits.MAX_BODY_BYTES)
    submission = decode_as(Submission, body, encoding, prefix)
    if faults := list(_rule_faults(submission, prefix, clock)):
        raise _invalid(*faults)
    value, packed = _packed(submission.payload, encoding, prefix + "/payload")
    return Decoded(submission, packed, value)


def split_batch(body: bytes, batch: BatchFormat) -> list[bytes | Raw]:
    """Return the jobs of a batch, each undecoded. Raises: BodyError, when the batch as a whole is wrong."""
    if len(body) > limits.MAX_BATCH_BODY_BYTES:
        raise _too_large("", "the batch", len(body), limits.MAX_BATCH_BODY_BYTES)
    if not batch.is_sequence:
        jobs = msgspec.structs.astuple(decode_as(_Batch, body, batch.encoding).jobs)
        return [job for job in jobs if job]
    parts = _split_lines(body) if batch.encoding is Encoding.JSON else _split_objects(body)
    if not parts:
        raise _invalid(FieldError("", "the batch has no jobs"))
    return parts


def decode_batch(body: bytes, batch: BatchFormat, clock: Callable[[], float] = time.time) -> list[Decoded | BodyError]:
    """Return for each job of a batch what it is or why it is refused, in order. Raises: BodyError.

    The pointers of a job's errors begin with `/jobs/<index>`, or with `/<index>` in a sequence.
    """
    start = "/" if batch.is_sequence else "/jobs/"
    return [
        decode_item(job, batch.encoding, f"{start}{index}", clock) for index, job in enumerate(split_batch(body, batch))
    ]


def decode_item(
    job: bytes | Raw, encoding: Encoding, prefix: str, clock: Callable[[], float] = time.time
) -> Decoded | BodyError:
    """Return one job of a batch, or why it is refused."""
    try:
        return decode_submission(job, encoding, prefix, clock)
    except BodyError as error:
        return error


def _packed(payload: Raw, encoding: Encoding, prefix: str) -> tuple[Any, bytes]:
    """Return a payload's value and the MessagePack to be stored. Raises: BodyError.

    MessagePack is stored as it came. Of keys that stand twice in one object the last wins, in both encodings.
    """
    if not payload:
        return None, _NIL
    if len(payload) > limits.MAX_PAYLOAD_BYTES:
        raise _too_large(prefix, "the payload", len(payload), limits.MAX_PAYLOAD_BYTES)
    value, packed = _repack(bytes(payload), encoding, prefix)
    if packed is None:
        raise _invalid(next(_payload_faults(value, prefix)))
    # A number may take more room than in JSON: the bound holds for what is stored too.
    if len(packed) > limits.MAX_PAYLOAD_BYTES:
        raise _too_large(prefix, "the payload, as MessagePack,", len(packed), limits.MAX_PAYLOAD_BYTES)
    return value, packed


def _repack(payload: bytes, encoding: Encoding, prefix: str) -> tuple[Any, bytes | None]:
    """Return the payload's value, and its MessagePack unless a part of the value may not be."""
    try:
        value = _decode_payload[encoding](payload)
        if encoding is Encoding.MSGPACK:
            return value, payload if _is_sound(value) else None
        return value, _encode(value) if _is_plain(payload) or _is_sound(value) else None
    except msgspec.ValidationError as error:
        raise _invalid(field_error(error, prefix=prefix)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _malformed(error, prefix) from None
    except RecursionError:
        raise _invalid(FieldError(prefix, _TOO_DEEP)) from None
    except OverflowError:
        return value, None


def _is_plain(json: bytes) -> bool:
    """Whether JSON is sound as far as only its value could tell: one look at the bytes spares most that walk."""
    return json.count(b"[") + json.count(b"{") <= limits.MAX_PAYLOAD_DEPTH and b"\\u0000" not in json


def _is_sound(value: Any) -> bool:
    """Whether a value may be a payload. It goes level by level: no depth of nesting can end it early."""
    containers: list[Any] = [[value]]
    for _ in range(limits.MAX_PAYLOAD_DEPTH + 1):
        found: list[Any] = []
        for container in containers:
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
        if not found:
            return True
        containers = found
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


def _rule_faults(submission: Submission, prefix: str, clock: Callable[[], float]) -> Iterator[FieldError]:
    """Yield what no single field can tell."""
    if submission.tags and any("\0" in key + value for key, value in submission.tags.items()):
        yield FieldError(prefix + "/tags", "contains the character NUL")
    run = (submission.run_at, submission.delay_s)
    expiry = (submission.expires_at, submission.expires_in_s)
    if run == expiry == (None, None):
        return
    if None not in run:
        yield FieldError(prefix + "/delay_s", "excludes `run_at`")
    if None not in expiry:
        yield FieldError(prefix + "/expires_in_s", "excludes `expires_at`")
    yield from _time_faults(submission, prefix, clock())


def _time_faults(submission: Submission, prefix: str, now_s: float) -> Iterator[FieldError]:
    run_s = _offset_s(submission.run_at, submission.delay_s, now_s)
    expiry_s = _offset_s(submission.expires_at, submission.expires_in_s, now_s)
    if run_s is not None and expiry_s is not None and expiry_s <= run_s:
        name = "expires_at" if submission.expires_at else "expires_in_s"
        yield FieldError(f"{prefix}/{name}", "the job would expire before it may run")


def _offset_s(at: datetime | None, in_s: float | None, now_s: float) -> float | None:
    return in_s if at is None else at.timestamp() - now_s


def _split_lines(body: bytes) -> list[bytes | Raw]:
    # Counted first: splitting 32 MB of newlines would make 32 million objects.
    if body.count(b"\n") > limits.MAX_BATCH_JOBS:
        raise _too_many()
    lines: list[bytes | Raw] = [line for line in body.split(b"\n") if line.strip()]
    if len(lines) > limits.MAX_BATCH_JOBS:
        raise _too_many()
    return lines


def _split_objects(body: bytes) -> list[bytes | Raw]:
    """Return the MessagePack objects that stand one after the other in a body."""
    # msgspec has no streaming decoder, but when it finds more after an object it says at which byte.
    rest = memoryview(body)
    parts: list[bytes | Raw] = []
    while rest:
        if len(parts) == limits.MAX_BATCH_JOBS:
            raise _too_many()
        size = _object_bytes(rest, f"/{len(parts)}")
        parts.append(bytes(rest[:size]))
        rest = rest[size:]
    return parts


def _object_bytes(rest: memoryview, prefix: str) -> int:
    try:
        _decoder(Raw, Encoding.MSGPACK)(rest)
    except msgspec.DecodeError as error:
        if (trailing := _TRAILING.fullmatch(str(error))) is None:
            raise _malformed(error, prefix) from None
        return int(trailing[1])
    except RecursionError:
        raise _invalid(FieldError(prefix, _TOO_DEEP)) from None
    return len(rest)


def _malformed(error: Exception, prefix: str) -> BodyError:
    reason = "not valid UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
    return BodyError(MALFORMED_BODY, reason, [FieldError(prefix, reason)] if prefix else ())


def _invalid(*errors: FieldError) -> BodyError:
    return BodyError(INVALID_REQUEST, errors=errors)


def _too_large(prefix: str, what: str, size: int, limit: int) -> BodyError:
    detail = f"{what} has {size} bytes; the limit is {limit}"
    return BodyError(TOO_LARGE, detail, [FieldError(prefix, detail)] if prefix else ())


def _too_many() -> BodyError:
    return _invalid(FieldError("", f"expected at most {limits.MAX_BATCH_JOBS} jobs"))
