"""The text of a key of the API: `ms_<id>_<secret><checksum>`, all digits of base 62.

The prefix lets scanners of secrets find a key; the checksum tells a typo without a look-up. The secret has 256 bits, so
a single SHA-256 keeps it: there is nothing to guess.
"""

import hashlib
import secrets
import zlib

from msgspec import Struct

PREFIX = "ms_"
ID_CHARS = 8
SECRET_CHARS = 43
CHECKSUM_CHARS = 6
KEY_CHARS = len(PREFIX) + ID_CHARS + 1 + SECRET_CHARS + CHECKSUM_CHARS

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ALLOWED = frozenset(_DIGITS)


class MintedKey(Struct, frozen=True):
    """A new key: what its owner gets, and what is stored."""

    id: str
    text: str
    digest: bytes

    def __repr__(self) -> str:
        return f"MintedKey(id={self.id!r}, text='***')"


def mint_key() -> MintedKey:
    """Return a new key, whose text is to be shown once."""
    key_id = _random(ID_CHARS)
    body = f"{PREFIX}{key_id}_{_random(SECRET_CHARS)}"
    text = body + _checksum(body)
    return MintedKey(key_id, text, digest_of_key(text.encode()))


def digest_of_key(text: bytes) -> bytes:
    """Return what is stored of a key."""
    return hashlib.sha256(text).digest()


def id_of_key(text: str) -> str | None:
    """Return the id in the text of a key, or None for what is no key: another form, or a checksum that does not fit."""
    at = len(PREFIX) + ID_CHARS
    if len(text) != KEY_CHARS or not text.startswith(PREFIX) or text[at] != "_":
        return None
    key_id, secret = text[len(PREFIX) : at], text[at + 1 :]
    if not _ALLOWED.issuperset(key_id) or not _ALLOWED.issuperset(secret):
        return None
    body = text[:-CHECKSUM_CHARS]
    return key_id if text.endswith(_checksum(body)) else None


def is_key_id(text: str) -> bool:
    """Return whether a text has the form of the id of a key."""
    return len(text) == ID_CHARS and _ALLOWED.issuperset(text)


def _random(chars: int) -> str:
    return "".join([secrets.choice(_DIGITS) for _ in range(chars)])


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), []
    for _ in range(CHECKSUM_CHARS):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
