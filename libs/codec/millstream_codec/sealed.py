"""A value that was stored encrypted, where it has not been decrypted."""

import base64
import binascii
from typing import Any

from msgspec import Struct, field

_NAME = "$sealed"


class Sealed(Struct, frozen=True):
    """What stands in place of an encrypted value. The history stores it as the JSON object that it is encoded to."""

    blob: bytes = field(name=_NAME)
    """The content of the extension, without its mark."""


def read_sealed(value: Any) -> Sealed | None:
    """Return what the history has of an encrypted value; None for any other.

    A payload may have the form of one. Then it fails to authenticate, and is shown as it is.
    """
    if isinstance(value, Sealed):
        return value
    if not isinstance(value, dict) or value.keys() != {_NAME} or not isinstance(value[_NAME], str):
        return None
    try:
        return Sealed(base64.b64decode(value[_NAME], validate=True))
    except binascii.Error:
        return None
