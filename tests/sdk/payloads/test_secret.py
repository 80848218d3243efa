"""A handler declares secrets by an annotation, and gets their plain values."""

import enum
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import msgspec
import pydantic
import pytest
from msgspec import Meta, Struct
from payload_route import Route

from millstream import App, HandlerError, Secret, Unique
from millstream.payloads import DataType
from millstream_contracts import MASK, secret_places


class Login(Struct):
    """A Struct with a secret."""

    user: str
    password: Secret[str]


@dataclass
class Card:
    """A dataclass with a secret that has a default."""

    number: Secret[str] = "4711"


class Header(TypedDict):
    """A TypedDict with a secret."""

    token: NotRequired[Secret[str]]


class Pair(NamedTuple):
    """A NamedTuple with a secret."""

    name: str
    value: Secret[int]


class Account(pydantic.BaseModel):
    """A model of pydantic with secrets."""

    iban: Secret[str]
    pins: list[Secret[int]]
    login: Secret["Owner | None"] = None


class Owner(pydantic.BaseModel):
    """A member of a model."""

    name: str


@pydantic.dataclasses.dataclass
class Paper:
    """A dataclass of pydantic with a secret."""

    text: Secret[str]


CASES: list[tuple[Any, Any, Any]] = [
    (Secret[str], "s", MASK),
    (Secret[Login], {"user": "u", "password": "s"}, MASK),
    (Login, {"user": "u", "password": "s"}, {"user": "u", "password": MASK}),
    (Login | None, {"user": "u", "password": "s"}, {"user": "u", "password": MASK}),
    (list[Login], [{"user": "u", "password": "s"}], [{"user": "u", "password": MASK}]),
    (dict[str, Secret[int]], {"a": 1}, {"a": MASK}),
    (Secret[str | None], "s", MASK),
    (Secret[Annotated[str, Meta(min_length=1)]], "s", MASK),
    (Annotated[Secret[str], Meta(min_length=1)], "s", MASK),
    (Card, {"number": "s"}, {"number": MASK}),
    (Header, {"token": "s"}, {"token": MASK}),
    (Pair, ["n", 1], ["n", MASK]),
    (Account, {"iban": "s", "pins": [1], "login": {"name": "s"}}, {"iban": MASK, "pins": [MASK], "login": MASK}),
    (list[Account], [{"iban": "s", "pins": []}], [{"iban": MASK, "pins": []}]),
    (Paper, {"text": "s"}, {"text": MASK}),
]


@pytest.mark.parametrize(("annotation", "value", "shown"), CASES)
def test_secret_is_in_the_schema_of_payload_and_result(annotation: Any, value: Any, shown: Any) -> None:
    """Each kind of type publishes where its secrets are, as a payload and as a result."""
    app = App("shop")

    @app.job("x")
    def handle(payload: annotation) -> annotation:
        return payload

    registration = handle.registration()
    for schema in (registration.payload_schema, registration.result_schema):
        places = secret_places(schema)
        assert places is not None
        assert places.masked(value) == shown


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(Secret[str], "s"), (Login, Login("u", "s")), (Card, Card("s")), (Account, Account(iban="s", pins=[1]))],
)
def test_handler_gets_the_plain_value(annotation: Any, value: Any) -> None:
    """A value that is declared secret arrives as one that is not."""
    plain = value.model_dump() if isinstance(value, pydantic.BaseModel) else value
    assert Route(annotation).json(msgspec.json.encode(plain)) == value


def test_default_of_a_secret_is_not_published() -> None:
    """The schema of a type does not tell the default of a secret field."""
    app = App("shop")

    @app.job("x")
    def handle(card: Card) -> None: ...

    assert "4711" not in repr(handle.registration())


def test_secret_of_pydantic_is_one_here() -> None:
    """A `SecretStr` of a model is masked as `Secret[str]` is."""
    places = secret_places({"properties": {"p": pydantic.TypeAdapter(pydantic.SecretStr).json_schema()}})
    assert places is not None
    assert places.masked({"p": "s"}) == {"p": MASK}


@pytest.mark.parametrize(
    "options", [{"key": "password"}, {"key": "password.inner"}, {"unique": Unique("user", "password")}]
)
def test_what_is_shown_is_not_made_of_a_secret(options: Any) -> None:
    """A key of jobs that would be taken from a secret field is refused when the handler is registered."""
    app = App("shop")

    def handle(login: Login) -> None: ...

    with pytest.raises(HandlerError, match="is secret"):
        app.job("x", **options)(handle)


def test_keys_of_an_object_cannot_be_secret() -> None:
    """A secret key of a mapping is refused, because keys are shown."""
    app = App("shop")

    def handle(payload: dict[Secret[str], int]) -> None: ...

    with pytest.raises(HandlerError, match="a key of an object cannot be secret"):
        app.job("x")(handle)


class Colour(enum.Enum):
    """An enumeration."""

    RED = "red"


class Cat(Struct, tag="cat"):
    """A member of a union."""


class Dog(Struct, tag="dog"):
    """Another one."""


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Colour, "canary"),
        (Literal["red"], "can - at `$.ary"),
        (list[Colour], ["canary"]),
        (Cat | Dog, {"type": "canary"}),
        (Annotated[str, Meta(max_length=2)], "canary"),
        (int, "canary"),
    ],
)
def test_no_error_of_a_decoder_quotes_a_value(annotation: Any, value: Any) -> None:
    """What cannot be decoded is told by its place, and not by its value, which may be secret."""
    kind = DataType(annotation, is_result=True)
    with pytest.raises(msgspec.ValidationError) as caught:
        kind.decode(msgspec.msgpack.encode(value))
    assert "can" not in str(caught.value)
