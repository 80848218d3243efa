"""Allowed values of the fields of a settings Struct, in words."""

from pathlib import Path
from typing import Any

from msgspec import inspect


def kind_of(hint: Any) -> inspect.Type:
    """Return what a field holds when it is not None, its description kept."""
    kind = inspect.type_info(hint)
    if isinstance(kind, inspect.UnionType):
        kind = next(member for member in kind.types if not isinstance(member, inspect.NoneType))
    return kind


def bare(kind: inspect.Type) -> inspect.Type:
    """Return a kind without its description."""
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def allowed(kind: inspect.Type) -> str:
    """Return in words what a value may be."""
    if isinstance(kind, inspect.Metadata) and kind.extra_json_schema:
        return str(kind.extra_json_schema["description"])
    match bare(kind):
        case inspect.IntType() | inspect.FloatType() as number:
            return f"{'a whole number' if isinstance(number, inspect.IntType) else 'a number'}{_bounds(number)}"
        case inspect.BoolType():
            return "`true` or `false`"
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(f"`{value}`" for value in values)
        case inspect.VarTupleType(item_type=item):
            return f"{allowed(item)}; several with commas between them"
        case other:
            return "a path" if isinstance(other, inspect.CustomType) and other.cls is Path else "a text"


def _bounds(number: inspect.IntType | inspect.FloatType) -> str:
    low = number.ge if number.ge is not None else number.gt
    if low is None or number.le is None:
        return ""
    above = "" if number.ge is not None else "more than "
    # Whole numbers in full: 67,108,864 and not 6.71089e+07.
    low, high = (int(bound) if bound == int(bound) else bound for bound in (low, number.le))
    return f" from {above}{low:,} to {high:,}"
