"""Types as they stand in the module of contracts, and the classes that they name."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

Kind = Literal["any", "null", "bool", "int", "float", "text", "array", "object", "mapping"]
"""What the JSON of a type looks like: a union can have one type of each kind, and several objects with tags."""


def quoted(value: str | int) -> str:
    """Return a value as a literal, with double quotes around a text."""
    return msgspec.json.encode(value).decode() if isinstance(value, str) else repr(value)


class PythonType(Struct, frozen=True):
    """The expression of a type."""

    text: str
    kind: Kind
    members: tuple["PythonType", ...] = ()
    """Of a union."""
    literals: tuple[Any, ...] = ()
    """The values of a `Literal`."""
    tag: tuple[str, str | int] | None = None
    """Of an object: the field by which it is distinguished, and its value there."""

    @property
    def each(self) -> "tuple[PythonType, ...]":
        """The members of a union, or this type alone."""
        return self.members or (self,)

    @property
    def takes_null(self) -> bool:
        """Whether None is one of its values."""
        return any(member.kind in {"any", "null"} for member in self.each)


ANY = PythonType("Any", "any")
NULL = PythonType("None", "null")
BOOL = PythonType("bool", "bool")
INT = PythonType("int", "int")
FLOAT = PythonType("float", "float")
TEXT = PythonType("str", "text")
MAPPING = PythonType("dict[str, Any]", "mapping")


class ClassField(Struct, frozen=True):
    """A field of a class."""

    name: str
    """As Python takes it."""
    encoded: str
    """As it stands in JSON."""
    type: PythonType
    default: str | None
    """The expression of its default; None for a field that has to be given."""


class StructClass(Struct, kw_only=True):
    """A class with fields. The fields are filled in after its name is known: it may contain itself."""

    name: str
    doc: str
    fields: list[ClassField] = []
    tag: tuple[str, str | int] | None = None


class EnumClass(Struct, frozen=True, kw_only=True):
    """An enumeration, of texts or of integers."""

    name: str
    doc: str
    members: dict[str, str | int]

    @property
    def base(self) -> str:
        """The class that it extends."""
        return "StrEnum" if all(isinstance(value, str) for value in self.members.values()) else "IntEnum"
