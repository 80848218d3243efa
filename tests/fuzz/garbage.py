"""Bytes that attack decoders: hostile ones by name, MessagePack in every width, mutations of valid bytes."""

import json
import math
import struct

import msgspec
from hypothesis import strategies as st

MB = 1 << 20
FOUR_GB = b"\xff\xff\xff\xff"

HOSTILE_MSGPACK = {
    "nothing": b"",
    "str of 4 GB": b"\xdb" + FOUR_GB,
    "bin of 4 GB": b"\xc6" + FOUR_GB,
    "array of 4 G": b"\xdd" + FOUR_GB,
    "map of 4 G": b"\xdf" + FOUR_GB,
    "ext of 4 GB": b"\xc9" + FOUR_GB + b"\x05",
    "array of 4 G with some": b"\xdd" + FOUR_GB + b"\x90" * 1000,
    "arrays of 4 G in each other": (b"\xdd" + FOUR_GB) * 1000,
    "maps of 4 G in each other": (b"\xdf" + FOUR_GB + b"\xa1a") * 1000,
    "arrays 65 deep": b"\x91" * 65 + b"\xc0",
    "arrays 1,000 deep": b"\x91" * 1_000 + b"\xc0",
    "arrays 100,000 deep": b"\x91" * 100_000 + b"\xc0",
    "maps 100,000 deep": b"\x81\xa1a" * 100_000 + b"\xc0",
    "keys 100,000 deep": b"\x81" * 100_000 + b"\xc0\xc0",
    "a MB of empty arrays, one after the other": b"\x90" * (MB - 64),
    "a MB of empty arrays in one": b"\xdd" + (MB - 64).to_bytes(4, "big") + b"\x90" * (MB - 64),
    "a quarter of a MB of empty maps in one": b"\xdd" + (200_000).to_bytes(4, "big") + b"\x80" * 200_000,
    "many keys": b"\xdf" + (9_000).to_bytes(4, "big") + b"".join(b"\xa4%04x\xa0" % at for at in range(9_000)),
    "one key 9,000 times": b"\xdf" + (9_000).to_bytes(4, "big") + b"\xa1a\xc0" * 9_000,
    "ext type": b"\xd4\x05\x00",
    "timestamp 32": b"\xd6\xff\x00\x00\x00\x01",
    "timestamp 64": b"\xd7\xff" + b"\x00" * 8,
    "timestamp 96": b"\xc7\x0c\xff" + b"\x00" * 12,
    "timestamp out of range": b"\xc7\x0c\xff" + b"\xff" * 12,
    "timestamp of a wrong length": b"\xc7\x03\xff\x00\x00\x00",
    "NaN": b"\xcb" + struct.pack(">d", math.nan),
    "NaN of 32 bits": b"\xca" + struct.pack(">f", math.nan),
    "infinity": b"\xcb" + struct.pack(">d", math.inf),
    "key nil": b"\x81\xc0\x01",
    "key an integer": b"\x81\x07\x01",
    "key bytes": b"\x81\xc4\x01a\x01",
    "key an array": b"\x81\x91\x01\x01",
    "key a map": b"\x81\x80\x01",
    "key NaN": b"\x81\xcb" + struct.pack(">d", math.nan) + b"\x01",
    "invalid UTF-8": b"\xa2\xff\xfe",
    "half a surrogate pair": b"\xa3\xed\xa0\x80",
    "overlong NUL": b"\xa2\xc0\x80",
    "NUL": b"\xa1\x00",
    "reserved byte": b"\xc1",
}
"""Hostile values, each alone or as the beginning of one."""

HOSTILE_JSON = {
    "nothing": b"",
    "arrays 65 deep": b"[" * 65 + b"]" * 65,
    "arrays 1,000 deep": b"[" * 1_000 + b"]" * 1_000,
    "arrays 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "arrays without an end": b"[" * 100_000,
    "objects 100,000 deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "many empty arrays": b"[" + b"[]," * 80_000 + b"[]]",
    "many numbers": b"[" + b"1," * 120_000 + b"1]",
    "one key 9,000 times": b"{" + b'"a":1,' * 9_000 + b'"a":1}',
    "5,000 digits": b"9" * 5_000,
    "5,000 digits behind a point": b"0." + b"9" * 5_000,
    "200,000 digits": b"9" * 200_000,
    "an exponent of 5,000 digits": b"1e" + b"9" * 5_000,
    "65 bits": b"36893488147419103232",
    "65 bits below zero": b"-36893488147419103232",
    "beyond a float": b"1e999",
    "NaN": b"NaN",
    "infinity": b"-Infinity",
    "half a surrogate pair": b'"\\ud800"',
    "surrogates the wrong way round": b'"\\udc00\\ud800"',
    "half a surrogate pair, raw": b'"\xed\xa0\x80"',
    "key half a surrogate pair": b'{"\\udfff":1}',
    "invalid UTF-8": b'"\xff"',
    "NUL": b'"\\u0000"',
    "key NUL": b'{"\\u0000":1}',
    "byte order mark": b"\xef\xbb\xbf1",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "MessagePack": b"\x81\xa1a\x01",
}


def _of_size(data: bytes, fixed: int, widths: dict[bytes, int]) -> st.SearchStrategy[bytes]:
    """Draw a header for this many bytes in any width that holds them. `fixed` is the first of the 32 short ones."""
    headers = [bytes([fixed | len(data)])] if len(data) < 32 and fixed else []
    headers += [mark + len(data).to_bytes(width, "big") for mark, width in widths.items() if len(data) < 1 << 8 * width]
    return st.sampled_from([header + data for header in headers])


def _packed_text(text: str) -> st.SearchStrategy[bytes]:
    return _of_size(text.encode(), 0xA0, {b"\xd9": 1, b"\xda": 2, b"\xdb": 4})


def _packed_integer(number: int) -> st.SearchStrategy[bytes]:
    forms = [bytes([number & 0xFF])] if -32 <= number < 128 else []
    for marks, signed in ((b"\xcc\xcd\xce\xcf", False), (b"\xd0\xd1\xd2\xd3", True)):
        for exponent, mark in enumerate(marks):
            low, high = (-(1 << (8 << exponent) - 1), 1 << (8 << exponent) - 1) if signed else (0, 1 << (8 << exponent))
            if low <= number < high:
                forms.append(bytes([mark]) + number.to_bytes(1 << exponent, "big", signed=signed))
    return st.sampled_from(forms)


def _counted(count: int, fixed: int, marks: bytes) -> st.SearchStrategy[bytes]:
    headers = [bytes([fixed | count])] if count < 16 else []
    headers += [marks[:1] + count.to_bytes(2, "big"), marks[1:] + count.to_bytes(4, "big")]
    return st.sampled_from(headers)


@st.composite
def _packed_array(draw: st.DrawFn, members: st.SearchStrategy[bytes]) -> bytes:
    items = draw(st.lists(members, max_size=5))
    return draw(_counted(len(items), 0x90, b"\xdc\xdd")) + b"".join(items)


@st.composite
def _packed_map(draw: st.DrawFn, members: st.SearchStrategy[bytes]) -> bytes:
    keys = draw(st.lists(texts, max_size=5, unique=True))
    pairs = [draw(_packed_text(key)) + draw(members) for key in keys]
    return draw(_counted(len(keys), 0x80, b"\xde\xdf")) + b"".join(pairs)


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
"""Texts that a payload may have."""

_integers = st.integers(-(1 << 63), (1 << 64) - 1)

_packed_scalars = st.one_of(
    st.sampled_from([b"\xc0", b"\xc2", b"\xc3"]),
    _integers.flatmap(_packed_integer),
    st.integers(-40, 300).flatmap(_packed_integer),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: b"\xcb" + struct.pack(">d", number)),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda number: b"\xca" + struct.pack(">f", number)),
    texts.flatmap(_packed_text),
    st.binary(max_size=40).flatmap(lambda data: _of_size(data, 0, {b"\xc4": 1, b"\xc5": 2, b"\xc6": 4})),
)

packed_payloads = st.recursive(
    _packed_scalars, lambda members: _packed_array(members) | _packed_map(members), max_leaves=20
)
"""MessagePack of valid payloads, with each number and length in any width that holds it."""

json_payloads = st.recursive(
    st.none() | st.booleans() | _integers | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda members: st.lists(members, max_size=5) | st.dictionaries(texts, members, max_size=5),
    max_leaves=20,
)
"""Valid payloads that JSON can express."""

_short = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)

_FIELDS = {
    "type": st.sampled_from(["a", "email.send", "A", "", "a/b", "a{b}", "a\n"]),
    "priority": st.sampled_from(["high", "low", "urgent", ""]),
    "delay_s": st.floats() | _integers,
    "run_at": st.datetimes().map(lambda at: at.isoformat() + "Z") | _short,
    "expires_at": st.datetimes().map(lambda at: at.isoformat() + "+14:00"),
    "expires_in_s": st.floats(-1, 1e9),
    "max_attempts": st.integers(-5, 5000) | st.floats(0, 9),
    "timeout_s": st.floats(),
    "backoff": st.dictionaries(
        st.sampled_from(["kind", "base_s", "cap_s", "jitter", "x"]), st.floats() | st.booleans()
    ),
    "tags": st.dictionaries(_short, _short, max_size=20) | st.lists(_integers),
    "payload": json_payloads,
    "x": st.none(),
}

_OPTIONS = {name: drawn for name, drawn in _FIELDS.items() if name != "type"}
_shapes = st.fixed_dictionaries({"type": st.just("a")}, optional=_OPTIONS) | st.fixed_dictionaries({}, optional=_FIELDS)


@st.composite
def _mutated(draw: st.DrawFn, originals: st.SearchStrategy[bytes]) -> bytes:
    """Change a few bytes, remove or insert some, cut the end off or repeat a part."""
    data = bytearray(draw(originals))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["change", "insert", "delete", "cut", "repeat"])):
            case "change":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=6) | st.sampled_from([b"\xdd" + FOUR_GB, b"\xc1"]))
            case "delete":
                del data[at : at + draw(st.integers(1, 8))]
            case "cut":
                del data[at:]
            case "repeat":
                data[at:at] = data[at : at + draw(st.integers(1, 30))] * draw(st.integers(1, 40))
    return bytes(data)


# As a careless client writes it: NaN and Infinity get through.
_json_submissions = _shapes.map(lambda shape: json.dumps(shape).encode())
_msgpack_submissions = _shapes.map(msgspec.msgpack.encode)

json_bodies = st.binary(max_size=200) | _json_submissions | _mutated(_json_submissions)
"""Bodies that are sent as JSON: some valid, most not."""

msgpack_bodies = st.binary(max_size=200) | _msgpack_submissions | _mutated(_msgpack_submissions)
"""Bodies that are sent as MessagePack."""


def mutations(*originals: bytes) -> st.SearchStrategy[bytes]:
    """Draw any bytes, or some of these with a few bytes changed."""
    return st.binary(max_size=200) | _mutated(st.sampled_from(originals))
