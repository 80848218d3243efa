"""Makes names that Python takes, each of them once, of names that JSON takes."""

import builtins
import keyword
import re

IMPORTED = frozenset({
    "Any", "Decimal", "IntEnum", "Literal", "Path", "StrEnum", "Struct", "UNSET", "UUID", "UnsetType", "annotations",
    "contract", "date", "datetime", "field", "time", "timedelta",
})  # fmt: skip
"""The names that a module of contracts may import."""

NO_FIELDS = IMPORTED | frozenset(keyword.kwlist) | {"bool", "bytes", "dict", "float", "int", "list", "str", "tuple"}
"""The names that no field may have: one that is named like a type would hide it from the fields behind it."""

TAKEN = IMPORTED | frozenset(keyword.kwlist) | frozenset(dir(builtins))
"""The names that nothing else in the module may have."""

_WORDS = re.compile(r"[A-Za-z0-9]+")


class Namer:
    """Gives names, and a number to each that is given already."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def class_name(self, text: str) -> str:
        """Return the name of a class, in capitals."""
        return self._once("".join(word[0].upper() + word[1:] for word in _WORDS.findall(text)) or "Payload", "{}{}")

    def function_name(self, text: str) -> str:
        """Return the name of a function, with underscores."""
        return self._once("_".join(_WORDS.findall(text)).lower() or "job", "{}_{}")

    def field_name(self, text: str) -> str:
        """Return the name of a field: the text itself where Python takes it."""
        plain = text if text.isidentifier() and text.isascii() else "_".join(_WORDS.findall(text))
        # With underscores in front Python would give the name a class of its own.
        return self._once(plain.lstrip("_") or "value", "{}_{}", NO_FIELDS)

    def member_name(self, value: str | int) -> str:
        """Return the name of a member of an enumeration, in capitals."""
        if isinstance(value, int):
            return self._once(f"VALUE_{value}" if value >= 0 else f"MINUS_{-value}", "{}_{}")
        return self._once("_".join(_WORDS.findall(value)).upper() or "EMPTY", "{}_{}")

    def _once(self, name: str, numbered: str, taken: frozenset[str] = TAKEN) -> str:
        if name[0].isdigit():
            name = f"N{name}" if name.isupper() else f"n{name}"
        candidate, number = (f"{name}_" if name in taken else name), 2
        while candidate in self._given:
            candidate, number = numbered.format(name, number), number + 1
        self._given.add(candidate)
        return candidate
