"""Timestamps of MessagePack in a payload become text of RFC 3339, to the nanosecond."""

import struct
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Raw
from msgspec.msgpack import Ext
from payload_route import Route

from millstream_contracts import FieldError, limits
from millstream_submission import MSGPACK, InvalidError, SubmissionError, decode_submission
from millstream_submission.payloads import pack_msgpack

FIRST_S, LAST_S = -62135596800, 253402300799
"""The first and the last second of the calendar."""

pack = msgspec.msgpack.encode
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(seconds: int, nanoseconds: int = 0) -> Ext:
    """Return a time in the widest of the three forms."""
    return Ext(-1, struct.pack(">Iq", nanoseconds, seconds))


def packed(payload: Any) -> tuple[Any, bytes]:
    """Return the value of a payload and what is stored of it."""
    return pack_msgpack(Raw(pack(payload)), "/payload")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (Ext(-1, struct.pack(">I", 0)), "1970-01-01T00:00:00Z"),
        (Ext(-1, struct.pack(">I", 2**32 - 1)), "2106-02-07T06:28:15Z"),
        (Ext(-1, struct.pack(">Q", 2**34 - 1)), "2514-05-30T01:53:03Z"),
        (Ext(-1, struct.pack(">Q", (5 << 34) | 7)), "1970-01-01T00:00:07.000000005Z"),
        (Ext(-1, struct.pack(">Q", (120_000_000 << 34) | 7)), "1970-01-01T00:00:07.120Z"),
        (timestamp(0, 123_456_000), "1970-01-01T00:00:00.123456Z"),
        (timestamp(-1, 999_999_999), "1969-12-31T23:59:59.999999999Z"),
        (timestamp(FIRST_S), "0001-01-01T00:00:00Z"),
        (timestamp(LAST_S, 999_999_499), "9999-12-31T23:59:59.999999499Z"),
    ],
)
def test_timestamp_of_any_width_becomes_text(data: Ext, text: str) -> None:
    """Each of the three widths becomes the time in UTC, with the digits of its fraction that it has."""
    assert packed(data) == (text, pack(text))
    assert packed({"at": [data, 1.5, b"x"]}) == ({"at": [text, 1.5, b"x"]}, pack({"at": [text, 1.5, b"x"]}))


@pytest.mark.parametrize("header", [b"\xc7\x04\xff", b"\xc8\x00\x04\xff", b"\xc9\x00\x00\x00\x04\xff"])
def test_timestamp_under_a_longer_header_becomes_text(header: bytes) -> None:
    """A header of more bytes than are needed is MessagePack too."""
    assert pack_msgpack(Raw(header + b"\0\0\0\x01"), "/payload")[0] == "1970-01-01T00:00:01Z"


@given(st.integers(FIRST_S, LAST_S - 1), st.integers(0, 999_999_999))
def test_text_of_a_timestamp_is_the_same_moment(seconds: int, nanoseconds: int) -> None:
    """The text says the second and the nanosecond of the timestamp, whatever they are."""
    text, _ = packed(timestamp(seconds, nanoseconds))
    moment, _, fraction = text.removesuffix("Z").partition(".")
    assert datetime.fromisoformat(moment + "+00:00") - EPOCH == timedelta(seconds=seconds)
    assert int(fraction.ljust(9, "0")) == nanoseconds
    assert len(fraction) in {0, 3, 6, 9}


@pytest.mark.parametrize("seconds", [FIRST_S - 1, LAST_S + 1, -(2**63), 2**63 - 1])
@pytest.mark.parametrize("wrap", [lambda at: at, lambda at: [1, at], lambda at: {"a": {"b": at}}])
def test_time_that_has_no_text_is_refused(seconds: int, wrap: Any) -> None:
    """RFC 3339 has no text for a year before 1 or after 9999, so such a payload is refused, with a pointer to it."""
    with pytest.raises(InvalidError) as caught:
        packed(wrap(timestamp(seconds)))
    assert caught.value.errors[0].pointer.startswith("/payload")
    assert "outside of the years 1 to 9999" in caught.value.detail


@pytest.mark.parametrize("data", [b"", b"\0" * 3, b"\0" * 5, b"\0" * 16, struct.pack(">Iq", 10**9, 0)])
def test_broken_timestamp_is_refused(data: bytes) -> None:
    """An extension of the type -1 that is none of the three forms is refused as what it is."""
    with pytest.raises(InvalidError, match="a broken MessagePack timestamp"):
        packed([Ext(-1, data)])


def test_other_extension_is_refused_by_its_number() -> None:
    """An extension of another type has no form in JSON; a time beside it changes nothing."""
    with pytest.raises(InvalidError, match="the MessagePack extension 5 has no form in JSON") as caught:
        packed({"at": timestamp(0), "x": [Ext(5, b"")]})
    assert caught.value.errors[0].pointer == "/payload/x/0"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"at": timestamp(0), "x": "\0"}, ("/payload/x", "contains the character NUL")),
        ([timestamp(0), float("nan")], ("/payload/1", "NaN and Infinity cannot be shown as JSON")),
    ],
)
def test_other_fault_beside_a_timestamp_is_the_one_that_is_told(payload: Any, expected: tuple[str, str]) -> None:
    """The detail names what is wrong, and a timestamp is not wrong."""
    with pytest.raises(InvalidError) as caught:
        packed(payload)
    assert caught.value.errors == (FieldError(*expected),)


def test_timestamp_as_a_key_is_refused() -> None:
    """The keys of a map are text, and are not made so."""
    with pytest.raises(InvalidError, match="the keys of a map have to be strings"):
        pack_msgpack(Raw(b"\x81\xd6\xff\x00\x00\x00\x01\x01"), "/payload")


def test_bound_of_a_payload_holds_for_the_text() -> None:
    """A timestamp takes six bytes and its text twenty-one, so the bound holds for what is stored too."""
    times = [Ext(-1, b"\0\0\0\x01")] * (limits.MAX_PAYLOAD_BYTES // 12)
    with pytest.raises(SubmissionError, match="with its times as text"):
        packed(times)


def test_payload_without_a_timestamp_is_stored_byte_for_byte() -> None:
    """Only a payload with a time is written anew."""
    assert pack_msgpack(Raw(b"\x92\xcd\x00\x01\xff"), "/payload") == ([1, -1], b"\x92\xcd\x00\x01\xff")


def test_timestamp_reaches_a_handler_as_its_datetime() -> None:
    """A handler that takes a time gets the moment that a client in any language has sent as its own type of date."""
    route = Route(Annotated[datetime, Meta(tz=True)])
    at = datetime(2026, 11, 26, 15, 0, 0, 123456, tzinfo=UTC)
    assert route.message_pack(at) == at
    assert route.message_pack(timestamp(0, 5)) == EPOCH


def test_timestamp_may_be_the_time_of_a_submission() -> None:
    """`run_at` and `expires_at` accept a timestamp too, and refuse one that no calendar has."""
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    assert decode_submission(pack({"type": "a", "run_at": at}), MSGPACK).submission.run_at == at
    for seconds in (FIRST_S - 1, LAST_S + 1):
        with pytest.raises(InvalidError, match="outside of the years"):
            decode_submission(pack({"type": "a", "expires_at": timestamp(seconds)}), MSGPACK)
