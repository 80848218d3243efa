"""Builds the shaper of a type, once for each handler."""

import re
from collections.abc import Callable, Iterable
from pathlib import PurePath
from typing import Any

from msgspec import inspect as mi

from millstream.payloads.pattern_translator import translate
from millstream.payloads.schema_writer import MAX_KEY_DIGITS
from millstream.payloads.shapers import (
    MisfitError,
    Shaper,
    as_decimal,
    as_integer,
    as_raw,
    as_scalar,
    as_text,
    by_kind,
    by_tag,
    checked,
    each_item,
    each_member,
    first_number,
    is_within,
    named_fields,
    placed_fields,
)
from millstream.payloads.type_reader import effective_members, key_names, listed_values, takes_only_listed, unwrapped

EXACT_FLOATS = 2.0**53
"""Larger integers lose digits as floats, and then compare differently."""

_ARRAYS = (
    mi.ListType | mi.VarTupleType | mi.SetType | mi.FrozenSetType | mi.TupleType | mi.NamedTupleType
)  # fmt: skip
_OBJECTS = mi.DataclassType | mi.TypedDictType | mi.DictType | mi.FrozenDictType
_NUMBERS = mi.IntType | mi.FloatType | mi.DecimalType


class ShaperBuilder:
    """Builds shapers, and records whether the MessagePack decoder of msgspec alone agrees with the schema."""

    def __init__(self) -> None:
        self.is_exact = True
        """Whether the decoder accepts nothing that the published schema refuses."""
        self.has_uuids = False
        """Whether the decoder would accept binary data for UUIDs, where the schema requires text."""
        self._classes: dict[Any, Shaper] = {}
        self._build: dict[type, Callable[[Any], Shaper | None]] = {
            mi.IntType: lambda _: as_integer,
            mi.FloatType: self._float,
            mi.DecimalType: self._decimal,
            mi.StrType: self._text,
            mi.UUIDType: self._uuid,
            mi.RawType: lambda _: as_raw,
            mi.CustomType: lambda info: as_text if issubclass(info.cls, PurePath) else None,
            mi.TupleType: lambda info: self._places(info.item_types),
            mi.UnionType: self._union,
            **dict.fromkeys((mi.DateTimeType, mi.TimeType, mi.DateType, mi.TimeDeltaType), lambda _: as_text),
            **dict.fromkeys((mi.LiteralType, mi.EnumType), self._listed),
            **dict.fromkeys((mi.ListType, mi.VarTupleType), self._array),
            **dict.fromkeys((mi.SetType, mi.FrozenSetType), self._set),
            **dict.fromkeys((mi.DictType, mi.FrozenDictType), self._dict),
            **dict.fromkeys((mi.StructType, mi.DataclassType, mi.TypedDictType, mi.NamedTupleType), self._class),
        }

    def build(self, info: mi.Type) -> Shaper | None:
        """Return the shaper of a type; None where values need no shaping."""
        info = unwrapped(info)
        build = self._build.get(type(info))
        return build(info) if build else None

    def _float(self, info: mi.FloatType) -> Shaper | None:
        bounds = (info.ge, info.gt, info.le, info.lt)
        if all(bound is None or abs(bound) < EXACT_FLOATS for bound in bounds):
            return None
        self.is_exact = False
        return checked(
            lambda value: type(value) not in {int, float} or is_within(info, value), "`float` within its bounds"
        )

    def _decimal(self, _: mi.DecimalType) -> Shaper:
        self.is_exact = False
        return as_decimal

    def _uuid(self, _: mi.UUIDType) -> Shaper:
        self.has_uuids = True
        return as_text

    def _text(self, info: mi.StrType) -> Shaper:
        strict = info.pattern is not None and translate(info.pattern).strict
        if not strict:
            return as_text
        self.is_exact = False
        matches = re.compile(strict).search

        def shape(value: Any) -> Any:
            value = as_text(value)
            if type(value) is str and not matches(value):
                raise MisfitError(f"Expected `str` matching regex {info.pattern!r}")
            return value

        return shape

    def _listed(self, info: mi.EnumType | mi.LiteralType) -> Shaper:
        if takes_only_listed(info):
            return as_scalar
        self.is_exact = False
        allowed = frozenset(listed_values(info))

        def shape(value: Any) -> Any:
            value = as_scalar(value)
            if isinstance(value, str | int) and value not in allowed:
                raise MisfitError("Invalid enum value")
            return value

        return shape

    def _array(self, info: Any) -> Shaper | None:
        item = self.build(info.item_type)
        return item and each_item(item)

    def _set(self, info: Any) -> Shaper | None:
        if not isinstance(unwrapped(info.item_type), mi.AnyType):
            return self._array(info)
        self.is_exact = False
        return each_item(checked(lambda value: type(value) not in {list, dict}, "what has a hash"))

    def _places(self, items: Iterable[mi.Type]) -> Shaper | None:
        shapers = {at: shaper for at, item in enumerate(items) if (shaper := self.build(item))}
        return placed_fields(shapers) if shapers else None

    def _dict(self, info: Any) -> Shaper | None:
        key, member = self._key(unwrapped(info.key_type)), self.build(info.value_type)
        return each_member(key, member) if key or member else None

    def _key(self, info: mi.Type) -> Shaper | None:
        """Return a shaper that refuses invalid keys. msgspec converts the valid ones."""
        match info:
            case mi.IntType():
                self.is_exact = False
                return checked(lambda key: len(key) <= MAX_KEY_DIGITS, f"a key of at most {MAX_KEY_DIGITS} digits")
            case mi.EnumType() if not takes_only_listed(info):
                self.is_exact = False
                return checked(frozenset(key_names(info) or ()).__contains__, "a member's value as the key")
            case mi.StrType() | mi.DecimalType():
                return self.build(info)
        return None

    def _class(self, info: Any) -> Shaper:
        if info.cls not in self._classes:
            is_array = isinstance(info, mi.NamedTupleType) or getattr(info, "array_like", False)
            fields: dict[Any, Shaper] = {}
            self._classes[info.cls] = placed_fields(fields) if is_array else named_fields(fields)
            names = [field.encode_name for field in info.fields]
            types = [field.type for field in info.fields]
            if getattr(info, "tag", None) is not None:
                names, types = [info.tag_field, *names], [mi.LiteralType((info.tag,)), *types]
            for at, (name, kind) in enumerate(zip(names, types, strict=True)):
                if shaper := self.build(kind):
                    fields[at if is_array else name] = shaper
        return self._classes[info.cls]

    def _union(self, info: mi.UnionType) -> Shaper | None:
        members = [unwrapped(member) for member in effective_members(info)]
        kinds: dict[type, Shaper] = {}
        for kind, of_kind in (
            (list, [member for member in members if _is_array(member)]),
            (dict, [member for member in members if _is_object(member)]),
        ):
            if shaper := self._tagged(of_kind):
                kinds[kind] = shaper
        for member in members:
            if not _is_array(member) and not _is_object(member) and (shaper := self.build(member)):
                kinds |= dict.fromkeys(_scalar_kinds(member), shaper)
        numbers = [member for member in members if int in _scalar_kinds(member)]
        if len(numbers) > 1:
            kinds |= dict.fromkeys((int, float), first_number(numbers))
        return by_kind(kinds) if kinds else None

    def _tagged(self, members: list[Any]) -> Shaper | None:
        """Return the shaper of the arrays or objects of a union. Several of them have tags."""
        if len(members) < 2:
            return self.build(members[0]) if members else None
        place = 0 if members[0].array_like else members[0].tag_field
        return by_tag(place, {member.tag: self._class(member) for member in members})


def _is_array(info: mi.Type) -> bool:
    return isinstance(info, _ARRAYS) or (isinstance(info, mi.StructType) and info.array_like)


def _is_object(info: mi.Type) -> bool:
    return isinstance(info, _OBJECTS) or (isinstance(info, mi.StructType) and not info.array_like)


def _scalar_kinds(info: mi.Type) -> tuple[type, ...]:
    """Return the Python types of decoded values that a member of a union accepts."""
    if isinstance(info, mi.DecimalType):
        return str, bytes, int, float
    if isinstance(info, _NUMBERS):
        return int, float
    if isinstance(info, mi.LiteralType | mi.EnumType):
        kinds = {type(value) for value in listed_values(info)}
        return (*((str, bytes) if str in kinds else ()), *((int, float) if int in kinds else ()))
    return str, bytes
