"""Models of pydantic are payloads and results: with their own schema, validated by pydantic."""

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
import pydantic
import pytest
import typing_extensions
from msgspec import Struct
from payload_route import Refused, Route
from pydantic import BaseModel, ConfigDict, Field, Json, RootModel, SecretStr, computed_field, field_serializer

from millstream import App, HandlerError, NewJob
from millstream.payloads import DataType, plain_result
from millstream.payloads.models import names_model

T = TypeVar("T")


class Line(BaseModel):
    """A part of an order."""

    item: str
    count: int = Field(default=1, ge=1)


class Order(BaseModel):
    """A model with a constraint, an alias, a moment, a path and parts."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    id: int
    customer: str = Field(alias="customerName", min_length=2)
    at: datetime | None = None
    lines: list[Line] = []
    file: Path | None = None


class Card(BaseModel):
    """A member of a union by tag."""

    kind: Literal["card"] = "card"
    number: str


class Cash(BaseModel):
    """The other member."""

    kind: Literal["cash"] = "cash"
    amount: float


Payment = Annotated[Card | Cash, Field(discriminator="kind")]


class Page(BaseModel, Generic[T]):
    """A generic model."""

    items: list[T]


class Tree(BaseModel):
    """A model that contains itself."""

    name: str
    children: list["Tree"] = []


class Numbers(RootModel[list[int]]):
    """A model that is no object."""


@pydantic.dataclasses.dataclass
class Point:
    """A dataclass of pydantic."""

    x: int = Field(ge=0)


class Envelope(Struct):
    """A Struct with models in it."""

    order: Order
    trees: list[Tree] = []
    point: Card | None = None


ORDER = Order(id=3, customerName="ann", at=datetime(2026, 1, 2, tzinfo=UTC), lines=[Line(item="tea")], file=Path("a/b"))

PLAIN = {
    "id": 3,
    "customerName": "ann",
    "at": "2026-01-02T00:00:00Z",
    "lines": [{"item": "tea", "count": 1}],
    "file": "a/b",
}


@pytest.mark.parametrize(
    ("annotation", "payload", "expected"),
    [
        (Order, PLAIN, ORDER),
        (Order | None, None, None),
        (list[Order], [PLAIN], [ORDER]),
        (Card | Cash, {"kind": "cash", "amount": 2}, Cash(amount=2)),
        (Payment, {"kind": "card", "number": "1"}, Card(number="1")),
        (Page[Line], {"items": [{"item": "tea"}]}, Page[Line](items=[Line(item="tea")])),
        (Tree, {"name": "a", "children": [{"name": "b"}]}, Tree(name="a", children=[Tree(name="b")])),
        (Numbers, [1, 2], Numbers([1, 2])),
        (Point, {"x": 1}, Point(1)),
        (Envelope, {"order": PLAIN, "trees": [{"name": "a"}]}, Envelope(ORDER, [Tree(name="a")])),
    ],
    ids=lambda value: getattr(value, "__name__", None) or "",
)
def test_a_model_is_decoded_from_both_encodings(annotation: Any, payload: Any, expected: Any) -> None:
    """A payload becomes the model that the handler declares, by itself, in a container, a union or a Struct."""
    route = Route(annotation)
    assert route.json(msgspec.json.encode(payload)) == expected
    assert route.message_pack(payload) == expected


@pytest.mark.parametrize(
    ("annotation", "payload", "pointer"),
    [
        (Order, {"id": "x", "customerName": "ann"}, "/payload/id"),
        (Order, {"id": 1, "customerName": "a"}, "/payload/customerName"),
        (Order, {**PLAIN, "more": 1}, "/payload/more"),
        (Order, {**PLAIN, "lines": [{"item": "tea", "count": 0}]}, "/payload/lines/0/count"),
        (Payment, {"kind": "card"}, "/payload/number"),
        (Tree, {"name": "a", "children": [{}]}, "/payload/children/0/name"),
        (Envelope, {"order": {**PLAIN, "id": "x"}}, "/payload/order/id"),
        (Envelope, {"order": PLAIN, "trees": [{}]}, "/payload/trees/0/name"),
    ],
)
def test_a_payload_that_does_not_fit_its_model_is_refused_at_submission(
    annotation: Any, payload: Any, pointer: str
) -> None:
    """A payload that does not fit the published schema of a model is refused with a pointer to the field."""
    refused = Route(annotation).message_pack(payload)
    assert isinstance(refused, Refused)
    assert [error.pointer for error in refused.errors] == [pointer]


@pytest.mark.parametrize(
    ("annotation", "payload", "place"),
    [
        (
            Order,
            {"id": 1, "customerName": "ann", "lines": [{"item": "secret", "count": "secret"}]},
            r"valid integer.* - at `\$\.lines\[0\]\.count`",
        ),
        (
            Envelope,
            {"order": PLAIN, "trees": [{"name": ["secret"]}]},
            r"Tree\.name: .*valid string - at `\$\.trees\[0\]`",
        ),
    ],
    ids=["model", "Struct"],
)
def test_an_error_of_a_model_names_the_field_and_no_value(annotation: Any, payload: Any, place: str) -> None:
    """The error about a payload that a worker cannot read has the path to the field, and nothing of the payload."""
    decode = Route(annotation).handler.decode
    with pytest.raises(msgspec.ValidationError, match=place) as caught:
        decode(msgspec.msgpack.encode(payload))
    assert "secret" not in str(caught.value)


def test_a_model_is_submitted_as_it_is_read() -> None:
    """A client encodes a model by its aliases and in the forms of JSON, wherever it stands in the payload."""
    for payload, plain in ((ORDER, PLAIN), ({"orders": [ORDER]}, {"orders": [PLAIN]}), (Envelope(ORDER).order, PLAIN)):
        assert msgspec.msgpack.decode(NewJob("x", payload).content)["payload"] == plain


def test_a_model_with_wrong_values_is_refused_by_the_client() -> None:
    """A model that was constructed without validation, and has values of other types, cannot be submitted."""
    with pytest.raises(TypeError, match=r"the payload of `x` cannot be encoded: Line: `count` is no int$"):
        NewJob("x", Line.model_construct(item="tea", count="many"))


class Total(BaseModel):
    """A model whose serialized form has more fields than it takes."""

    net: float

    @computed_field
    def gross(self) -> float:
        """Add the tax."""
        return self.net * 1.2


@dataclass
class Wrapped:
    """A dataclass with a model in it."""

    total: Total


@pytest.mark.parametrize("annotation", [Total, list[Total], Wrapped])
def test_the_schema_of_a_result_is_that_of_what_is_sent(annotation: Any) -> None:
    """The schema of a result describes a model as it is serialized, and that of a payload as it is read."""
    assert "gross" in str(DataType(annotation, is_result=True).schema)
    assert "gross" not in str(DataType(annotation).schema)


def test_a_result_is_read_as_its_model() -> None:
    """What a handler returns of a model is read as the same model, with computed fields and aliases."""
    for value, annotation in ((Total(net=2), Total), ([ORDER], list[Order]), (Wrapped(Total(net=1)), Wrapped)):
        blob = msgspec.msgpack.encode(plain_result(value))
        assert DataType(annotation, is_result=True).decode(blob) == value


class Strict(BaseModel):
    """A model that takes no more than it declares, and is serialized with more."""

    model_config = ConfigDict(extra="forbid")

    net: float
    rows: Json[list[int]] = [1]

    @computed_field
    def gross(self) -> float:
        """Add the tax."""
        return self.net * 1.2


def test_a_payload_is_written_in_the_form_in_which_its_model_reads_it() -> None:
    """A computed field is left out of a payload, and a field that is read from JSON text is written as such."""
    payload = msgspec.msgpack.decode(NewJob("x", Strict(net=1, rows="[1, 2]")).content)["payload"]
    assert payload == {"net": 1.0, "rows": "[1,2]"}
    assert Route(Strict).message_pack(payload).rows == [1, 2]


class Login(BaseModel):
    """A model with a secret."""

    password: SecretStr


class Shown(Login):
    """A model that says how its secret is written."""

    @field_serializer("password", when_used="json")
    def show(self, password: SecretStr) -> str:
        """Write the secret."""
        return password.get_secret_value()


def test_a_secret_that_would_be_written_as_asterisks_is_refused() -> None:
    """A model whose secret pydantic would replace is neither a payload nor a result, unless it says how to write it."""
    login, starry = Login(password=SecretStr("tea")), Line(item="**********")
    with pytest.raises(TypeError, match="Login has a secret, which pydantic writes as asterisks"):
        NewJob("x", login)
    with pytest.raises(ValueError, match="Login has a secret, which pydantic writes as asterisks"):
        plain_result(login)
    assert plain_result(starry) == {"item": "**********", "count": 1}
    shown = Shown(password=SecretStr("tea"))
    assert msgspec.msgpack.decode(NewJob("x", shown).content)["payload"] == {"password": "tea"}
    assert Route(Login).message_pack({"password": "tea"}) == Login(password=SecretStr("tea"))


class Unhashed(BaseModel):
    """A model without a hash."""

    a: int


class Later(BaseModel):
    """A model of a type that does not exist."""

    a: "Nowhere"  # type: ignore[name-defined] # noqa: F821


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (Card | Envelope, "cannot be decoded: Type unions"),
        (tuple[Envelope, set[Unhashed]], "a set of `Unhashed` cannot be made"),
        (Later, "cannot be decoded: .*Later"),
    ],
)
def test_a_model_that_cannot_be_read_is_refused_when_the_handler_is_registered(annotation: Any, message: str) -> None:
    """An annotation with a model that neither pydantic nor msgspec can read is refused in one line."""

    def handle(payload: Any) -> None:
        """Do nothing."""

    handle.__annotations__["payload"] = annotation
    with pytest.raises(HandlerError, match=message) as caught:
        App("x").job("a")(handle)
    assert "\n" not in str(caught.value)


def test_an_alias_that_names_itself_is_read() -> None:
    """A type alias that contains itself is looked through once for models."""
    ring = typing_extensions.TypeAliasType("ring", "list[ring]")
    ring_of = type("RingOf", (), {"__value__": None})()
    ring_of.__value__ = list[ring_of]  # type: ignore[valid-type]
    assert not names_model(ring)
    assert not names_model(ring_of)
    assert names_model(list[dict[str, Order | None]])


def test_pydantic_is_imported_only_where_it_is_used() -> None:
    """An app without a model does not import pydantic, which is an optional extra."""
    code = (
        "import sys, millstream\n"
        "@millstream.App('x').job('a')\n"
        "def handle(payload: list[int]) -> dict[str, float]: ...\n"
        "millstream.NewJob('a', [1])\n"
        "sys.exit('pydantic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
