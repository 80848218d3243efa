"""Decodes request bodies within the limits of `millstream_contracts.limits`; the routes call it.

These are pure functions. Whatever the bytes are, the outcome is a value or a SubmissionError.
"""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from millstream_ingest.http.negotiation import Encoding
from millstream_submission import JSON, MSGPACK, Decoded, decode
from millstream_submission import decode_submission as _decode_submission

T = TypeVar("T")

_CODECS = {Encoding.JSON: JSON, Encoding.MSGPACK: MSGPACK}


@lru_cache(maxsize=64)
def decoder_of(model: Any, encoding: Encoding) -> Callable[[bytes | Raw | memoryview], Any]:
    """Return the prebuilt decoder of a type."""
    codec = msgspec.json if encoding is Encoding.JSON else msgspec.msgpack
    return codec.Decoder(model).decode  # type: ignore[no-any-return]


def decode_as(model: type[T], body: bytes, encoding: Encoding, described: type[Struct] | None = None) -> T:
    """Return a body as a value of this type. Raises: SubmissionError.

    `described` is the type with whose names errors are described, when it is another one.
    """
    decoder: Callable[[Any], T] = decoder_of(model, encoding)  # type: ignore[arg-type]
    return decode(decoder, body, described or model, mend=_CODECS[encoding].mend)


def decode_submission(
    body: bytes | Raw, encoding: Encoding, prefix: str = "", clock: Callable[[], float] = time.time
) -> Decoded:
    """Return one submission and its payload. Raises: SubmissionError.

    `prefix` is the pointer to the submission, where it is only a part of the body. `clock` gives Unix seconds; it is
    read only when the submission names a time.
    """
    return _decode_submission(body, _CODECS[encoding], prefix, clock)
