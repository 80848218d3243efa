"""`stubs` writes a module whose contracts take and give what the handlers do."""

import datetime as dt
import enum
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import msgspec
import pytest
from cli.stubs.modules import imported, of_schema, registered
from msgspec import UNSET, Struct, UnsetType, field
from pydantic import BaseModel, Field, RootModel

from millstream import NewJob
from millstream.handlers import app as builtin
from millstream.payloads import DataType
from millstream_cli.stubs.module_writer import write_module

T = TypeVar("T")


class Colour(enum.StrEnum):
    """A colour."""

    RED = "red"
    DARK_BLUE = "dark-blue"


class Level(enum.IntEnum):
    """A level."""

    LOW = -1
    HIGH = 7


class Card(Struct, tag="card"):
    """Pay by card."""

    number: str


class Cash(Struct, tag="cash"):
    """Pay in cash."""

    amount: float = 0


class Point(NamedTuple):
    """A place."""

    x: int
    y: int


class Entry(TypedDict, total=False):
    """An entry."""

    at: dt.date


class Page(Struct, Generic[T]):
    """A page."""

    items: list[T]
    next: "Page[T] | None" = None


class Everything(Struct, kw_only=True):
    r"""A field of each kind.

    With a backslash \ and \"\"\"quotes\"\"\" in its description"
    """

    number: int
    ratio: float = 1
    text: str = 'with "quotes"'
    flag: bool = True
    data: bytes
    at: dt.datetime
    day: dt.date
    clock: dt.time
    wait: dt.timedelta
    key: uuid.UUID
    price: Decimal
    file: Path
    colour: Colour = Colour.DARK_BLUE
    level: Level = Level.HIGH
    mode: Literal["a", "b"] = "a"
    how: Card | Cash
    maybe: Card | None = None
    sizes: dict[int, float] = {}
    names: list[str] = []
    point: Point = Point(1, 2)
    entry: Entry | None = None
    pages: Page[str] | None = None
    any: Any = None
    pair: tuple[int, str] = (1, "a")
    one_of: int | str | None = None
    unset: int | UnsetType = UNSET
    class_: str = field(name="class", default="x")
    dashed: int = field(name="is-it", default=1)


SAMPLE: dict[str, Any] = {
    "number": 1,
    "ratio": 2.5,
    "text": "t",
    "flag": False,
    "data": "aGk=",
    "at": "2026-01-02T03:04:05Z",
    "day": "2026-01-02",
    "clock": "03:04:05",
    "wait": "P1D",
    "key": "12345678-1234-5678-1234-567812345678",
    "price": "19.90",
    "file": "a/b",
    "colour": "red",
    "level": -1,
    "mode": "b",
    "how": {"type": "cash", "amount": 2.0},
    "maybe": {"type": "card", "number": "1"},
    "sizes": {"3": 1.5},
    "names": ["a"],
    "point": [1, 2],
    "entry": {"at": "2026-01-02"},
    "pages": {"items": ["a"], "next": {"items": []}},
    "any": [1, {"a": None}],
    "pair": [1, "a"],
    "one_of": "x",
    "unset": 1,
    "class": "y",
    "is-it": 3,
}


def test_what_a_handler_gives_is_read_and_what_it_takes_is_written(tmp_path: Path) -> None:
    """A written class reads what the handler's own class reads, and is encoded as that one is."""
    module = imported([registered("every.thing", Everything, Everything)], tmp_path)
    own = DataType(Everything).convert(json.loads(json.dumps(SAMPLE)))
    read = module.every_thing.result_type.convert(json.loads(json.dumps(SAMPLE)))
    assert (read.colour, read.level, read.how.amount) == (module.Colour.RED, module.Level.MINUS_1, 2.0)
    assert (type(read.key), type(read.price), type(read.file)) == (uuid.UUID, Decimal, type(Path()))
    assert (read.class_, read.is_it, read.pages.next.items) == ("y", 3, [])
    assert NewJob(module.every_thing, read).content == NewJob("every.thing", own).content


def test_fields_that_may_be_left_out_have_the_defaults_of_the_handler(tmp_path: Path) -> None:
    """A field with a default may be left out, and is then sent with that default or not at all."""
    module = imported([registered("every.thing", Everything)], tmp_path)
    needed = ("number", "data", "at", "day", "clock", "wait", "key", "price", "file")
    payload = module.Everything(**dict.fromkeys(needed, 1), how=module.Card(number="1"))
    assert (payload.ratio, payload.text, payload.flag, payload.mode) == (1, 'with "quotes"', True, "a")
    assert (payload.colour, payload.level) == (module.Colour.DARK_BLUE, module.Level.VALUE_7)
    assert (payload.names, payload.sizes, payload.maybe, payload.unset) == ([], {}, None, UNSET)
    assert "unset" not in msgspec.msgpack.decode(NewJob(module.every_thing, payload).content)["payload"]


class Line(BaseModel):
    """A line."""

    item: str = Field(alias="itemName")
    kind: Literal["a", "b"] = "a"
    count: Annotated[int, Field(ge=1)] = 1


class Order(BaseModel):
    """An order."""

    lines: list[Line]
    by: Annotated["Gold | Silver", Field(discriminator="kind")]
    note: str | None = None


class Gold(BaseModel):
    """A rank."""

    kind: Literal["gold"] = "gold"
    since: dt.date


class Silver(BaseModel):
    """Another rank."""

    kind: Literal["silver"] = "silver"


class Numbers(RootModel[list[int]]):
    """A model that is no object."""


def test_models_of_pydantic_are_written_as_structs(tmp_path: Path) -> None:
    """A model, its aliases, its tags and its parts become Structs, and a model that is no object its own type."""
    Order.model_rebuild()
    module = imported([registered("order.take", Order, Numbers)], tmp_path)
    order = module.Order(lines=[module.Line(itemName="tea")], by=module.Gold(since=dt.date(2026, 1, 2)))
    content = msgspec.msgpack.decode(NewJob(module.order_take, order).content)["payload"]
    assert Order.model_validate(content).by.since == dt.date(2026, 1, 2)
    assert content["lines"] == [{"itemName": "tea", "kind": "a", "count": 1}]
    assert module.order_take.result_type.convert([1, 2]) == [1, 2]


@pytest.mark.parametrize(
    ("job_type", "name"),
    [
        ("order.charge", "order_charge"),
        ("a-b.c", "a_b_c"),
        ("2fa.send", "n2fa_send"),
        ("import", "import_"),
        ("list", "list_"),
        ("contract", "contract_"),
    ],
)
def test_a_job_type_becomes_a_name_that_python_takes(tmp_path: Path, job_type: str, name: str) -> None:
    """The function of a contract is called like its type, as far as Python takes that."""
    assert getattr(imported([registered(job_type)], tmp_path), name).type == job_type


def test_job_types_that_would_have_one_name_have_numbers(tmp_path: Path) -> None:
    """Two types whose names differ only in what Python does not take have contracts of their own."""
    module = imported([registered("a.b"), registered("a-b")], tmp_path)
    assert (module.a_b.type, module.a_b_2.type) == ("a.b", "a-b")


def test_equal_classes_of_several_types_are_one_and_others_have_numbers(tmp_path: Path) -> None:
    """A class that several types share is written once; another one of the same name gets a number."""
    other = msgspec.defstruct("Card", [("other", int)])
    module = imported([registered("a", Card, Card), registered("b", list[Card]), registered("c", other)], tmp_path)
    assert module.Card.__struct_fields__ == ("number",)
    assert module.Card2.__struct_fields__ == ("other",)
    assert not hasattr(module, "Card3")


HOSTILE_NAMES = {
    "type": "object",
    "title": "a title, with 2 words",
    "properties": {
        name: {"type": "integer"}
        for name in (
            "class", "int", "list", "datetime", "field", "UNSET", "2nd", "", "é", "a b", "a-b", "__dunder__",
            "_private", "ATitleWith2Words", "self", "None", "x" * 200, "$ref", "\u2028",
        )
    },
    "required": ["class", "int"],
}  # fmt: skip


def test_names_of_fields_are_what_python_takes_and_json_keeps_them(tmp_path: Path) -> None:
    """A field whose name Python does not take gets another one, and stands in JSON under its own."""
    module = imported([of_schema(HOSTILE_NAMES, HOSTILE_NAMES)], tmp_path)
    sent = {name: at for at, name in enumerate(HOSTILE_NAMES["properties"])}
    read = module.a_job.result_type.convert(dict(sent))
    assert msgspec.msgpack.decode(NewJob(module.a_job, read).content)["payload"] == sent
    assert all(name.isidentifier() for name in read.__struct_fields__)


ODD = {
    "names of no Struct": {
        "type": "object",
        "properties": {name: {} for name in ('"quoted"', "\\", "new\nline")},
    },
    "empty": {},
    "no type": {"title": "X", "minimum": 3},
    "a reference to nothing": {"$ref": "#/$defs/Nowhere"},
    "a reference elsewhere": {"$ref": "https://example.org/schema"},
    "a ring of references": {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}},
    "an alias of itself": {"$ref": "#/$defs/A", "$defs": {"A": {"type": "array", "items": {"$ref": "#/$defs/A"}}}},
    "an empty enumeration": {"enum": []},
    "an enumeration of null": {"enum": [None]},
    "an enumeration of everything": {"enum": [1, "a", None, True, 2.5, {}]},
    "values of several types": {"enum": [1, "a", None, True]},
    "a constant": {"const": "x"},
    "an object as a constant": {"const": {"a": 1}},
    "several types": {"type": ["string", "integer", "null", "array"]},
    "an unknown type": {"type": "file"},
    "a union without tags": {
        "anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}],
        "$defs": {
            "A": {"type": "object", "properties": {"a": {"type": "integer"}}},
            "B": {"type": "object", "properties": {"b": {"type": "integer"}}},
        },
    },
    "a union of a class and a dict": {
        "anyOf": [{"type": "object"}, {"type": "object", "properties": {"a": {"type": "integer"}}}]
    },
    "a union of texts": {"anyOf": [{"type": "string", "format": "uuid"}, {"type": "string", "format": "date"}]},
    "a union of arrays": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "array"}]},
    "a path or a number": {"anyOf": [{"type": "string", "format": "path"}, {"type": "integer"}]},
    "a path or null": {"anyOf": [{"type": "string", "format": "path"}, {"type": "null"}]},
    "odd places": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 1},
    "an object of texts": {"type": "object", "additionalProperties": {"type": "string"}},
    "a closed object": {"type": "object", "properties": {}, "additionalProperties": False},
    "properties that are none": {"type": "object", "properties": {"a": True, "b": 3}},
    "required that is none": {"type": "object", "properties": {"a": {}}, "required": ["nothing"]},
    "defaults that do not fit": {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "default": "x"},
            "b": {"type": "string", "default": 3},
            "c": {"type": "number", "default": 1e400},
            "d": {"type": "array", "default": [1]},
            "e": {"type": "string", "default": None},
        },
    },
    "a part of all": {"allOf": [{"type": "integer"}]},
}


@pytest.mark.parametrize("name", ODD)
def test_a_schema_that_no_worker_of_ours_would_write_gives_a_module_that_works(tmp_path: Path, name: str) -> None:
    """Whatever a schema says, its module can be imported, and its contract reads and submits something."""
    registration = of_schema(ODD[name], ODD[name])
    module = imported([registration], tmp_path)
    assert module.a_job.type == "a.job"
    assert NewJob(module.a_job, None).type == "a.job"


def test_a_type_without_schemas_takes_and_gives_anything(tmp_path: Path) -> None:
    """A type that has registered no schema has a contract of anything."""
    contract = imported([of_schema(None)], tmp_path).a_job
    assert (contract.takes, contract.gives) == (Any, Any)
    nothing = imported([of_schema({"type": "null"}, {"type": "null"})], tmp_path).a_job
    assert (nothing.takes, nothing.gives) == (None, None)


def test_no_types_make_an_empty_module(tmp_path: Path) -> None:
    """A system without types gives a module without contracts."""
    assert imported([], tmp_path).__doc__ == "Contracts of job types, written by `millstream stubs`."


CHECKERS: dict[str, list[str]] = {
    "mypy": ["mypy", "--strict", "--config-file", "", "--cache-dir"],
    "basedpyright": ["basedpyright", "--pythonpath", sys.executable, "--project"],
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_written_module_passes_the_type_checkers(tmp_path: Path, checker: str) -> None:
    """A module with every kind of type and name passes mypy and basedpyright, both strict."""
    Order.model_rebuild()
    registrations = [
        registered("every.thing", Everything, Everything),
        registered("order.take", Order, Numbers),
        *(handler.registration() for handler in builtin),
        of_schema(HOSTILE_NAMES, None, "hostile"),
        *(of_schema(schema, schema, f"odd{at}") for at, schema in enumerate(ODD.values())),
    ]
    path = tmp_path / "jobs.py"
    path.write_text(write_module(registrations))
    settings = tmp_path / "pyrightconfig.json"
    settings.write_text(json.dumps({"include": [str(path)], "typeCheckingMode": "strict"}))
    program, *options = CHECKERS[checker]
    where = str(tmp_path / "cache") if checker == "mypy" else str(settings)
    files = [str(path)] if checker == "mypy" else []
    command = [str(Path(sys.executable).with_name(program)), *options, where, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + path.read_text()


def imports_of(text: str) -> Iterator[str]:
    """Yield the names that a module imports."""
    for names in re.findall(r"^from (?!__future__)\S+ import (.*)$", text, re.MULTILINE):
        yield from names.split(", ")


def test_a_module_imports_what_it_uses_and_nothing_else() -> None:
    """Each import of a written module is used in its code, and not in a docstring alone."""
    text = write_module([registered("a", int, str)])
    assert list(imports_of(text)) == ["contract"]
    everything = write_module([registered("every.thing", Everything, Everything)])
    for name in imports_of(everything):
        assert len(re.findall(rf"\b{name}\b", everything)) > 1, name
