"""Decodes request bodies within the limits of `millstream_contracts.limits`; the routes call it.

These are pure functions. Whatever the bytes are, the outcome is a value or a SubmissionError.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from millstream_ingest.http.negotiation import Encoding
from millstream_submission import JSON, MSGPACK, decode

T = TypeVar("T")

CODECS = {Encoding.JSON: JSON, Encoding.MSGPACK: MSGPACK}
"""How submissions of each encoding are read."""


@lru_cache(maxsize=64)
def decoder_of(model: Any, encoding: Encoding) -> Callable[[bytes | Raw | memoryview], Any]:
    """Return the prebuilt decoder of a type."""
    codec = msgspec.json if encoding is Encoding.JSON else msgspec.msgpack
    return codec.Decoder(model).decode  # type: ignore[no-any-return]


def decode_as(
    model: type[T], body: bytes | Raw, encoding: Encoding, described: type[Struct] | None = None, prefix: str = ""
) -> T:
    """Return a body as a value of this type. Raises: SubmissionError.

    `described` is the type with whose names errors are described, when it is another one. `prefix` is the pointer to
    the value, where it is only a part of the body.
    """
    decoder: Callable[[Any], T] = decoder_of(model, encoding)  # type: ignore[arg-type]
    return decode(decoder, body, described or model, prefix, CODECS[encoding].mend)
