"""Accepts `3.0` as an integer, as JSON Schema does: in many languages every number of JSON is a float.

It runs only after a body was refused for such a number, so other submissions do not pay for it.
"""

import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec
from msgspec import Raw

_FLOAT_FOR_INTEGER = re.compile(r"Expected `int(?: \| null)?`, got `float` - at `\$\.(?P<field>\w+)`")
_64_BITS = 2.0**63

Mend = Callable[[msgspec.ValidationError, Any], bytes | None]
"""Takes why a body was refused, and the body. Returns: the body to be decoded instead; None where there is none.

Raises: what a decoder raises of bytes that are broken behind the place of the refusal.
"""


def mender(encoding: ModuleType) -> Mend:
    """Return what writes one number of an object as the integer that it is; `encoding` is one of msgspec's modules."""
    members_of = encoding.Decoder(dict[str, Raw]).decode
    number_of = encoding.Decoder(float).decode
    encode = encoding.Encoder().encode

    def mend(error: msgspec.ValidationError, body: Any) -> bytes | None:
        found = _FLOAT_FOR_INTEGER.fullmatch(str(error))
        if found is None:
            return None
        try:
            members = members_of(body)
            number = number_of(members[found["field"]])
        except msgspec.ValidationError:
            return None  # the keys are no text, or a second value of the field is no number
        if not number.is_integer() or abs(number) >= _64_BITS:
            return None
        members[found["field"]] = Raw(encode(int(number)))
        mended: bytes = encode(members)
        return mended

    return mend


mend_json = mender(msgspec.json)
mend_msgpack = mender(msgspec.msgpack)
