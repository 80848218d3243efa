"""The type of a payload or of a result: its schema, and the decoder of what arrives (ADR 15)."""

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import inspect as mi

from millstream.errors import HandlerError
from millstream.payloads.models import is_model, model_reader, names_model, read_model
from millstream.payloads.schema_writer import write_schema
from millstream.payloads.shaper_builder import ShaperBuilder
from millstream.payloads.shapers import MisfitError, Shaper
from millstream.payloads.union_guard import unsafe_union

Decode = Callable[[bytes], Any]
Convert = Callable[[Any], Any]

_UUID_BYTES = 16

_QUOTING = re.compile(r"Invalid (?:enum )?value(?= )")
"""The errors of msgspec that quote a value, which may be a secret: those about enumerations, literals and tags."""

_decode_plain = msgspec.msgpack.Decoder().decode


class DataType:
    """The schema and the decoder of the payload or the result of one handler."""

    def __init__(self, annotation: Any, *, is_result: bool = False) -> None:
        """Read an annotation. Raises: HandlerError, when it cannot be decoded, or has no schema."""
        self.name = annotation.__qualname__ if isinstance(annotation, type) else repr(annotation)
        """For messages."""
        self.schema: dict[str, Any] | None = None
        """The published schema; None when anything is accepted."""
        self.decode: Decode
        """Decodes MessagePack. Raises: msgspec.ValidationError, or what the checks of a class raise."""
        self.convert: Convert
        """Does the same with plain data, which it may change. Raises: as `decode`."""
        self.takes_none = True
        """Whether null is accepted."""
        if annotation is Any or annotation is object:
            self.decode, self.convert = _decode_plain, _unchanged
            return
        if names_model(annotation):
            self._read_model(annotation, is_result=is_result)
        else:
            self._read(annotation, is_result=is_result)
        self.takes_none = self._takes_none()

    def _takes_none(self) -> bool:
        try:
            self.convert(None)
        except Exception:  # noqa: BLE001 - the checks of a user's class may raise anything
            return False
        return True

    def _read_model(self, annotation: Any, *, is_result: bool) -> None:
        reader = model_reader(annotation, is_result=is_result)
        if reader is None:
            self._read(annotation, is_result=is_result)
        else:
            self.schema, self.convert = reader.schema, reader.convert
            self.decode = _general(reader.convert)

    def _read(self, annotation: Any, *, is_result: bool) -> None:
        if (union := unsafe_union(annotation)) is not None:
            raise HandlerError(
                f"cannot be decoded: the union {union!r} crashes msgspec; leave out the bounds of its members"
            )
        try:
            fast = msgspec.msgpack.Decoder(annotation, dec_hook=_read_custom).decode
            info = mi.type_info(annotation)
        except (TypeError, ValueError) as error:
            raise HandlerError(f"cannot be decoded: {str(error).splitlines()[0]}") from error
        self.schema = write_schema(info, is_result=is_result)
        builder = ShaperBuilder()
        self.convert = _converter(annotation, builder.build(info))
        self.decode = _decoder(fast, self.convert, builder)

    def __repr__(self) -> str:
        return f"<DataType {self.name}>"


def _unchanged(value: Any) -> Any:
    return value


ANYTHING = DataType(Any)
"""What no annotation says anything about."""


def _read_custom(cls: type, value: Any) -> Any:
    """Return an object of a class that msgspec does not know. Raises: ValueError, TypeError."""
    if cls is object:
        return value
    if is_model(cls):
        return read_model(cls, value)
    if type(value) is not str:
        raise TypeError(f"Expected `str`, got `{type(value).__name__}`")
    return cls(value)


def _general(convert: Convert) -> Decode:
    return lambda blob: convert(_decode_plain(blob))


def _decoder(fast: Decode, convert: Convert, builder: ShaperBuilder) -> Decode:
    """Return the fastest decoder that accepts exactly what the schema accepts."""
    general = _general(convert)

    def decode(blob: bytes) -> Any:
        try:
            return fast(blob)
        except msgspec.ValidationError:
            # The data may use a form of JSON, such as base64 for bytes.
            return general(blob)

    def decode_uuids(blob: bytes) -> Any:
        # msgspec decodes 16 bytes of binary data as a UUID, which the schema refuses. Their length precedes them.
        if _UUID_BYTES in blob:
            return general(blob)
        try:
            return fast(blob)
        except msgspec.ValidationError:
            return general(blob)

    if not builder.is_exact:
        return general
    return decode_uuids if builder.has_uuids else decode


def _converter(annotation: Any, shape: Shaper | None) -> Convert:
    def convert(value: Any) -> Any:
        if shape is not None:
            try:
                value = shape(value)
            except MisfitError as error:
                raise msgspec.ValidationError(str(error)) from None
        try:
            return msgspec.convert(value, annotation, str_keys=True, dec_hook=_read_custom)
        except msgspec.ValidationError as error:
            if (told := _QUOTING.match(str(error))) is None:
                raise
            _, at, path = str(error).rpartition(" - at ")
            raise msgspec.ValidationError(told[0] + at + path if at else told[0]) from None

    return convert
