"""Decodes a submission and checks every rule that needs no other data; pure functions.

An accepted payload is one MessagePack value that can also be shown as JSON and stored as `jsonb`.
"""

import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from millstream_contracts import Submission, limits
from millstream_submission.errors import InvalidError, too_large
from millstream_submission.field_errors import decode
from millstream_submission.payloads import pack_json, pack_msgpack
from millstream_submission.rules import has_rules, rule_faults
from millstream_submission.whole_numbers import Mend, mend_json, mend_msgpack


class Decoded(Struct, frozen=True):
    """A submission with its checked payload."""

    submission: Submission
    payload: bytes
    """The payload as one MessagePack value, which is stored."""
    value: Any
    """The decoded value of the payload."""
    sent: bytes = b""
    """What the request said, where a template has filled it up; see :func:`filling.as_sent`."""


class Codec(Struct, frozen=True):
    """How submissions of one encoding are read."""

    submission: Callable[[bytes | Raw], Submission]
    payload: Callable[[Raw, str], tuple[Any, bytes]]
    """Decodes a payload, given with its pointer. Raises: SubmissionError."""
    mend: Mend
    members: Callable[[bytes | Raw], dict[str, Raw]]
    """Returns the members of an object, undecoded. Raises: msgspec.DecodeError."""
    decode: Callable[[bytes | Raw], Any]
    encode: Callable[[Any], bytes]
    of_msgpack: Callable[[Raw], Raw]
    """Brings a value of MessagePack that passed as a payload into this encoding."""


def _json_of(value: Raw) -> Raw:
    return Raw(msgspec.json.encode(msgspec.msgpack.decode(value)))


JSON = Codec(
    submission=msgspec.json.Decoder(Submission).decode,
    payload=pack_json,
    mend=mend_json,
    members=msgspec.json.Decoder(dict[str, Raw]).decode,
    decode=msgspec.json.Decoder().decode,
    encode=msgspec.json.Encoder().encode,
    of_msgpack=_json_of,
)
MSGPACK = Codec(
    submission=msgspec.msgpack.Decoder(Submission).decode,
    payload=pack_msgpack,
    mend=mend_msgpack,
    members=msgspec.msgpack.Decoder(dict[str, Raw]).decode,
    decode=msgspec.msgpack.Decoder().decode,
    encode=msgspec.msgpack.Encoder().encode,
    of_msgpack=lambda value: value,
)


def decode_submission(
    body: bytes | Raw, codec: Codec, prefix: str = "", clock: Callable[[], float] = time.time
) -> Decoded:
    """Return one submission and its payload. Raises: SubmissionError.

    `prefix` is the pointer to the submission where it is a part of a batch. `clock` gives Unix seconds; it is read only
    when the submission has a time.
    """
    if len(body) > limits.MAX_BODY_BYTES:
        raise too_large(prefix, "the submission", len(body), limits.MAX_BODY_BYTES)
    return check_submission(decode(codec.submission, body, Submission, prefix, codec.mend), codec, prefix, clock)


def check_submission(
    submission: Submission, codec: Codec, prefix: str = "", clock: Callable[[], float] = time.time
) -> Decoded:
    """Return a submission whose payload is not decoded yet, and the payload. Raises: SubmissionError.

    The arguments are those of :func:`decode_submission`.
    """
    if has_rules(submission) and (faults := list(rule_faults(submission, prefix, clock))):
        raise InvalidError(faults)
    value, packed = codec.payload(submission.payload, prefix + "/payload")
    return Decoded(submission, packed, value)
