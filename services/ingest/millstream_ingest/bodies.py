"""Decodes request bodies under every bound that stands in `millstream_contracts.limits`; called by the routes.

Pure functions. Whatever the bytes are, the outcome is a value or a BodyError: 400 when they cannot be decoded,
413 when they are too large, 422 when they say something that may not be. A payload that gets through is one
MessagePack value that can also be shown as JSON and stored as `jsonb`.
"""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from millstream_contracts import FieldError, Submission, limits
from millstream_ingest.errors import TOO_DEEP, field_error, invalid, malformed, too_large
from millstream_ingest.negotiation import Encoding
from millstream_ingest.payloads import pack_payload

T = TypeVar("T")


class Decoded(Struct, frozen=True):
    """A submission with its checked payload."""

    submission: Submission
    payload: bytes
    """One MessagePack value: what is stored."""
    value: Any
    """What the payload says, so that nobody has to decode it again."""


TOO_FAR = "is more than ten years away"
_NO_TIMES = (None, None, None, None)


@lru_cache(maxsize=64)
def decoder_of(model: Any, encoding: Encoding) -> Callable[[bytes | Raw | memoryview], Any]:
    """Return the prebuilt decoder of a type."""
    codec = msgspec.json if encoding is Encoding.JSON else msgspec.msgpack
    return codec.Decoder(model).decode  # type: ignore[no-any-return]


def decode_as(
    model: type[T], body: bytes | Raw, encoding: Encoding, prefix: str = "", described: type[Struct] | None = None
) -> T:
    """Return a body as a value of this type. Raises: BodyError.

    `prefix` is the pointer to the value, where it is only a part of the request's body. `described` is the type
    with whose names errors are described, when it is another one.
    """
    try:
        return decoder_of(model, encoding)(body)  # type: ignore[arg-type, no-any-return]
    except msgspec.ValidationError as error:
        raise invalid(field_error(error, described or model, prefix)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(error, prefix) from None
    except RecursionError:
        raise invalid(FieldError(prefix, TOO_DEEP)) from None


def decode_submission(
    body: bytes | Raw, encoding: Encoding, prefix: str = "", clock: Callable[[], float] = time.time
) -> Decoded:
    """Return one submission and its payload. Raises: BodyError.

    `clock` gives Unix seconds; it is read only when the submission names a time.
    """
    if len(body) > limits.MAX_BODY_BYTES:
        raise too_large(prefix, "the submission", len(body), limits.MAX_BODY_BYTES)
    submission = decode_as(Submission, body, encoding, prefix)
    if _has_rules(submission) and (faults := list(_rule_faults(submission, prefix, clock))):
        raise invalid(*faults)
    value, packed = pack_payload(submission.payload, encoding, prefix + "/payload")
    return Decoded(submission, packed, value)


def _has_rules(submission: Submission) -> bool:
    """Whether a submission has any of the fields that :func:`_rule_faults` looks at."""
    fields = (submission.run_at, submission.delay_s, submission.expires_at, submission.expires_in_s)
    return submission.tags is not None or fields != _NO_TIMES


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
    if far := submission.too_far(now_s):
        yield FieldError(f"{prefix}/{far}", TOO_FAR)
    if run_s is not None and expiry_s is not None and expiry_s <= run_s:
        name = "expires_at" if submission.expires_at else "expires_in_s"
        yield FieldError(f"{prefix}/{name}", "the job would expire before it may run")


def _offset_s(at: datetime | None, in_s: float | None, now_s: float) -> float | None:
    return in_s if at is None else at.timestamp() - now_s
