"""Reads references: the objects in a payload that stand for results of other nodes."""

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET, Struct

from millstream_contracts import FieldError
from millstream_workflows.pointers import is_pointer, pointer_to

RESULT, ITEM, LITERAL = "$result", "$item", "$literal"
KEYS = (RESULT, ITEM, LITERAL)

_FIELDS = {RESULT: {RESULT, "path", "default"}, ITEM: {ITEM}, LITERAL: {LITERAL}}
_ESCAPE = 'an object that is meant as it is stands in `{"$literal": …}`'


class ResultReference(Struct, frozen=True):
    """The result of a node, or a part of it."""

    node: str
    path: str = ""
    default: Any = UNSET
    """Stands in for what is not there; UNSET without one."""


class ItemReference(Struct, frozen=True):
    """The item that a job of a node with `map` is for, or a part of it."""

    path: str = ""


class Literal(Struct, frozen=True):
    """A value that is taken as it is, whatever is in it."""

    value: Any


Reference = ResultReference | ItemReference | Literal


class Found(Struct, frozen=True):
    """A reference where it stands."""

    pointer: str
    reference: ResultReference | ItemReference


def reference_of(value: dict[str, Any]) -> Reference | None:
    """Return an object as the reference that it is; None for any other object. It has to be one without a fault."""
    if RESULT in value:
        return ResultReference(value[RESULT], value.get("path", ""), value.get("default", UNSET))
    if ITEM in value:
        return ItemReference(value[ITEM])
    return Literal(value[LITERAL]) if LITERAL in value else None


def references_in(value: Any, prefix: str) -> Iterator[Found | FieldError]:
    """Yield the references in a value, and the faults of what looks like one, with their pointers.

    The value is at most `limits.MAX_PAYLOAD_DEPTH` deep.
    """
    # Most members are scalars, of which there may be fifty thousand.
    if isinstance(value, list):
        for index, member in enumerate(value):
            if isinstance(member, (dict, list)):
                yield from references_in(member, f"{prefix}/{index}")
    elif isinstance(value, dict) and (kind := next((key for key in KEYS if key in value), None)):
        yield from _reference_in(value, kind, prefix)
    elif isinstance(value, dict):
        for key, member in value.items():
            if isinstance(member, (dict, list)):
                yield from references_in(member, prefix + pointer_to(key))


def _reference_in(value: dict[str, Any], kind: str, prefix: str) -> Iterator[Found | FieldError]:
    if fault := _fault_of(value, kind, prefix):
        yield fault
    elif isinstance(reference := reference_of(value), (ResultReference, ItemReference)):
        yield Found(prefix, reference)


def _fault_of(value: dict[str, Any], kind: str, prefix: str) -> FieldError | None:
    for key in value:
        if key not in _FIELDS[kind]:
            return FieldError(prefix + pointer_to(key), f"is no field of a reference by `{kind}`; {_ESCAPE}")
    if kind == LITERAL:
        return None
    if not isinstance(value[kind], str):
        wanted = "the name of a node" if kind == RESULT else 'a JSON pointer into the item, `""` for all of it'
        return FieldError(prefix + pointer_to(kind), f"expected {wanted}; {_ESCAPE}")
    name = "path" if kind == RESULT else ITEM
    path = value.get(name, "")
    if not isinstance(path, str) or not is_pointer(path):
        return FieldError(prefix + pointer_to(name), 'expected a JSON pointer such as `/images/0`, or `""` for all')
    return None
