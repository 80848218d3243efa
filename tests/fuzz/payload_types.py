"""Draws types that a handler may declare, each with payloads for it."""

import base64
import dataclasses
import datetime as dt
import decimal
import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import msgspec
from fuzz.payload_classes import Box, Colour, Crate, Lenient, Level, Loose, Node, Rights
from fuzz.payload_values import (
    BINARIES,
    CLOCKS,
    DAYS,
    DECIMALS,
    DURATIONS,
    HOSTILE,
    LOCAL_CLOCKS,
    LOCAL_TIMES,
    TIMES,
    UUIDS,
)
from hypothesis import strategies as st
from msgspec import Meta

Payloads = st.SearchStrategy[Any]
Drawn = tuple[Any, Payloads]
"""A type, and JSON values that should become one."""

PATTERNS = [
    r"^\d+$",
    r"^[a-z]{0,3}\Z",
    r"^\w*$",
    r"\s",
    r"^\S+$",
    r"^[^\s@]+@[^\s@]+$",
    "a|red",
    ".",
    r"^.?$",
    r"[&~a-c\-\]]",
    r"^$",
]


def _scalar(annotation: Any, values: Sequence[Any]) -> Drawn:
    return annotation, st.sampled_from(values)


def _bounded(kind: type, numbers: Payloads) -> st.SearchStrategy[Drawn]:
    """Draw a number with constraints."""
    bounds = st.fixed_dictionaries(
        {},
        optional={
            "ge": st.sampled_from([-5, 0, 1]),
            "lt": st.sampled_from([7, 8, 1001, 2**53 + 2, 2**62]),
            "multiple_of": st.sampled_from([1, 3, 7, 8, 10]),
        },
    )
    return bounds.map(lambda found: (Annotated[kind, Meta(**found)] if found else kind, numbers))


_LENGTHS = st.fixed_dictionaries(
    {}, optional={"min_length": st.sampled_from([0, 1, 2, 3]), "max_length": st.sampled_from([3, 4, 5, 6, 7])}
)


def _sized(annotation: Any, values: Payloads) -> st.SearchStrategy[Drawn]:
    return _LENGTHS.map(lambda found: (Annotated[annotation, Meta(**found)] if found else annotation, values))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


INTEGERS = st.one_of(
    st.integers(-10, 30), st.sampled_from([7.0, 1e3, -0.0, 1e16, 1e20, 2**53 + 1, 2**64 - 1, -(2**63), 3e15, 2**62])
)
FLOATS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), INTEGERS)

SCALARS: st.SearchStrategy[Drawn] = st.one_of(
    st.sampled_from(
        [
            _scalar(Any, HOSTILE),
            _scalar(None, [None]),
            _scalar(bool, [True, False]),
            _scalar(dt.datetime, [*TIMES, *LOCAL_TIMES]),
            _scalar(Annotated[dt.datetime, Meta(tz=True)], TIMES),
            _scalar(Annotated[dt.datetime, Meta(tz=False)], LOCAL_TIMES),
            _scalar(dt.time, [*CLOCKS, *LOCAL_CLOCKS]),
            _scalar(Annotated[dt.time, Meta(tz=True)], CLOCKS),
            _scalar(Annotated[dt.time, Meta(tz=False)], LOCAL_CLOCKS),
            _scalar(dt.date, DAYS),
            _scalar(dt.timedelta, DURATIONS),
            _scalar(uuid.UUID, UUIDS),
            _scalar(decimal.Decimal, [*DECIMALS, 1, 1.5, 1e20]),
            _scalar(Literal["a", "red"], ["a", "red"]),
            _scalar(Literal[1, 7], [1, 7.0]),
            _scalar(Literal["a", 1] | None, ["a", 1.0, None]),
            _scalar(Colour, ["red", "green"]),
            _scalar(Level, [1, 7.0]),
            _scalar(Lenient, ["one"]),
            _scalar(Rights, [0, 1, 4.0, 5]),
            _scalar(Loose, [0, 1, 3]),
            _scalar(msgspec.Raw, HOSTILE),
        ]
    ),
    _bounded(int, INTEGERS),
    _bounded(float, FLOATS),
    _sized(str, st.one_of(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8), st.just("abc"))),
    st.sampled_from(PATTERNS).map(
        lambda pattern: (
            Annotated[str, Meta(pattern=pattern)],
            st.from_regex(pattern).filter(lambda text: "\0" not in text),
        )
    ),
    st.sampled_from([bytes, bytearray]).flatmap(lambda kind: _sized(kind, st.binary(max_size=8).map(_base64))),
)

KEYS: st.SearchStrategy[Drawn] = st.sampled_from(
    [
        _scalar(str, ["", "a", "type"]),
        _scalar(Annotated[str, Meta(pattern=r"^\d$")], ["1", "2"]),
        _scalar(Annotated[str, Meta(max_length=2)], ["a", "bb"]),
        _scalar(int, ["0", "-1", "18446744073709551615"]),
        _scalar(Colour, ["red"]),
        _scalar(Level, ["1", "7"]),
        _scalar(Lenient, ["one"]),
        _scalar(Literal["a", "red"], ["a"]),
        _scalar(Literal[1, 7], ["1"]),
        _scalar(uuid.UUID, UUIDS),
        _scalar(dt.date, DAYS),
        _scalar(dt.datetime, TIMES),
        _scalar(decimal.Decimal, DECIMALS),
        _scalar(bytes, BINARIES),
        _scalar(Any, ["a"]),
    ]
)

NAMES = ["a", "b", "type", "content"]


@st.composite
def _class(draw: st.DrawFn, members: st.SearchStrategy[Drawn]) -> Drawn:
    """Draw a class with fields, of any kind."""
    names = draw(st.lists(st.sampled_from(NAMES[:2] + NAMES[3:]), min_size=1, max_size=3, unique=True))
    fields = {name: draw(members) for name in names}
    make = draw(
        st.sampled_from([_struct, _array_struct, _closed_struct, _tagged_struct, _dataclass, _typed_dict, _named_tuple])
    )
    return make(fields, draw(st.integers(0, len(fields))))


def _objects(fields: Mapping[str, Drawn], required: int, extra: Mapping[str, Payloads] = {}) -> Payloads:
    must = {name: values for at, (name, (_, values)) in enumerate(fields.items()) if at < required}
    may = {name: values for name, (_, values) in fields.items() if name not in must}
    return st.fixed_dictionaries(must, optional={**may, **extra})


def _arrays(fields: Mapping[str, Drawn], required: int, head: Sequence[Any] = ()) -> Payloads:
    values = [values for _, values in fields.values()]
    return st.integers(required, len(values)).flatmap(
        lambda count: st.tuples(*values[:count]).map(lambda found: [*head, *found])
    )


def _definitions(fields: Mapping[str, Drawn], required: int) -> list[Any]:
    return [
        (name, kind) if at < required else (name, kind, msgspec.UNSET)
        for at, (name, (kind, _)) in enumerate(fields.items())
    ]


def _struct(fields: Mapping[str, Drawn], required: int) -> Drawn:
    kind = msgspec.defstruct("Drawn", _definitions(fields, required), rename=str.upper)
    named = {name.upper(): drawn for name, drawn in fields.items()}
    return kind, _objects(named, required, {"unknown": st.sampled_from(HOSTILE)})


def _closed_struct(fields: Mapping[str, Drawn], required: int) -> Drawn:
    kind = msgspec.defstruct("Closed", _definitions(fields, required), forbid_unknown_fields=True)
    return kind, _objects(fields, required)


def _tagged_struct(fields: Mapping[str, Drawn], required: int) -> Drawn:
    kind = msgspec.defstruct("Tagged", _definitions(fields, required), tag=1)
    return kind, _objects(fields, required, {"type": st.sampled_from([1, 1.0])})


def _array_struct(fields: Mapping[str, Drawn], required: int) -> Drawn:
    kind = msgspec.defstruct("Row", _definitions(fields, required), array_like=True, tag="row")
    return kind, _arrays(fields, required, ["row"])


def _dataclass(fields: Mapping[str, Drawn], required: int) -> Drawn:
    definitions = [
        (name, kind) if at < required else (name, kind, dataclasses.field(default=None))
        for at, (name, (kind, _)) in enumerate(fields.items())
    ]
    return dataclasses.make_dataclass("Record", definitions), _objects(fields, required)


def _typed_dict(fields: Mapping[str, Drawn], required: int) -> Drawn:
    hints = {name: kind if at < required else NotRequired[kind] for at, (name, (kind, _)) in enumerate(fields.items())}
    return TypedDict("Entry", hints), _objects(fields, required)  # type: ignore[operator]


def _named_tuple(fields: Mapping[str, Drawn], required: int) -> Drawn:
    kind = NamedTuple("Pair", [(name, kind) for name, (kind, _) in fields.items()])  # type: ignore[misc]
    return kind, _arrays(fields, len(fields))


@st.composite
def _tagged_union(draw: st.DrawFn, members: st.SearchStrategy[Drawn]) -> Drawn:
    tags = draw(st.sampled_from([(1, 2), ("one", "two")]))
    as_array = draw(st.booleans())
    kinds, values = [], []
    for tag in tags:
        drawn = draw(members)
        kinds.append(msgspec.defstruct(f"Tag{tag}", [("a", drawn[0])], tag=tag, array_like=as_array))
        fields = {"a": drawn}
        values.append(
            _arrays(fields, 1, [tag])
            if as_array
            else _objects(fields, 1).map(lambda found, tag=tag: {**found, "type": tag})
        )
    return kinds[0] | kinds[1], st.one_of(values)


@st.composite
def _union(draw: st.DrawFn, members: st.SearchStrategy[Drawn]) -> Drawn:
    drawn = draw(st.lists(members, min_size=2, max_size=3))
    kind = drawn[0][0]
    for other, _ in drawn[1:]:
        kind = kind | other if kind is not None or other is not None else None
    return kind, st.one_of([values for _, values in drawn])


def _containers(members: st.SearchStrategy[Drawn]) -> st.SearchStrategy[Drawn]:
    def listed(drawn: Drawn) -> st.SearchStrategy[Drawn]:
        lists = st.lists(drawn[1], max_size=4)
        kinds = [list[drawn[0]], tuple[drawn[0], ...], set[drawn[0]], frozenset[drawn[0]]]
        return st.sampled_from(kinds).flatmap(lambda kind: _sized(kind, lists))

    def mapped(drawn: tuple[Drawn, Drawn]) -> st.SearchStrategy[Drawn]:
        (key, keys), (member, values) = drawn
        return _sized(dict[key, member], st.dictionaries(keys, values, max_size=3))

    def boxed(drawn: Drawn) -> Drawn:
        return Box[drawn[0]], st.fixed_dictionaries({"content": drawn[1]})

    def boxed_record(drawn: Drawn) -> Drawn:
        return Crate[drawn[0]], st.fixed_dictionaries({"content": drawn[1]})

    def paired(drawn: tuple[Drawn, Drawn]) -> Drawn:
        return tuple[drawn[0][0], drawn[1][0]], st.tuples(drawn[0][1], drawn[1][1]).map(list)

    return st.one_of(
        members.flatmap(listed),
        st.tuples(KEYS, members).flatmap(mapped),
        members.map(boxed),
        members.map(boxed_record),
        st.tuples(members, members).map(paired),
        _class(members),
        _tagged_union(members),
        _union(members),
        st.just((Node, NODES)),
    )


NODES: Payloads = st.recursive(
    st.fixed_dictionaries({"number": INTEGERS}, optional={"moment": st.sampled_from([None, *TIMES])}),
    lambda nodes: st.fixed_dictionaries(
        {"number": INTEGERS}, optional={"left": nodes, "others": st.lists(nodes, max_size=2)}
    ),
    max_leaves=4,
)

TYPES: st.SearchStrategy[Drawn] = st.recursive(SCALARS, _containers, max_leaves=5)
"""Types with their payloads. Some are types that no handler may declare."""
