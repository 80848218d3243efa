"""Refuses unions that corrupt the memory of msgspec, before msgspec sees them.

In msgspec 0.22 a union of a fixed `tuple` with a type that has bounds, or of a `str` that has a pattern with an
array or a mapping, writes past what was allocated for it: the process dies, at once or later.
"""

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union

import msgspec

_BOUNDS = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length")
_WRAPPERS = (typing.Required, typing.NotRequired, typing.Final, typing.ClassVar)
_ARRAYS_AND_MAPPINGS = (list, tuple, set, frozenset, Mapping, typing.Collection)


def unsafe_union(annotation: Any) -> Any:
    """Return the first unsafe union in a type or in the fields of its classes; None without one."""
    return next((found for found in _inside(annotation, set()) if _is_unsafe(found)), None)


def _inside(annotation: Any, seen: set[Any]) -> Iterator[Any]:
    """Yield the unions in a type."""
    if type(annotation).__name__ == "TypeAliasType":  # which may name itself
        if annotation in seen:
            return
        seen.add(annotation)
    bare, _ = _bare(annotation)
    if _is_union(bare):
        yield bare
    for argument in typing.get_args(bare):
        yield from _inside(argument, seen)
    cls = typing.get_origin(bare) or bare
    if isinstance(cls, type) and cls not in seen and getattr(cls, "__annotations__", None):
        seen.add(cls)
        for hint in _hints(cls).values():
            yield from _inside(hint, seen)


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}  # msgspec says what is wrong with it


def _bare(annotation: Any) -> tuple[Any, list[msgspec.Meta]]:
    """Return a type without its metadata, and the metadata."""
    said: list[msgspec.Meta] = []
    while True:
        origin = typing.get_origin(annotation)
        if origin is Annotated:
            said += [one for one in annotation.__metadata__ if isinstance(one, msgspec.Meta)]
            annotation = annotation.__origin__
        elif origin in _WRAPPERS:
            (annotation,) = typing.get_args(annotation)
        elif (named := getattr(annotation, "__supertype__", None)) is not None:
            annotation = named
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation, said


def _is_union(bare: Any) -> bool:
    return typing.get_origin(bare) in {Union, types.UnionType}


def _members(bare: Any) -> Iterator[tuple[Any, list[msgspec.Meta]]]:
    for argument in typing.get_args(bare):
        member, said = _bare(argument)
        if _is_union(member):
            yield from _members(member)
        else:
            yield member, said


def _is_unsafe(union: Any) -> bool:
    has_bounds = has_pattern = has_array = has_fixed_tuple = False
    for member, said in _members(union):
        origin = typing.get_origin(member) or member
        has_bounds |= any(getattr(one, name) is not None for one in said for name in _BOUNDS)
        has_pattern |= any(one.pattern is not None for one in said)
        has_fixed_tuple |= origin is tuple and bool(typing.get_args(member)) and ... not in typing.get_args(member)
        has_array |= _is_array_or_mapping(origin)
    return (has_fixed_tuple and has_bounds) or (has_pattern and has_array)


def _is_array_or_mapping(origin: Any) -> bool:
    if not isinstance(origin, type) or issubclass(origin, str | bytes | bytearray | memoryview):
        return False
    # NamedTuples and TypedDicts are safe.
    return issubclass(origin, _ARRAYS_AND_MAPPINGS) and not hasattr(origin, "__annotations__")
