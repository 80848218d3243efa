"""The type of a handler's payload: its schema, and the decoder of its bytes (ADR 15)."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import inspect as mi

from millstream.errors import HandlerError
from millstream.payloads.schema_writer import write_schema
from millstream.payloads.shaper_builder import ShaperBuilder
from millstream.payloads.shapers import MisfitError, Shaper
from millstream.payloads.union_guard import unsafe_union

Decode = Callable[[bytes], Any]

_UUID_BYTES = 16

_decode_plain = msgspec.msgpack.Decoder().decode


class PayloadType:
    """The schema and the decoder of the payload of one handler."""

    def __init__(self, annotation: Any) -> None:
        """Read an annotation. Raises: HandlerError, when it cannot be decoded, or has no schema."""
        self.schema: dict[str, Any] | None = None
        """The published schema; None when any payload is accepted."""
        self.decode: Decode
        """Decodes MessagePack. Raises: msgspec.ValidationError, or what the checks of a class raise."""
        if annotation is Any or annotation is object:
            self.decode = _decode_plain
            return
        if (union := unsafe_union(annotation)) is not None:
            raise HandlerError(
                f"cannot be decoded: the union {union!r} crashes msgspec; leave out the bounds of its members"
            )
        try:
            fast = msgspec.msgpack.Decoder(annotation).decode
            info = mi.type_info(annotation)
        except (TypeError, ValueError) as error:
            raise HandlerError(f"cannot be decoded: {str(error).splitlines()[0]}") from error
        self.schema = write_schema(info)
        self.decode = _decoder(annotation, fast, info)


def _decoder(annotation: Any, fast: Decode, info: mi.Type) -> Decode:
    """Return the fastest decoder that accepts exactly what the schema accepts."""
    builder = ShaperBuilder()
    general = _general_decoder(annotation, builder.build(info))
    if not builder.is_exact:
        return general

    def decode(blob: bytes) -> Any:
        try:
            return fast(blob)
        except msgspec.ValidationError:
            # The payload may use a form of JSON, such as base64 for bytes.
            return general(blob)

    def decode_uuids(blob: bytes) -> Any:
        # msgspec decodes 16 bytes of binary data as a UUID, which the schema refuses. Their length precedes them.
        if _UUID_BYTES in blob:
            return general(blob)
        try:
            return fast(blob)
        except msgspec.ValidationError:
            return general(blob)

    return decode_uuids if builder.has_uuids else decode


def _general_decoder(annotation: Any, shape: Shaper | None) -> Decode:
    def decode(blob: bytes) -> Any:
        value = _decode_plain(blob)
        if shape is not None:
            try:
                value = shape(value)
            except MisfitError as error:
                raise msgspec.ValidationError(str(error)) from None
        return msgspec.convert(value, annotation, str_keys=True)

    return decode
