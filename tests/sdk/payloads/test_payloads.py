"""A value from JSON or MessagePack becomes what a handler declares."""

import base64
import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypedDict, TypeVar

import msgspec
import pytest
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from payload_route import Refused, Route

from millstream import NewJob

UTC = dt.UTC
REFUSED = object()
"""A marker for a response of 422."""

T = TypeVar("T")
UserId = NewType("UserId", int)


class Level(enum.IntEnum):
    """An enumeration by number."""

    LOW = 1
    HIGH = 7


class Colour(enum.Enum):
    """An enumeration by text, with a `_missing_` of its own."""

    RED = "red"

    @classmethod
    def _missing_(cls, value: object) -> "Colour":
        return cls.RED


class Rights(enum.Flag):
    """A flag enumeration."""

    READ = 1
    WRITE = 4


class File(Struct, rename="camel"):
    """A field of each kind that JSON has no type for."""

    raw_data: bytes
    size_bytes: int = 0


class Closed(Struct, forbid_unknown_fields=True, tag="closed"):
    """A tagged Struct that forbids unknown fields."""

    a: int = 0


class First(Struct, tag=1):
    """A member of a union with numeric tags."""

    a: int


class Second(Struct, tag=2):
    """The other member of that union."""

    a: bytes


class Row(Struct, array_like=True):
    """A Struct that is an array."""

    number: int
    data: bytes = b""


class ClosedRow(Struct, array_like=True, forbid_unknown_fields=True):
    """A Struct as an array that forbids further items."""

    number: int
    data: bytes = b""


class Point(NamedTuple):
    """A NamedTuple."""

    x: int
    y: bytes


class Entry(TypedDict):
    """A TypedDict with an optional key."""

    at: dt.datetime
    size: NotRequired[int]


@dataclasses.dataclass
class Record:
    """A dataclass."""

    key: uuid.UUID
    sizes: list[int] = dataclasses.field(default_factory=list)


class Box(Struct, Generic[T]):
    """A generic Struct."""

    content: T


class Node(Struct):
    """A type that contains itself."""

    number: int
    next: "Node | None" = None


class Patch(Struct):
    """A Struct with optional fields."""

    name: str | UnsetType | None = UNSET


ZONED = Annotated[dt.datetime, Meta(tz=True)]
LOCAL = Annotated[dt.datetime, Meta(tz=False)]
DIGITS = Annotated[str, Meta(pattern=r"^\d{4}$")]
TEN = dt.datetime(2026, 11, 26, 10, tzinfo=UTC)
KEY = uuid.UUID("12345678-1234-5678-1234-567812345678")

NUMBERS = [
    (int, "1.0", 1),
    (int, "1e3", 1000),
    (int, "-0.0", 0),
    (int, "1e20", 10**20),
    (int, "18446744073709551615", 2**64 - 1),
    (int, "1.5", REFUSED),
    (int, "true", REFUSED),
    (int, '"1"', REFUSED),
    (UserId, "7.0", 7),
    (Annotated[int, Meta(ge=1, le=9)], "9.0", 9),
    (Annotated[int, Meta(ge=1, le=9)], "1e1", REFUSED),
    (Annotated[int, Meta(multiple_of=3)], "3e0", 3),
    (Annotated[int, Meta(multiple_of=3)], "1e300", int(1e300) if int(1e300) % 3 == 0 else REFUSED),
    (float, "1", 1.0),
    (Annotated[float, Meta(multiple_of=0.1)], "0.3", REFUSED),
    (Annotated[float, Meta(multiple_of=0.5)], "1.5", 1.5),
    (Annotated[float, Meta(le=2**53)], "9007199254740993", REFUSED),
    (int | float, "1.0", 1.0),
    (int | None, "2.0", 2),
    (Annotated[float, Meta(ge=5)] | int, "1.0", 1),
    (Annotated[int, Meta(ge=5)] | float, "1", 1.0),
    (Literal[1, 2], "2.0", 2),
    (Literal[1, 2], "true", REFUSED),
    (Literal[1] | float, "2", 2.0),
    (Level, "7.0", Level.HIGH),
    (Level, "3", REFUSED),
    (Rights, "5", Rights.READ | Rights.WRITE),
    (Rights, "2", REFUSED),
    (Rights, "0", Rights(0)),
    (Decimal, '"12345678901234567890.12"', Decimal("12345678901234567890.12")),
    (Decimal, "1.5", Decimal("1.5")),
    (Decimal, "3", Decimal(3)),
    (Decimal, '"NaN"', REFUSED),
    (Decimal, '"Infinity"', REFUSED),
    (Decimal, '"1,5"', REFUSED),
    (Decimal, '"1e999999999999999999999"', REFUSED),
    (Decimal | int, "1.0", Decimal("1.0")),
    (set[int], "[1, 1.0, 2]", {1, 2}),
    (Box[int], '{"content": 4.0}', Box(4)),
    (Node, '{"number": 1.0, "next": {"number": 2.0}}', Node(1, Node(2))),
]

ARRAYS = [
    (Point, '[1, "aGk="]', Point(1, b"hi")),
    (Point, '[1, "aGk=", 3]', REFUSED),
    (Point, "[1]", REFUSED),
    (Row, "[1]", Row(1)),
    (Row, '[1, "aGk=", 3]', Row(1, b"hi")),
    (Row, "[]", REFUSED),
    (ClosedRow, '[1, "aGk="]', ClosedRow(1, b"hi")),
    (ClosedRow, '[1, "aGk=", 3]', REFUSED),
]

TIMES = [
    (dt.datetime, '"2026-11-26T10:00:00Z"', TEN),
    (dt.datetime, '"2026-11-26t10:00:00z"', TEN),
    (dt.datetime, '"2026-11-26 10:00:00"', dt.datetime(2026, 11, 26, 10)),  # noqa: DTZ001 - it says none
    (dt.datetime, '"2026-11-26T10:00:00.1234567Z"', dt.datetime(2026, 11, 26, 10, 0, 0, 123457, tzinfo=UTC)),
    (dt.datetime, '"tomorrow"', REFUSED),
    (dt.datetime, '"2026-11-26"', REFUSED),
    (dt.datetime, '"2026-02-30T10:00:00Z"', REFUSED),
    (dt.datetime, '"2026-06-30T23:59:60Z"', REFUSED),
    (dt.datetime, '"2026-11-26T24:00:00Z"', REFUSED),
    (dt.datetime, '"0000-01-01T00:00:00Z"', REFUSED),
    (dt.datetime, '"9999-12-31T23:59:59.9999999Z"', REFUSED),
    (dt.datetime, '"2026-11-26T10:00:00+24:00"', REFUSED),
    (dt.datetime, "1764151200", REFUSED),
    (ZONED, '"2026-11-26T10:00:00"', REFUSED),
    (ZONED, '"2026-11-26T10:00:00-00:00"', TEN),
    (LOCAL, '"2026-11-26T10:00:00"', dt.datetime(2026, 11, 26, 10)),  # noqa: DTZ001 - it says none
    (LOCAL, '"2026-11-26T10:00:00Z"', REFUSED),
    (dt.time, '"10:00:00"', dt.time(10)),
    (dt.time, '"25:00:00"', REFUSED),
    (Annotated[dt.time, Meta(tz=True)], '"10:00:00"', REFUSED),
    (Annotated[dt.time, Meta(tz=False)], '"10:00:00Z"', REFUSED),
    (dt.date, '"2024-02-29"', dt.date(2024, 2, 29)),
    (dt.date, '"2026-02-29"', REFUSED),
    (dt.date, '"20260101"', REFUSED),
    (dt.timedelta, '"P1DT2H3M4.5S"', dt.timedelta(1, 7384.5)),
    (dt.timedelta, '"P1M"', REFUSED),
    (dt.timedelta, '"1 day"', REFUSED),
    (dt.timedelta, "60", REFUSED),
    (ZONED | None, "null", None),
    (ZONED | int, '"soon"', REFUSED),
    (Entry, '{"at": "soon"}', REFUSED),
    (
        Entry,
        '{"at": "2026-11-26T10:00:00Z", "size": 1.0}',
        {"at": dt.datetime(2026, 11, 26, 10, tzinfo=UTC), "size": 1},
    ),
]

PATHS = [
    (Path, '"a/b"', Path("a/b")),
    (PurePosixPath, '"/a"', PurePosixPath("/a")),
    (Path | None, "null", None),
    (list[Path], '["a"]', [Path("a")]),
    (set[Path], '["a", "a"]', {Path("a")}),
    (Box[Path], '{"content": "a"}', Box(Path("a"))),
    (Path, "3", REFUSED),
    (Path, "null", REFUSED),
    (list[Path], "[[]]", REFUSED),
]

TEXTS = [
    (uuid.UUID, f'"{KEY}"', KEY),
    (uuid.UUID, f'"{KEY.hex}"', KEY),
    (uuid.UUID, '"12345678-1234-5678-1234-56781234567"', REFUSED),
    (uuid.UUID, f'"{{{KEY}}}"', REFUSED),
    (Record, f'{{"key": "{KEY}", "sizes": [1.0]}}', Record(KEY, [1])),
    (Record, '{"key": "none"}', REFUSED),
    (DIGITS, '"1234"', "1234"),
    (DIGITS, '"1234\\n"', REFUSED),
    (DIGITS, '"\u0661\u0662\u0663\u0664"', REFUSED),
    (Annotated[str, Meta(pattern=r"^\S+\Z")], '"a\u00a0b"', REFUSED),
    (Annotated[str, Meta(pattern=r"^(?P<letter>[a-c])(?:x|y){2,}$")], '"axy"', "axy"),
    (Annotated[str, Meta(max_length=1)], '"\U0001f600"', "\U0001f600"),
    (Annotated[str, Meta(max_length=1)], '"ab"', REFUSED),
    (Colour, '"red"', Colour.RED),
    (Colour, '"blue"', REFUSED),
    (bytes, '"aGk="', b"hi"),
    (bytes, '"QR=="', b"A"),
    (bytes, '"aGk"', REFUSED),
    (bytes, '"aGk=\\n"', REFUSED),
    (bytes, '"a-_="', REFUSED),
    (bytearray, '"aGk="', bytearray(b"hi")),
    (bytes | None, '"aGk="', b"hi"),
    (bytes | int, "1.0", 1),
    (list[bytes], '["aGk=", ""]', [b"hi", b""]),
    (File, '{"rawData": "aGk=", "sizeBytes": 2e0}', File(b"hi", 2)),
    (Row, '[1.0, "aGk="]', Row(1, b"hi")),
    (Row, "[]", REFUSED),
    (Point, '[1.0, "aGk="]', Point(1, b"hi")),
    (tuple[int, bytes], '[1.0, "aGk="]', (1, b"hi")),
    (tuple[int, bytes], "[1.0]", REFUSED),
    (First | Second, '{"type": 2.0, "a": "aGk="}', Second(b"hi")),
    (First | Second, '{"a": 1}', REFUSED),
    (First | Second, '{"type": 3, "a": 1}', REFUSED),
    (First, '{"a": 1}', First(1)),
    (Closed, '{"a": 1, "b": 1}', REFUSED),
    (Closed, '{"type": "open"}', REFUSED),
    (Patch, "{}", Patch()),
    (Patch, '{"name": null}', Patch(None)),
    (dict[int, bytes], '{"7": "aGk="}', {7: b"hi"}),
    (dict[int, int], '{"7.0": 1}', REFUSED),
    (dict[int, int], '{"07": 1}', REFUSED),
    (dict[int, int], '{"1234567890123456789012345": 1}', REFUSED),
    (Annotated[dict[str, int], Meta(min_length=1, max_length=1)], '{"a": 1}', {"a": 1}),
    (Annotated[dict[str, int], Meta(min_length=1, max_length=1)], '{"a": 1, "b": 2}', REFUSED),
    (Annotated[dict[str, int], Meta(min_length=1, max_length=1)], "{}", REFUSED),
    (dict[uuid.UUID, int], f'{{"{KEY}": 1.0}}', {KEY: 1}),
    (dict[uuid.UUID, int], '{"x": 1}', REFUSED),
    (dict[Level, int], '{"7": 1}', {Level.HIGH: 1}),
    (dict[Level, int], '{"3": 1}', REFUSED),
    (dict[Colour, int], '{"blue": 1}', REFUSED),
    (dict[dt.date, int], '{"2026-11-26": 1}', {dt.date(2026, 11, 26): 1}),
    (dict[Decimal, int], '{"NaN": 1}', REFUSED),
    (set, "[1, [1]]", REFUSED),
    (frozenset[tuple[int, ...]], "[[1, 2.0]]", frozenset({(1, 2)})),
]


@pytest.mark.parametrize(("annotation", "json", "wanted"), [*NUMBERS, *ARRAYS, *TIMES, *PATHS, *TEXTS])
def test_json_becomes_the_type_that_the_handler_names(annotation: Any, json: str, wanted: Any) -> None:
    """A payload is either refused at submission or decoded to this value, from JSON and from MessagePack."""
    route = Route(annotation)
    for found in (route.json(json), route.message_pack(msgspec.json.decode(json))):
        if wanted is REFUSED:
            assert isinstance(found, Refused)
        else:
            assert (type(found), found) == (type(wanted), wanted)


@pytest.mark.parametrize("annotation", [bytes, bytearray, memoryview, list[bytes], dict[str, bytes], Box[bytes]])
def test_binary_data_is_the_same_as_its_base64(annotation: Any) -> None:
    """The handler gets the same value from bytes in MessagePack and from base64 in JSON."""
    data = {list[bytes]: [b"\0\xff"], dict[str, bytes]: {"a": b"\0\xff"}, Box[bytes]: {"content": b"\0\xff"}}
    native = data.get(annotation, b"\0\xff")
    route = Route(annotation)
    found = [route.message_pack(native), route.json(msgspec.json.encode(native))]
    assert found[0] == found[1] == msgspec.convert(native, annotation)


@pytest.mark.parametrize("length", range(10))
@pytest.mark.parametrize("bounds", [(None, 4), (None, 5), (None, 6), (4, None), (5, None), (6, None), (2, 7), (0, 0)])
def test_bounds_of_binary_data_count_its_bytes(length: int, bounds: tuple[int | None, int | None]) -> None:
    """Bounds of binary data count its bytes, and the published schema those of the base64."""
    least, most = bounds
    route = Route(Annotated[bytes, Meta(min_length=least, max_length=most)])
    data = bytes(length)
    may = length >= (least or 0) and (most is None or length <= most)
    for found in (route.message_pack(data), route.json(f'"{base64.b64encode(data).decode()}"')):
        assert found == data if may else isinstance(found, Refused)


def test_binary_data_for_a_text_is_the_base64_that_the_api_shows() -> None:
    """A handler of text gets binary data as the base64 that the API shows."""
    assert Route(str).message_pack(b"hi") == "aGk="
    assert isinstance(Route(Annotated[str, Meta(max_length=2)]).message_pack(b"hi"), Refused)


def test_sixteen_bytes_are_no_uuid() -> None:
    """Sixteen bytes are refused as a UUID, which is a text."""
    assert isinstance(Route(uuid.UUID).message_pack(KEY.bytes), Refused)
    with pytest.raises(msgspec.ValidationError):
        Route(uuid.UUID).handler.decode(msgspec.msgpack.encode(KEY.bytes))


def test_binary_data_in_an_array_that_is_too_short_is_refused() -> None:
    """Binary data in an array that is too short is refused, and does not crash the request."""
    route = Route(Annotated[list[bytes], Meta(min_length=2)])
    assert isinstance(route.message_pack([b""]), Refused)


def test_any_gets_a_payload_as_it_came() -> None:
    """A value of any type is not converted, also beside fields that are."""

    class Mixed(Struct):
        data: bytes
        rest: Any
        raw: Raw

    rest = {"number": 1.0, "bytes": b"\0", "text": "aGk="}
    found = Route(Mixed).message_pack({"data": "aGk=", "rest": rest, "raw": [1.0]})
    assert (found.data, found.rest, msgspec.msgpack.decode(found.raw)) == (b"hi", rest, [1.0])
    assert Route(Any).message_pack(rest) == Route(object).message_pack(rest) == rest
    assert Route(dict[str, object]).message_pack(rest) == rest
    assert isinstance(Route(set[object]).json("[[1]]"), Refused)


def test_what_the_sdk_submits_arrives_as_it_was() -> None:
    """An object that the SDK submits arrives equal at the handler."""

    class Everything(Struct):
        data: bytes = b"\0"
        at: dt.datetime = dt.datetime(2026, 11, 26, tzinfo=UTC)
        day: dt.date = dt.date(2026, 11, 26)
        time: dt.time = dt.time(10, 0, 0, 5)
        wait: dt.timedelta = dt.timedelta(1, 2, 3)
        key: uuid.UUID = KEY
        price: Decimal = Decimal("1.10")
        level: Level = Level.HIGH
        tags: frozenset[str] = frozenset({"a"})
        sizes: dict[int, int] = {}

    sent = Everything(sizes={-3: 1})
    plain = msgspec.msgpack.decode(NewJob("x", sent).content)["payload"]
    assert Route(Everything).message_pack(plain) == sent


def test_a_raw_payload_may_be_submitted_as_a_handler_got_it() -> None:
    """What a handler gets as Raw is a payload again, by itself and as a field; what is no MessagePack is refused."""

    class Letter(Struct):
        to: str
        rest: Raw

    got = Route(Raw).json('{"a": [1, "b"], "c": null}')
    for sent, plain in ((got, {"a": [1, "b"], "c": None}), (Letter("ann", got), None)):
        arrived = msgspec.msgpack.decode(NewJob("x", sent).content)["payload"]
        assert arrived == (plain or {"to": "ann", "rest": {"a": [1, "b"], "c": None}})
    with pytest.raises(TypeError, match=r"`x` cannot be encoded: MessagePack data is malformed"):
        NewJob("x", Raw(b'{"a": 1}'))


def test_a_fault_that_only_the_worker_sees_names_its_place() -> None:
    """A fault that only the worker finds names the field."""

    class Lines(Struct):
        codes: list[DIGITS]

    handler = Route(Lines).handler
    with pytest.raises(msgspec.ValidationError, match=r"regex .* - at `\$\.codes\[1\]`"):
        handler.decode(msgspec.msgpack.encode({"codes": ["1234", "12"]}))
    with pytest.raises(msgspec.ValidationError, match=r"\$\.codes\[1\]"):
        handler.decode(msgspec.msgpack.encode({"codes": ["1234", "1234\n"]}))


def test_a_value_that_only_an_enumeration_itself_would_take_is_refused_by_the_worker() -> None:
    """A value that only `_missing_` of an enumeration would accept is refused, as a value and as a key."""
    for annotation, payload in ((Colour, "blue"), (dict[Colour, int], {"blue": 1})):
        with pytest.raises(msgspec.ValidationError):
            Route(annotation).handler.decode(msgspec.msgpack.encode(payload))
    assert Route(Colour).handler.decode(msgspec.msgpack.encode("red")) is Colour.RED


@pytest.mark.parametrize("annotation", [Any, object])
def test_a_payload_of_any_type_has_no_schema(annotation: Any) -> None:
    """A handler that declares no payload type publishes no schema."""
    assert Route(annotation).registration.payload_schema is None
