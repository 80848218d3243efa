"""Some payload types are refused when a handler is registered, and the schemas of the others are published."""

import dataclasses
import datetime as dt
import enum
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypedDict, TypeVar, Union

import msgspec
import pytest
from msgspec import Meta, Struct
from payload_route import Route

from millstream import App, HandlerError
from millstream.payloads.union_guard import unsafe_union

T = TypeVar("T")


class Loose(Struct):
    """A Struct without a hash."""

    a: int


class Frozen(Struct, frozen=True):
    """A Struct whose hash fails at its list."""

    a: list[int]


class Single(Struct, eq=False):
    """A Struct that is hashed by its identity."""

    a: list[int]


@dataclasses.dataclass
class Unhashed:
    """A dataclass without a hash."""

    a: int


class Upload(Struct):
    """A Struct with a field that JSON cannot express."""

    target: pathlib.Path


class Coded(Struct):
    """A Struct with a field that cannot be checked."""

    code: Annotated[str, Meta(pattern="(?<=a)b")]


class Box(Struct, Generic[T]):
    """A generic Struct."""

    content: T


class Nested(Struct):
    """A Struct with such a field in a nested one."""

    boxes: dict[str, Box[set[Loose]]]


class Pairs(Struct):
    """A Struct with such a field behind a valid class."""

    both: tuple[Single, complex]


Many = enum.Flag("Many", [f"F{number}" for number in range(12)])  # type: ignore[misc]


class Point(NamedTuple):
    """A NamedTuple."""

    x: int


def text(pattern: str) -> Any:
    """Return the type of a text with a pattern."""
    return Annotated[str, Meta(pattern=pattern)]


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (Upload, r"Upload.*field `Upload\.target`: `Path` has no schema"),
        (Annotated[pathlib.Path, Meta(extra_json_schema={"type": "string"})], "`Path` has no schema"),
        (complex, "`complex` has no schema"),
        (msgspec.msgpack.Ext, "`ext` has no schema"),
        (Nested, r"field `Box\[.*\]\.content`: a set of `Loose` cannot be made"),
        (set[list[int]], "a set of `list` cannot be made"),
        (set[Frozen], "a set of `Frozen`"),
        (frozenset[Unhashed], "a set of `Unhashed`"),
        (set[tuple[Any, ...]], "a set of `vartuple`"),
        (set[tuple[int, list[int]]], "a set of `tuple`"),
        (set[int | list[int]], "a set of `union`"),
        (set[frozenset[Loose]], "a set of `frozenset`"),
        (dict[float, int], "`float` as a key"),
        (dict[bool, int], "`bool` as a key"),
        (dict[int | str, int], "`union` as a key"),
        (dict[tuple[int, int], int], "`tuple` as a key"),
        (dict[Literal[1, "a"], int], "`literal` as a key"),
        (dict[Annotated[int, Meta(ge=1)], int], "`int` as a key"),
        (Many, "too many combinations"),
        (text("a") | Annotated[str, Meta(max_length=2)], "a union has `str` twice"),
        (Annotated[int, Meta(ge=1)] | Annotated[int, Meta(le=-5)], "a union has `int` twice"),
        (
            Annotated[dt.datetime, Meta(tz=True)] | Annotated[dt.datetime, Meta(tz=False)],
            "a union has `datetime` twice",
        ),
        (Coded, r"field `Coded\.code`: the pattern '\(\?<=a\)b' .*look-behind"),
        (text("a(?=b)"), "look-ahead"),
        (text("(?!a)b"), "look-ahead"),
        (text(r"(a)\1"), "a back-reference"),
        (text(r"(?P<x>a)(?P=x)"), "a back-reference"),
        (text(r"(a)?(?(1)b|c)"), "a conditional group"),
        (text(r"(?>a)b"), "an atomic group"),
        (text(r"a++"), "a possessive repeat"),
        (text(r"(?i)a"), "flags"),
        (text(r"(?i:a)b"), "flags"),
        (text(r"(?s)."), "flags"),
        (text(r"(?m)^a$"), "flags"),
        (text(r"(?a:\d)b"), "flags"),
        (text("\ud800"), "half of a surrogate pair"),
        (Pairs, r"field `Pairs\.both`: `complex` has no schema"),
        (text(r"\ba\b"), "`.b` and `.B`"),
        (text(r"\D"), r"write `\[\^0-9\]`"),
        (text(r"[^\w-]"), r"write `\[\^0-9\]`"),
        (text(r"a{1001}"), "1000 repeats"),
        (text(r"(a{50}){50}"), "1000 repeats"),
        (text("a{900}b{900}c{900}"), "2000 characters"),
        (Annotated[Any, Meta(extra_json_schema={"pattern": "(?<=a)b"})], "look-behind"),
    ],
)
def test_type_that_cannot_be_checked_is_refused_in_one_line(annotation: Any, message: str) -> None:
    """A type that no payload can become, or that a schema cannot express, is refused with field and reason."""
    with pytest.raises(HandlerError, match=message) as caught:
        Route(annotation)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("payload_route:")


@pytest.mark.parametrize("item", [Single, tuple[int, str], frozenset[int], int | str, Point, enum.Enum("One", ["A"])])
def test_set_of_what_has_a_hash_is_allowed(item: Any) -> None:
    """A set is allowed to have items of any hashable type."""
    assert Route(set[item]).registration.payload_schema is not None


UNSAFE = [
    tuple[int, str] | Annotated[int, Meta(ge=1)],
    text("a") | list[int] | None,
    text("a") | dict[str, int],
    list[tuple[int, int] | Annotated[str, Meta(max_length=3)]],
    Box[text("a") | set[int]],
]


@pytest.mark.parametrize("annotation", UNSAFE)
def test_union_that_crashes_the_decoder_is_refused_before_it_sees_it(annotation: Any) -> None:
    """A union over which msgspec 0.22 ends the process is refused before msgspec reads it."""
    with pytest.raises(HandlerError, match="crashes msgspec"):
        Route(annotation)


@pytest.mark.parametrize("annotation", [tuple[int, str] | int, text("a") | None, text("a") | Point, text("a") | Loose])
def test_union_that_the_decoder_can_keep_apart_is_taken(annotation: Any) -> None:
    """A union that does not crash msgspec is accepted."""
    Route(annotation)


PAIR = tuple[int, str]
BOUNDED = Annotated[int, Meta(ge=1)]
AGE = NewType("AGE", BOUNDED)  # type: ignore[valid-newtype]
EITHER = Union[PAIR, BOUNDED]  # noqa: UP007 - a union of either kind


class Optional(TypedDict):
    """An object with an optional key."""

    key: NotRequired[PAIR | BOUNDED]


@pytest.mark.parametrize("bound", [{"ge": 1}, {"gt": 1}, {"le": 1}, {"lt": 1}, {"multiple_of": 2}])
def test_each_bound_of_a_number_beside_a_fixed_tuple_is_unsafe(bound: dict[str, int]) -> None:
    """A union of a fixed tuple with a number that has any bound is found unsafe."""
    assert unsafe_union(PAIR | Annotated[int, Meta(**bound)]) is not None


@pytest.mark.parametrize(
    "annotation",
    [
        PAIR | Annotated[str, Meta(min_length=1)],
        PAIR | Annotated[list[int], Meta(max_length=1)],
        PAIR | AGE,
        PAIR | Annotated[BOUNDED | None, Meta(title="nested")],
        EITHER,
        Optional,
        dict[str, list[PAIR | BOUNDED]],
    ],
)
def test_unsafe_union_is_found_wherever_it_is(annotation: Any) -> None:
    """An unsafe union is found inside of wrappers, unions, new types and containers."""
    assert unsafe_union(annotation) is not None


@pytest.mark.parametrize("annotation", [tuple[int, ...] | BOUNDED, tuple[()] | int, list[int] | BOUNDED, PAIR | int])
def test_union_without_a_fixed_tuple_beside_a_bound_is_safe(annotation: Any) -> None:
    """A union is safe without a tuple of fixed length beside a bound."""
    assert unsafe_union(annotation) is None


def test_refusal_of_unsafe_unions_is_still_needed() -> None:
    """Msgspec still crashes on unsafe unions; when this test fails, the guard can be removed."""
    script = """
import msgspec, typing
union = tuple[int, str] | typing.Annotated[int, msgspec.Meta(ge=1)]
for _ in range(1000): msgspec.msgpack.Decoder(union)
"""
    ended = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, timeout=60)
    assert ended.returncode < 0, "msgspec keeps such unions apart: take out union_guard.py"


def test_two_classes_of_one_name_are_both_described() -> None:
    """Two classes of one name have two definitions in the schema, also from one module."""

    def make(kind: type) -> type:
        class Part(Struct):
            a: kind

        return Part

    route = Route(tuple[make(int), make(str), Box[make(bytes)], Box[make(int)]])
    assert route.json('[{"a": 1}, {"a": "x"}, {"content": {"a": ""}}, {"content": {"a": 1}}]') is not None
    assert len(route.registration.payload_schema["$defs"]) == 6


def test_schema_says_what_others_need() -> None:
    """Titles, descriptions, defaults, examples and formats are published with the constraints."""

    class Order(Struct):
        """An order."""

        id: Annotated[int, Meta(ge=1, title="Number", examples=[7])]
        at: dt.datetime | None = None
        note: Annotated[str, Meta(extra_json_schema={"format": "email"})] = ""

    assert Route(Order).registration.payload_schema == {
        "$ref": "#/$defs/Order",
        "$defs": {
            "Order": {
                "title": "Order",
                "description": "An order.",
                "type": "object",
                "properties": {
                    "id": {"type": "integer", "minimum": 1, "title": "Number", "examples": [7]},
                    "at": {
                        "anyOf": [
                            {"type": "string", "anyOf": [{"format": "date-time"}, {"format": "date-time-local"}]},
                            {"type": "null"},
                        ],
                        "default": None,
                    },
                    "note": {"type": "string", "format": "email", "default": ""},
                },
                "required": ["id"],
            }
        },
    }


@pytest.mark.parametrize("default", [object(), float("nan"), 2**70, "\ud800", {1: float("inf")}])
def test_default_that_json_cannot_say_is_left_out(default: Any) -> None:
    """A default that JSON cannot express is left out of the schema."""
    kind = msgspec.defstruct("Defaulted", [("a", Any, msgspec.field(default_factory=lambda: default)), ("b", int, 0)])
    other = msgspec.defstruct("Given", [("a", Any, default)]) if not isinstance(default, dict) else kind
    assert Route(kind).json("{}").b == 0
    assert Route(other).registration.payload_schema["$defs"]
    assert "default" not in Route(other).registration.payload_schema["$defs"][other.__name__]["properties"]["a"]


def test_refusal_comes_when_the_handler_is_decorated() -> None:
    """A handler with such a type is refused when it is decorated, so that its module cannot be imported."""
    register: Callable[..., Any] = App("x").job("a")
    with pytest.raises(HandlerError, match="test_payload_refusals:"):

        @register
        def handle(payload: Upload) -> None:
            """Declare a payload that cannot arrive."""
