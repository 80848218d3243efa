"""A refusal is worded in the terms of JSON and HTTP, whatever was wrong."""

import struct
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from msgspec import Meta, Struct
from msgspec.msgpack import Ext
from payload_route import Refused, Route
from plain_words import python_in

from millstream_contracts import Batch, DeadLetterAction, FieldError, Submission
from millstream_ingest.http.negotiation import BatchFormat, Encoding
from millstream_ingest.submission.batch_bodies import split_batch
from millstream_ingest.submission.bodies import CODECS, decode_as
from millstream_submission import TOO_DEEP, InvalidError, MalformedError, SubmissionError, decode_submission

ENCODE = {Encoding.JSON: msgspec.json.encode, Encoding.MSGPACK: msgspec.msgpack.encode}
BOTH = pytest.mark.parametrize("encoding", list(Encoding))

WRONG: list[Any] = [
    0, -1, 2.5, 1e300, 2**64 - 1, True, None, "", "x", "x" * 200, [], {}, [1], {"x": 1}, {"": ""}, {"x": "y" * 200},
    {f"t{n}": "" for n in range(17)}, "2030-01-01", "2030-01-01T00:00:00", "1901-01-01T00:00:00Z",
]  # fmt: skip
ONLY_MSGPACK: list[Any] = [b"x", Ext(5, b"x"), Ext(-1, b"123"), Ext(-1, b"\xff" * 12), {1: 1}, {None: 1}, {b"k": "v"}]
ONLY_MSGPACK += [Ext(-1, struct.pack(">Iq", 0, seconds)) for seconds in (-(2**40), 2**60)]

INTEGERS = [(Submission, "max_attempts"), (DeadLetterAction, "limit")]


class Color(StrEnum):
    """An enumeration by text."""

    RED = "red"
    BLUE = "blue"


class Cat(Struct, tag="cat", tag_field="kind"):
    """A member of a tagged union."""

    lives: int = 9


class Dog(Struct, tag="dog", tag_field="kind", forbid_unknown_fields=True):
    """The other member of that union."""

    name: str


PAYLOADS: dict[str, tuple[Any, list[Any]]] = {
    "integer": (int, ["x", 2.5, None, [], {}]),
    "integer or null": (int | None, ["x", {}]),
    "bounded or null": (Annotated[int, Meta(ge=1)] | None, [0, "x"]),
    "number": (float, ["x", True]),
    "string": (str, [1, None]),
    "short": (Annotated[str, Meta(max_length=2)], ["xxx"]),
    "pattern": (Annotated[str, Meta(pattern="^[a-z]+$")], ["X"]),
    "multiple": (Annotated[int, Meta(multiple_of=3)], [4]),
    "boolean": (bool, [1, "true"]),
    "bytes": (bytes, ["%", 1]),
    "time": (Annotated[datetime, Meta(tz=True)], ["x", 1, "2030-01-01T00:00:00"]),
    "local time": (Annotated[datetime, Meta(tz=False)], ["x", "2030-01-01T00:00:00Z"]),
    "others": (date | None, ["x", 1]),
    "time of day": (time, ["x"]),
    "duration": (timedelta, ["x", 1]),
    "uuid": (UUID, ["x"]),
    "decimal": (Decimal, ["x", []]),
    "enumeration": (Color, ["green", 1]),
    "literal": (Literal[1, 2], [3, "1"]),
    "list": (list[int], [["x"], {}, [None]]),
    "pair": (tuple[int, str], [[1], [1, "x", 2], ["x", "y"]]),
    "map": (dict[str, int], [{"a": "x"}, []]),
    "object": (Dog, [{}, {"name": 1}, {"name": "a", "age": 3}, 7]),
    "union": (Cat | Dog, [{}, {"kind": "cow"}, {"kind": "cat", "lives": "x"}, "x", {"kind": "dog"}]),
    "union of kinds": (int | list[int] | Cat | Dog | None, ["x", ["y"], {"kind": "cow"}]),
    "set": (set[int], [["x"]]),
}


def said_of(decode: Callable[[bytes], Any], bodies: Iterable[bytes]) -> set[str]:
    """Return the texts of the refusals of some bodies."""
    said: set[str] = set()
    for body in bodies:
        try:
            decode(body)
        except SubmissionError as error:
            said.update((error.detail, *(one.detail for one in error.errors)))
    return said


def no_plain_words(texts: Iterable[str]) -> dict[str, list[str]]:
    """Return the texts that only a programmer of Python would understand."""
    return {text: python_in(text) for text in texts if not text or python_in(text)}


@BOTH
@pytest.mark.parametrize("field", Submission.__struct_fields__)
def test_refused_field_is_explained_without_a_word_of_python(field: str, encoding: Encoding) -> None:
    """The refusal of any wrong value in any field contains no word of Python."""
    values = WRONG + (ONLY_MSGPACK if encoding is Encoding.MSGPACK else [])
    bodies = [ENCODE[encoding]({"type": "a", field: value}) for value in values]
    said = said_of(lambda body: decode_submission(body, CODECS[encoding]), bodies)
    assert said or (field, encoding) == ("payload", Encoding.JSON)
    assert no_plain_words(said) == {}


@BOTH
@pytest.mark.parametrize("field", DeadLetterAction.__struct_fields__)
def test_refused_action_is_explained_without_a_word_of_python(field: str, encoding: Encoding) -> None:
    """The refusal of any wrong action on dead letters contains no word of Python."""
    bodies = [ENCODE[encoding]({field: value}) for value in WRONG]
    said = said_of(lambda body: decode_as(DeadLetterAction, body, encoding), bodies)
    assert said
    assert no_plain_words(said) == {}


@BOTH
@pytest.mark.parametrize("tail", [b"", b"x", b"\xc1", b"\x81\x80\x01", b"\xff", b'"\\q"', b"01", b"}}"])
def test_broken_bytes_are_explained_without_a_word_of_python(encoding: Encoding, tail: bytes) -> None:
    """The refusal of broken bytes is in the terms of their encoding, alone and in a batch."""
    whole = ENCODE[encoding]({"type": "a", "payload": [1]})
    bodies = [whole[:end] + tail for end in range(len(whole) + 1)]
    said = said_of(lambda body: decode_submission(body, CODECS[encoding]), bodies)
    for batch in (BatchFormat(encoding, is_sequence=False), BatchFormat(encoding, is_sequence=True)):
        said |= said_of(partial(split_batch, batch=batch), bodies)
    assert said
    assert no_plain_words(said) == {}


@pytest.mark.parametrize("name", PAYLOADS)
def test_refused_payload_is_explained_without_a_word_of_python(name: str) -> None:
    """The refusal of a payload is in the terms of JSON, for every kind of annotation."""
    annotation, values = PAYLOADS[name]
    route = Route(annotation)
    for value in values:
        refused = route.json(msgspec.json.encode(value))
        assert isinstance(refused, Refused), value
        assert no_plain_words(error.detail for error in refused.errors) == {}


@pytest.mark.parametrize(
    ("annotation", "payload", "expected"),
    [
        (Dog, {}, ("/payload/name", "`name` is missing")),
        (Dog, {"name": "a", "age": 3}, ("/payload/age", "unknown field")),
        (int | None, "x", ("/payload", "expected an integer or null, got a string")),
        (Annotated[int, Meta(ge=1)] | None, 0, ("/payload", "the value is less than the minimum of 1")),
        (Cat | Dog, {"kind": "cow"}, ("/payload/kind", 'expected one of "cat", "dog"')),
        (Cat | Dog, {}, ("/payload/kind", "`kind` is missing")),
        (
            dict[str, list[Cat | Dog]],
            {"a": [{"kind": "cow"}]},
            ("/payload/a/0/kind", 'expected one of "cat", "dog"'),
        ),
        (list[int | None], [1, "x"], ("/payload/1", "expected an integer or null, got a string")),
        (list[Cat | Dog], [{"kind": "cat", "lives": []}], ("/payload/0/lives", "expected an integer, got an array")),
        (int | timedelta, 1.5, ("/payload", "expected an integer or a string, got a number with a fraction")),
        (
            int | list[int] | Cat | Dog | None,
            "x",
            ("/payload", "expected an integer or an array or null or an object, got a string"),
        ),
        (Cat | Dog, {"kind": "cat", "lives": []}, ("/payload/lives", "expected an integer, got an array")),
        (
            list[Annotated[datetime, Meta(tz=True)]],
            ["x"],
            ("/payload/0", "expected a time such as `2026-11-26T15:00:00Z`"),
        ),
        (bytes, "%", ("/payload", "expected base64, with its padding")),
        (tuple[int], [1, 2], ("/payload", "the value has more than 1 item")),
    ],
)
def test_fault_of_a_payload_is_told_by_what_it_was_meant_to_be(
    annotation: Any, payload: Any, expected: tuple[str, str]
) -> None:
    """The pointer of a payload's error leads to the wrong value, inside of a union too if one member was meant."""
    refused = Route(annotation).json(msgspec.json.encode(payload))
    assert isinstance(refused, Refused)
    assert FieldError(*expected) in refused.errors


@BOTH
@pytest.mark.parametrize(("model", "field"), INTEGERS)
def test_number_without_a_fraction_is_an_integer(model: Any, field: str, encoding: Encoding) -> None:
    """`3.0` is accepted wherever an integer is expected, and no other float is."""
    body = {"type": "a", field: 3.0}
    whole = decode_as(model, ENCODE[encoding](body), encoding)
    value = getattr(whole, field)
    assert (value, type(value)) == (3, int)
    for wrong in (3.5, 1e300):
        with pytest.raises(SubmissionError) as caught:
            decode_as(model, ENCODE[encoding](body | {field: wrong}), encoding)
        assert "expected an integer, got a number with a fraction or beyond 64 bits" in caught.value.detail


def test_every_integer_of_a_request_is_tried_as_a_float() -> None:
    """The test of `3.0` covers each field that takes an integer."""
    integers = {
        (model, field.name)
        for model in (Submission, DeadLetterAction, Batch)
        for field in msgspec.structs.fields(model)
        if "int" in str(field.type)
    }
    assert integers == set(INTEGERS)


@BOTH
@pytest.mark.parametrize("end", range(1, 22))
def test_broken_body_with_a_number_without_a_fraction_is_refused(encoding: Encoding, end: int) -> None:
    """A body that breaks off behind such a number is refused as malformed, whatever it breaks off in."""
    body = ENCODE[encoding]({"max_attempts": 3.0, "type": "a", "payload": "é"})
    with pytest.raises(MalformedError):
        decode_submission(body[: len(body) - end], CODECS[encoding])


@BOTH
def test_deep_body_with_a_number_without_a_fraction_is_refused(encoding: Encoding) -> None:
    """No depth of nesting behind such a number ends in an error of the service."""
    deep = b"[" * 100_000 + b"]" * 100_000 if encoding is Encoding.JSON else b"\x91" * 100_000 + b"\xc0"
    body = ENCODE[encoding]({"max_attempts": 3.0, "type": "a", "payload": msgspec.Raw(deep)})
    with pytest.raises(InvalidError, match=TOO_DEEP):
        decode_submission(body, CODECS[encoding])


@BOTH
def test_payload_beside_a_mended_number_stays_as_it_came(encoding: Encoding) -> None:
    """A payload of `3.0` stays a float when a number beside it becomes an integer."""
    decoded = decode_submission(
        ENCODE[encoding]({"type": "a", "max_attempts": 3.0, "payload": [3.0]}), CODECS[encoding]
    )
    assert (decoded.submission.max_attempts, repr(decoded.value)) == (3, "[3.0]")


SECRET = "canary-4711"


@pytest.mark.parametrize(
    ("annotation", "payload"),
    [
        (int, SECRET),
        (int | None, SECRET),
        (Color, SECRET),
        (Literal["red"], SECRET),
        (Literal["red"] | int, SECRET),
        (Cat | Dog, {"kind": SECRET}),
        (Annotated[str, Meta(max_length=3)], SECRET),
        (Annotated[str, Meta(pattern="^x$")] | None, SECRET),
        (Annotated[list[str], Meta(max_length=1)], [SECRET, SECRET]),
        (Annotated[int, Meta(multiple_of=5)], 4711),
        (Annotated[float, Meta(le=5)], 4711.5),
        (Annotated[dict[str, str], Meta(max_length=0)], {"a": SECRET}),
        (tuple[str], [SECRET, SECRET]),
        (UUID, SECRET),
        (Decimal, SECRET),
        (date, SECRET),
        (bytes, SECRET),
        (dict[str, int], {"a": SECRET}),
        (Dog, {"name": 4711, "age": SECRET}),
    ],
)
def test_no_fault_of_a_payload_quotes_a_value(annotation: Any, payload: Any) -> None:
    """A refusal tells what a value should be, and never the value: it may be secret, and clients log refusals."""
    for refused in (Route(annotation).json(msgspec.json.encode(payload)), Route(annotation).message_pack(payload)):
        assert isinstance(refused, Refused)
        assert "4711" not in repr(refused.errors)
