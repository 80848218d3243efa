"""Shapers: each turns a decoded value into one that `msgspec.convert` accepts for a type.

JSON has one type of number and no binary data, so `1.0` may be an int and a text may be bytes. A shaper also refuses
what the published schema refuses and msgspec would accept. Containers are changed in place.
"""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import inspect as mi

from millstream.payloads.type_reader import listed_values
from millstream_contracts import TEXT_FORMATS

Shaper = Callable[[Any], Any]
"""Returns the value to convert. Raises: MisfitError."""

_is_decimal = TEXT_FORMATS["decimal"]


class MisfitError(ValueError):
    """A value does not fit its type."""

    def __init__(self, detail: str) -> None:
        self.detail = detail
        self.path = ""
        super().__init__(detail)

    def within(self, step: str) -> "MisfitError":
        """Return this error with one more step at the start of its path."""
        self.path = step + self.path
        return self

    def __str__(self) -> str:
        return f"{self.detail} - at `${self.path}`" if self.path else self.detail


def as_text(value: Any) -> Any:
    """Turn binary data into base64, its form in JSON."""
    return base64.b64encode(value).decode() if type(value) is bytes else value


def as_integer(value: Any) -> Any:
    """Turn a float without a fraction into an int: JSON has one type for both."""
    return int(value) if type(value) is float and value.is_integer() else value


def as_scalar(value: Any) -> Any:
    """Turn a value into a form that literals and members of enumerations have."""
    return as_integer(as_text(value))


def as_raw(value: Any) -> msgspec.Raw:
    """Encode a value again, for the handler to decode."""
    return msgspec.Raw(msgspec.msgpack.encode(value))


def as_decimal(value: Any) -> Any:
    """Refuse a text that is no finite decimal number."""
    text = as_text(value)
    if type(text) is str and not _is_decimal(text):
        raise MisfitError("Invalid decimal string")
    return text


def checked(accepts: Callable[[Any], bool], expected: str) -> Shaper:
    """Return a shaper that only refuses."""

    def shape(value: Any) -> Any:
        if not accepts(value):
            raise MisfitError(f"Expected {expected}")
        return value

    return shape


def each_item(item: Shaper) -> Shaper:
    """Return the shaper of an array of items of one type."""

    def shape(value: Any) -> Any:
        if type(value) is list:
            for at, member in enumerate(value):
                try:
                    value[at] = item(member)
                except MisfitError as error:
                    raise error.within(f"[{at}]") from None
        return value

    return shape


def each_member(key: Shaper | None, member: Shaper | None) -> Shaper:
    """Return the shaper of a mapping; `key` only refuses."""

    def shape(value: Any) -> Any:
        if type(value) is not dict:
            return value
        for name in value:
            try:
                if key is not None:
                    key(name)
                if member is not None:
                    value[name] = member(value[name])
            except MisfitError as error:
                raise error.within("[...]") from None
        return value

    return shape


def named_fields(fields: Mapping[str, Shaper]) -> Shaper:
    """Return the shaper of an object with fields. `fields` may still grow, as a type may contain itself."""

    def shape(value: Any) -> Any:
        if type(value) is dict:
            for name, field in fields.items():
                if name in value:
                    try:
                        value[name] = field(value[name])
                    except MisfitError as error:
                        raise error.within(f".{name}") from None
        return value

    return shape


def placed_fields(fields: Mapping[int, Shaper]) -> Shaper:
    """Return the shaper of an array with a type for each position. `fields` may still grow."""

    def shape(value: Any) -> Any:
        if type(value) is list:
            for at, field in fields.items():
                if at < len(value):
                    try:
                        value[at] = field(value[at])
                    except MisfitError as error:
                        raise error.within(f"[{at}]") from None
        return value

    return shape


def by_tag(place: str | int, members: Mapping[Any, Shaper]) -> Shaper:
    """Return the shaper of objects or arrays with a tag in this field or position."""

    def shape(value: Any) -> Any:
        try:
            tag = as_scalar(value[place])
            member = None if type(tag) is bool else members.get(tag)
        except (LookupError, TypeError):
            return value  # without a valid tag, msgspec refuses the value
        return member(value) if member else value

    return shape


def by_kind(members: Mapping[type, Shaper]) -> Shaper:
    """Return the shaper of a union whose members differ in their JSON type."""

    def shape(value: Any) -> Any:
        member = members.get(type(value))
        return member(value) if member else value

    return shape


def first_number(members: Sequence[mi.Type]) -> Shaper:
    """Return the shaper of a number of several types: the first that accepts it, for ints integral types first."""
    integral = [info for info in members if not isinstance(info, mi.FloatType | mi.DecimalType)]
    others = [info for info in members if isinstance(info, mi.FloatType | mi.DecimalType)]
    others.sort(key=lambda info: isinstance(info, mi.DecimalType))

    def shape(value: Any) -> Any:
        for info in (*integral, *others) if type(value) is int else (*others, *integral):
            if _takes(info, value):
                return _NUMBERS.get(type(info), int)(value)
        raise MisfitError("Expected another number")

    return shape


_NUMBERS: dict[type, Callable[[Any], Any]] = {
    mi.FloatType: float,
    mi.DecimalType: lambda value: Decimal(repr(value)),
}


def _takes(info: mi.Type, value: float) -> bool:
    if isinstance(info, mi.FloatType):
        return is_within(info, value)
    if isinstance(info, mi.DecimalType):
        return True
    if not float(value).is_integer() and type(value) is not int:
        return False
    if isinstance(info, mi.IntType):
        return is_within(info, int(value))
    assert isinstance(info, mi.LiteralType | mi.EnumType)
    return any(value == listed for listed in listed_values(info) if type(listed) is int)


def is_within(info: mi.IntType | mi.FloatType, value: float) -> bool:
    """Whether a number is within the bounds of its type, compared without a conversion to float."""
    return (
        (info.ge is None or value >= info.ge)
        and (info.gt is None or value > info.gt)
        and (info.le is None or value <= info.le)
        and (info.lt is None or value < info.lt)
        and (info.multiple_of is None or _is_multiple(info, value))
    )


def _is_multiple(info: mi.IntType | mi.FloatType, value: float) -> bool:
    assert info.multiple_of is not None
    if isinstance(info, mi.FloatType):
        return math.fmod(value, info.multiple_of) == 0
    return int(value) % int(info.multiple_of) == 0
