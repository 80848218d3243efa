"""Puts statements together: their text is ours alone, and all that comes from a query is a bound parameter."""

from typing import Any

from msgspec import Struct


class Fragment(Struct, frozen=True):
    """A part of a statement, with a `{}` for each parameter."""

    sql: str
    parameters: tuple[Any, ...] = ()


class Statement:
    """The parameters of one statement, which is written around the names that `bind` and `put` return."""

    def __init__(self) -> None:
        self.parameters: list[Any] = []

    def bind(self, value: Any) -> str:
        """Return the name of a new parameter with this value."""
        self.parameters.append(value)
        return f"${len(self.parameters)}"

    def put(self, fragment: Fragment) -> str:
        """Return the text of a fragment, its parameters bound."""
        return fragment.sql.format(*(self.bind(value) for value in fragment.parameters))
