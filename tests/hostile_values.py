"""Values that misbehave when they are read, for tests of everything that renders users' values."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st


class Panic(BaseException):
    """An exception as extensions written in Rust raise it when they panic."""


class Raising:
    """A value all of whose methods raise."""

    def __init__(self, error: BaseException) -> None:
        object.__setattr__(self, "error", error)

    def _fail(self, *_: Any) -> Any:
        raise object.__getattribute__(self, "error")

    __repr__ = __str__ = __format__ = __bool__ = __len__ = __iter__ = __eq__ = _fail
    __getattr__ = __float__ = __int__ = __index__ = __getitem__ = _fail
    __hash__ = object.__hash__

    @property
    def __class__(self) -> Any:
        return self._fail()


class LyingName(type):
    """A metaclass whose classes have no readable name."""

    @property
    def __name__(cls) -> str:
        raise Panic


class Nameless(metaclass=LyingName):
    """A value whose class has no name."""

    def __repr__(self) -> str:
        raise ValueError("no repr")


class NoText:
    """A value whose `__repr__` returns no text."""

    def __repr__(self) -> str:
        return 5  # type: ignore[return-value]

    __str__ = __repr__


class OddText(str):
    """A text whose own methods cannot cut or encode it."""

    __slots__ = ()

    def __getitem__(self, _: Any) -> str:
        raise Panic

    def encode(self, *_: Any, **__: Any) -> bytes:
        """Raise an error."""
        raise Panic

    def replace(self, *_: Any, **__: Any) -> str:
        """Raise an error."""
        raise Panic


class TextOfOddText:
    """A value whose text is an OddText."""

    def __str__(self) -> str:
        return OddText("odd " * 100)

    __repr__ = __str__


class OddError(Exception):
    """An exception whose text, notes and attributes raise."""

    def __str__(self) -> str:
        raise Panic

    __repr__ = __str__

    @property
    def __notes__(self) -> Any:
        raise Panic


def itself() -> dict[str, Any]:
    """Return a dictionary that contains itself."""
    value: dict[str, Any] = {}
    value["self"] = value
    return value


def nested(depth: int) -> list[Any]:
    """Return nested lists."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def circle() -> Exception:
    """Return an exception that is the cause of its own cause."""
    first, second = ValueError("first"), TypeError("second")
    first.__cause__, second.__cause__ = second, first
    return first


HOSTILE: dict[str, Any] = {
    "raises": lambda: Raising(ValueError("no")),
    "panics": lambda: Raising(Panic()),
    "exits": lambda: Raising(SystemExit(3)),
    "recurses": lambda: Raising(RecursionError()),
    "nameless": Nameless,
    "no text": NoText,
    "odd text": lambda: OddText("odd"),
    "text of odd text": TextOfOddText,
    "odd error": OddError,
    "circle of errors": circle,
    "itself": itself,
    "deep": lambda: nested(5_000),
    "odd keys": lambda: {("a", 1): 2, None: 3, Nameless(): 4, 10**5000: 5},
    "huge number": lambda: 10**5000,
    "big number": lambda: 2**80,
    "nan": lambda: {"nan": float("nan"), "inf": float("-inf")},
    "surrogate": lambda: "a\ud800b",
    "surrogate key": lambda: {"\udfff": "\ud800"},
    "bytes": lambda: b"\xff\x00",
    "namespace": lambda: SimpleNamespace(itself=itself()),
    "long": lambda: "x" * 200_000,
    "long list": lambda: ["x" * 100] * 2_000,
    "set": lambda: {Nameless(), "a"},
}
"""Makers of values that some code cannot handle, by name."""


class Recipe:
    """A recipe for a value. Hypothesis reads what it draws, so it draws these."""

    def __init__(self, words: str, make: Callable[[], Any]) -> None:
        self._words = words
        self.make = make

    def __repr__(self) -> str:
        return self._words


def recipes() -> st.SearchStrategy[Recipe]:
    """Return a strategy of recipes for values, hostile and plain, alone and nested."""
    hostile = st.sampled_from(sorted(HOSTILE)).map(lambda name: Recipe(name, HOSTILE[name]))
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    return st.recursive(
        hostile | plain.map(lambda value: Recipe(repr(value), lambda: value)),
        lambda inner: st.lists(inner, max_size=4).map(_list) | st.dictionaries(st.text(max_size=5), inner).map(_dict),
        max_leaves=6,
    )


def _list(members: list[Recipe]) -> Recipe:
    return Recipe(repr(members), lambda: [member.make() for member in members])


def _dict(members: dict[str, Recipe]) -> Recipe:
    return Recipe(repr(members), lambda: {name: member.make() for name, member in members.items()})
