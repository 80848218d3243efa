"""Words msgspec's errors in the terms of JSON and HTTP, because clients in any language read them.

This is the one place that knows msgspec's sentences. An unknown sentence is shown as it is, and
`tests/submission/test_wording.py` finds it.
"""

import re
from collections.abc import Callable, Mapping

from millstream_contracts import NAME_PATTERN, RATE_PATTERN

A_TIME = "a time such as `2026-11-26T15:00:00Z`"
A_TYPE_NAME = "a-z, 0-9, `.` and `-`, a letter or a digit first, at most 64 characters"
TEXT_KEYS = "the keys of a map have to be strings"
NO_SUCH_TIME = "a time outside of the years 1 to 9999, which RFC 3339 has no text for"
BEYOND_64_BITS = "an integer beyond 64 bits"

_KINDS: Mapping[str, str] = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "datetime": A_TIME,
    "object": "an object",
    "array": "an array",
    "null": "null",
}
"""What may be expected, by msgspec's name."""

_FOUND: Mapping[str, str] = {
    **_KINDS,
    "bool": "a boolean",
    "None": "null",
    "bytes": "binary data",
    "ext": "a MessagePack extension",
}
"""What may be found instead."""

_PATTERNS: Mapping[str, str] = {
    NAME_PATTERN: A_TYPE_NAME,
    RATE_PATTERN: "a number of starts and a unit of time, `s`, `m`, `h` or `d`, such as `100/m`",
}
_BOUNDS: Mapping[str, str] = {">=": "of at least", ">": "greater than", "<=": "of at most", "<": "less than"}
_UNITS: Mapping[str, str] = {"str": "character", "bytes": "byte", "array": "item", "object": "member"}


def _kind(match: re.Match[str]) -> str:
    expected = [kind for kind in match["expected"].split(" | ") if kind != "null"]
    if expected == ["int"] and match["found"] == "float":
        return "expected an integer, got a number with a fraction or beyond 64 bits"
    kinds = " or ".join(_KINDS.get(kind, kind) for kind in expected or ["null"])
    return f"expected {kinds}, got {_FOUND.get(match['found'], match['found'])}"


def _bound(match: re.Match[str]) -> str:
    value = float(match["value"])
    # Bounds are round, and a second is a float: 316224000.0 is no number that a person writes.
    shown = f"{int(value):,}" if value.is_integer() else f"{value:g}"
    return f"expected {_KINDS[match['kind']]} {_BOUNDS[match['sign']]} {shown}"


def _length(match: re.Match[str]) -> str:
    count, unit = int(match["count"]), _UNITS[match["kind"]]
    least = "at least" if match["sign"] == ">=" else "at most"
    return f"expected {least} {count:,} {unit}{'' if count == 1 else 's'}"


def _items(match: re.Match[str]) -> str:
    """Word the bound of what msgspec reads as an array with a name for each item."""
    count, unit = int(match["count"]), _UNITS[match["kind"]]
    return f"expected {match['bound']} {count:,} {unit}{'' if count == 1 else 's'}"


def _pattern(match: re.Match[str]) -> str:
    # msgspec shows the repr of the pattern.
    known = next((words for pattern, words in _PATTERNS.items() if repr(pattern) == match["pattern"]), "")
    return f"expected {known}" if known else "not of the form that is expected"


_SENTENCES: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(pattern, re.DOTALL), said)
    for pattern, said in (
        (r"Expected `(?P<expected>[\w |]+)`, got `(?P<found>\w+)`", _kind),
        (r"Expected `(?P<kind>int|float)` (?P<sign>[<>]=?) (?P<value>\S+)", _bound),
        (r"Expected `(?P<kind>\w+)` of length (?P<sign>[<>]=) (?P<count>\d+)", _length),
        (r"Expected `(?P<kind>array)` of (?P<bound>at (?:least|most)) length (?P<count>\d+)(?:, got \d+)?", _items),
        (r"Expected `str` matching regex (?P<pattern>.*)", _pattern),
        (r"Expected `\w+` with a timezone component", f"the time zone is missing: expected {A_TIME}"),
        (r"Invalid RFC3339 encoded datetime", f"expected {A_TIME}, by RFC 3339"),
        (r"Invalid MessagePack timestamp.*", "a broken MessagePack timestamp"),
        (r"Timestamp is out of range ?", NO_SUCH_TIME),
        (r"Integer value out of range", BEYOND_64_BITS),
        (r"Number out of range", "a number beyond what 64 bits can hold"),
        (r"Input data was truncated", "the data ends in the middle of a value"),
        (r"MessagePack data is malformed: map keys must be hashable.*", TEXT_KEYS),
        (r"MessagePack data is malformed: invalid opcode '\\x(\w+)' (.*)", r"no MessagePack value begins with \1 \2"),
        (r"MessagePack data is malformed: trailing characters (.*)", r"more data after the end of the value \1"),
        (r"JSON is malformed: trailing characters (.*)", r"more data after the end of the value \1"),
        (r"JSON is malformed: (.*)", r"not JSON: \1"),
    )
]


def in_plain_words(sentence: str) -> str:
    """Return a sentence of msgspec, without the place in it, in words for clients."""
    for pattern, said in _SENTENCES:
        if match := pattern.fullmatch(sentence):
            return match.expand(said) if isinstance(said, str) else said(match)
    return sentence[:1].lower() + sentence[1:]
