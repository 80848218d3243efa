"""Inspects types: what the schema of a payload and its decoder both depend on."""

import enum
import typing
from collections.abc import Sequence
from functools import reduce
from itertools import combinations
from operator import or_
from typing import Any

import msgspec
from msgspec import inspect as mi
from msgspec.structs import replace

MAX_FLAGS = 8
"""Most members of a Flag whose combinations a schema lists: 2 ** MAX_FLAGS values."""

_CLASSES = mi.StructType | mi.DataclassType | mi.TypedDictType | mi.NamedTupleType
_UNHASHABLE = (
    mi.AnyType | mi.RawType | mi.ListType | mi.SetType | mi.DictType | mi.ByteArrayType | mi.MemoryViewType
)  # fmt: skip


def unwrapped(info: mi.Type) -> mi.Type:
    """Return a type without its metadata. A union of one is its member, `object` is anything."""
    while isinstance(info, mi.Metadata):
        info = info.type
    if isinstance(info, mi.CustomType) and info.cls is object:
        return mi.AnyType()
    if isinstance(info, mi.UnionType) and len(members := effective_members(info)) == 1:
        return unwrapped(members[0])
    return info


def effective_members(union: mi.UnionType) -> Sequence[mi.Type]:
    """Return the members of a union that msgspec distinguishes: a `str` includes literal texts beside it."""
    kinds = {type(unwrapped(member)) for member in union.types}
    if mi.AnyType in kinds:
        return [mi.AnyType()]
    wide = {str: mi.StrType, int: mi.IntType, bool: mi.BoolType}
    covered = {value for value, kind in wide.items() if kind in kinds}
    members = [_without(member, covered) for member in union.types]
    left = [member for member in members if member is not None and not isinstance(unwrapped(member), mi.RawType)]
    return left or [mi.RawType()]


def repeated_member(members: Sequence[mi.Type]) -> mi.Type | None:
    """Return a member of a kind that another member has too, where no tag distinguishes the two."""
    seen: set[type] = set()
    for member in members:
        kind = type(unwrapped(member))
        if kind in seen and kind not in {mi.StructType, mi.LiteralType}:
            return member
        seen.add(kind)
    return None


def _without(member: mi.Type, covered: set[type]) -> mi.Type | None:
    info = unwrapped(member)
    if not isinstance(info, mi.LiteralType):
        return member
    values = tuple(value for value in info.values if type(value) not in covered)
    return replace(info, values=values) if values else None


def enum_values(cls: type[enum.Enum]) -> list[Any] | None:
    """Return the values of an enumeration, and all combinations of flags; None above MAX_FLAGS."""
    values = [member.value for member in cls]
    if not issubclass(cls, enum.Flag):
        return sorted(values)
    if len(values) > MAX_FLAGS:
        return None
    sums = (reduce(or_, some, 0) for count in range(len(values) + 1) for some in combinations(values, count))
    return sorted(set(sums))


def listed_values(info: mi.EnumType | mi.LiteralType) -> list[Any]:
    """Return the values that the type allows."""
    return (enum_values(info.cls) or []) if isinstance(info, mi.EnumType) else list(info.values)


def takes_only_listed(info: mi.EnumType | mi.LiteralType) -> bool:
    """Whether only listed values are accepted: the `_missing_` of an enumeration may accept others."""
    if isinstance(info, mi.LiteralType):
        return True
    return info.cls._missing_.__func__ is enum.Enum._missing_.__func__  # type: ignore[attr-defined]


def key_names(info: mi.EnumType | mi.LiteralType) -> list[str] | None:
    """Return the keys for the members of an enumeration; None where a member has none."""
    values = listed_values(info)
    return [str(value) for value in values] if {type(value) for value in values} in ({str}, {int}) else None


def is_tagged_object(info: mi.Type) -> bool:
    """Whether a type is an object with a tag field."""
    info = unwrapped(info)
    return isinstance(info, mi.StructType) and not info.array_like and info.tag_field is not None


def is_hashable(info: mi.Type) -> bool:
    """Whether every value of a type is hashable."""
    info = unwrapped(info)
    if isinstance(info, mi.TupleType):
        return all(map(is_hashable, info.item_types))
    if isinstance(info, mi.UnionType):
        return all(map(is_hashable, effective_members(info)))
    if isinstance(info, mi.VarTupleType | mi.FrozenSetType):
        return is_hashable(info.item_type)
    if isinstance(info, _CLASSES):
        return _is_hashable_class(info)
    if isinstance(info, mi.CustomType):
        return info.cls.__hash__ is not None
    return not isinstance(info, _UNHASHABLE)


def _is_hashable_class(info: Any) -> bool:
    cls = typing.get_origin(info.cls) or info.cls
    hashes = cls.__hash__
    if isinstance(info, mi.StructType):
        config = cls.__struct_config__
        if hashes is msgspec.Struct.__hash__ and config.eq and not config.frozen:
            return False
        by_fields = hashes is msgspec.Struct.__hash__ and config.eq
    else:
        if hashes is None or isinstance(info, mi.TypedDictType):
            return False
        by_fields = hashes is not object.__hash__
    return not by_fields or all(is_hashable(field.type) for field in info.fields)
