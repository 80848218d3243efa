"""Payloads in JSON: values at the edges of types, and mutations of valid ones."""

import base64
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

TIMES = [
    "2026-11-26T10:00:00Z",
    "2026-11-26t10:00:00.5z",
    "2026-11-26 10:00:00+01:00",
    "2026-11-26T10:00:00.123456789-23:59",
]
LOCAL_TIMES = ["2026-11-26T10:00:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"]
BAD_TIMES = [
    "tomorrow",
    "2026-11-26T23:59:60Z",
    "2026-11-26T24:00:00Z",
    "0000-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "9999-12-31T23:59:59.9999999Z",
    "2026-11-26",
    "2026-11-26T10:00Z",
    "2026-11-26T10:00:00+24:00",
]
CLOCKS = ["10:00:00Z", "10:00:00.25+02:00"]
LOCAL_CLOCKS = ["10:00:00", "23:59:59.999999"]
DAYS = ["2026-11-26", "2024-02-29"]
DURATIONS = ["P1D", "-PT1.5S", "P1DT2H3M4S", "PT36H", "P0.5D", "PT0S"]
UUIDS = ["12345678-1234-5678-1234-567812345678", "12345678123456781234567812345678"]
DECIMALS = ["1.5", "-0", "1e5", ".5", "12345678901234567890.12"]
BINARIES = ["", "aGk=", "aGkh", "QR==", "MTIzNDU=", "MTIzNDU2"]

HOSTILE: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    7,
    2**53 + 1,
    2**63,
    2**64 - 1,
    -(2**63),
    0.0,
    -0.0,
    1.0,
    7.0,
    1e3,
    1e16,
    1e20,
    1e300,
    0.1,
    0.3,
    1.5,
    "",
    "a",
    "red",
    "one",
    "1",
    "x\n",
    "1\n",
    "\u0663",
    "\u00e9",
    "\U0001f600",
    " ",
    "\u00a0",
    "a=",
    "aGk",
    "a===",
    "aGk=\n",
    "a-_=",
    "aGk=aGk=",
    "NaN",
    "Infinity",
    "sNaN",
    "1_0",
    " 1",
    "1e999999999999999999999",
    "P1W",
    "P1Y",
    "P",
    "P9999999999D",
    "p1d",
    "24:00:00",
    "23:59:60Z",
    "10:00",
    "2026-13-01",
    "2026-1-1",
    "{12345678-1234-5678-1234-567812345678}",
    "12345678-1234-5678-1234-56781234567",
    *TIMES,
    *LOCAL_TIMES,
    *BAD_TIMES,
    *CLOCKS,
    *LOCAL_CLOCKS,
    *DAYS,
    *DURATIONS,
    *UUIDS,
    *DECIMALS,
    *BINARIES,
    [],
    [1],
    [1.0, True],
    ["a", "a"],
    [[]],
    [[1], [1]],
    [{}],
    {},
    {"type": "x"},
    {"1": 1, "01": 1},
    {"": None},
]
"""Values at the edges of all types."""


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    """Change one place of a payload."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(value)))
        changed = {key: member for key, member in value.items() if key != name}
        if draw(st.booleans()):
            return {**changed, name: draw(mutated(value[name]))}
        other = draw(st.sampled_from([name.lower(), "1", "1.0", "nan", "", "-0", "1" * 21, "x\n", "2026-1-1", "NaN"]))
        return {**changed, other: value[name]} if draw(st.booleans()) else changed
    if isinstance(value, list) and value and draw(st.booleans()):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], draw(mutated(value[at])), *value[at + 1 :]]
    if isinstance(value, list) and draw(st.booleans()):
        return value[:-1] if draw(st.booleans()) else [*value, *value[:1], draw(st.sampled_from(HOSTILE))]
    return draw(st.sampled_from(HOSTILE))


def packed_binaries(value: Any, choose: Callable[[str], bool]) -> Any:
    """Return a payload with binary data in place of the base64 texts that `choose` selects."""
    if isinstance(value, dict):
        return {key: packed_binaries(member, choose) for key, member in value.items()}
    if isinstance(value, list):
        return [packed_binaries(member, choose) for member in value]
    if isinstance(value, str) and choose(value):
        try:
            return base64.b64decode(value, validate=True)
        except ValueError:
            return value
    return value
