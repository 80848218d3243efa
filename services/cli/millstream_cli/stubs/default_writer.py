"""Writes the default of a field as Python."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from millstream_cli.stubs.python_type import EnumClass, PythonType, quoted

UNSET = "UNSET"
"""The default of a field that may be left out, and of one whose default has no literal: the handler has its own."""


def default_of(field: Any, kind: PythonType, enums: Iterable[EnumClass]) -> str:
    """Return the expression of a field's default."""
    if not isinstance(field, Mapping) or "default" not in field:
        return UNSET
    value = field["default"]
    if value is None:
        return "None" if kind.takes_null else UNSET
    for member in kind.each:
        if (found := _literal(value, member, enums)) is not None:
            return found
    return UNSET


def _literal(value: Any, kind: PythonType, enums: Iterable[EnumClass]) -> str | None:
    """Return a value as a literal of a type; None where it has none."""
    if isinstance(value, str | bool | int | float):
        return _scalar(value, kind) or _member(value, kind, enums)
    for empty, start in (([], "list["), ({}, "dict[")):
        if value == empty and kind.text.startswith(start):
            return f"field(default_factory={start[:-1]})"
    return None


def _scalar(value: str | float, kind: PythonType) -> str | None:
    if kind.literals:
        fits = value in kind.literals and not isinstance(value, float)
    elif isinstance(value, float):
        fits = math.isfinite(value) and kind.text in {"float", "Any"}
    else:
        fits = kind.text in _TYPES_OF[type(value)]
    return quoted(value) if fits else None  # type: ignore[arg-type]


_TYPES_OF = {str: {"str", "Any"}, bool: {"bool", "Any"}, int: {"int", "float", "Any"}}


def _member(value: Any, kind: PythonType, enums: Iterable[EnumClass]) -> str | None:
    members = next((enum.members for enum in enums if enum.name == kind.text), {})
    return next((f"{kind.text}.{name}" for name, one in members.items() if one == value), None)
