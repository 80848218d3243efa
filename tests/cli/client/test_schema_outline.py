"""What a type takes, as an outline; and a payload that is made up from it."""

import enum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from millstream import App
from millstream_cli.client.payload_sample import sample_words
from millstream_cli.client.schema_outline import outline


class Line(Struct):
    """A line of an order."""

    sku: str
    count: Annotated[int, Meta(ge=1)] = 1


class Order(Struct):
    """An order."""

    lines: list[Line]
    kind: Literal["new", "again"]
    note: str | None = None
    tags: dict[str, float] = {}


class Node(Struct):
    """A tree that has no end by its schema."""

    children: Annotated[list["Node"], Meta(min_length=1)]


class Colour(enum.Enum):
    """A colour."""

    RED = "red"


def schema_of(annotation: Any) -> dict[str, Any] | None:
    """Return the schema that a worker publishes for a handler with such a payload."""
    app = App("a")

    def handler(payload: Any) -> None:
        """Do nothing."""

    handler.__annotations__["payload"] = annotation
    app.job("a.b")(handler)
    return app.handlers["a.b"].registration().payload_schema


def test_outline_has_a_line_for_each_field() -> None:
    """Types, defaults, and the structs that are used under their names."""
    assert list(outline(schema_of(Order))) == [
        "lines: [Line, ...]",
        'kind: "again" | "new"',
        "note: string | null = null",
        "tags: {string: number} = {}",
        "Line:",
        "  sku: string",
        "  count: integer (minimum 1) = 1",
    ]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "string"}, ["string"]),
        ({}, ["anything"]),
        ({"type": ["string", "null"]}, ["string | null"]),
        ({"const": 3}, ["3"]),
        ({"type": "array"}, ["[anything, ...]"]),
        ({"type": "array", "prefixItems": [{"type": "string"}, {"$ref": "#/$defs/A"}]}, ["[string, A]"]),
        ({"type": "object"}, ["{string: anything}"]),
        ({"type": "object", "properties": {"a": True}}, ["a?: anything"]),
    ],
)
def test_outline_reads_any_schema(schema: dict[str, Any], said: list[str]) -> None:
    """A worker in another release, or in another language, may publish what ours does not."""
    assert list(outline(schema)) == said


@pytest.mark.parametrize(
    "annotation",
    [
        Order,
        Line,
        Colour,
        list[Line],
        tuple[int, str],
        Annotated[int, Meta(ge=10, multiple_of=7)],
        Annotated[int, Meta(lt=0)],
        Annotated[float, Meta(gt=0.0, le=0.5)],
        Annotated[str, Meta(min_length=9)],
        Annotated[list[bool], Meta(min_length=2)],
        dict[str, int],
        int | str,
        Literal["a"],
    ],
    ids=str,
)
def test_a_payload_that_is_made_up_is_accepted(annotation: Any) -> None:
    """A command that is shown to be tried runs as it stands there."""
    words = sample_words(schema_of(annotation))
    assert words is not None
    (text,) = words
    msgspec.json.decode(text, type=annotation)


def test_no_payload_is_made_up_where_none_is_needed() -> None:
    """The command is shortest then."""
    assert sample_words(None) == []
    assert sample_words(schema_of(None)) == []


@pytest.mark.parametrize(
    "schema",
    [
        schema_of(Node),
        schema_of(Annotated[str, Meta(pattern="^[0-9]{4}$")]),
        {"$ref": "#/$defs/none"},
        {"type": "strange"},
        {"type": "array", "items": {"type": "integer"}, "maxItems": 0},
    ],
    ids=str,
)
def test_a_schema_that_asks_for_too_much_gets_no_payload(schema: dict[str, Any]) -> None:
    """A command that would be refused is not shown."""
    assert sample_words(schema) is None
