"""Derives the signing secrets of webhooks from one key of the installation, so that none is stored (ADR 33).

The secret of an endpoint is made of its id and a salt; a rotation adds a salt. Ingest shows the secret, workers sign
with it, and neither Redis nor the database holds what a signature could be made of.

Source: Standard Webhooks, "Symmetric signatures" (secrets of 24 to 64 bytes, `whsec_` and base64).
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

SECRET_PREFIX = "whsec_"  # noqa: S105 - the form of a secret, and none
MIN_KEY_CHARS = 32
CALLBACKS = "callbacks"
"""In place of an endpoint's id: what per-job callbacks are signed for."""
NOTICES = "notices"
"""The same for notices about the installation."""

_encode = msgspec.msgpack.Encoder(order="sorted").encode


class WebhookKeys:
    """The key of an installation, and the one before it while a change of the key is under way."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Take the keys, the present one first. Raises: ValueError, for one that is too short."""
        if any(len(key) < MIN_KEY_CHARS for key in keys):
            raise ValueError(f"the key of webhooks is shorter than {MIN_KEY_CHARS} characters")
        self._keys = [key.encode() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def secret(self, endpoint: str, salt: str) -> str:
        """Return the secret that a receiver verifies with, under the present key."""
        return _shown(_derive(self._keys[0], "secret", endpoint, salt))

    def secrets(self, endpoint: str, salts: Sequence[str]) -> list[bytes]:
        """Return every secret that signs for an endpoint, the newest first."""
        return [_derive(key, "secret", endpoint, salt) for salt in salts for key in self._keys]

    def seal(self, content: Any) -> str:
        """Return the seal of a call, which only those have who know the key. `content` is plain data."""
        return _derive(self._keys[0], "seal", _encode(content).hex(), "").hex()

    def is_sealed(self, content: Any, seal: str) -> bool:
        """Whether a seal is that of this content, under one of the keys."""
        encoded = _encode(content).hex()
        seals = [_derive(key, "seal", encoded, "").hex() for key in self._keys]
        return any(hmac.compare_digest(one.encode(), seal.encode()) for one in seals)


def new_salt() -> str:
    """Return the salt of a new secret."""
    return secrets.token_hex(16)


def _derive(key: bytes, *words: str) -> bytes:
    return hmac.new(key, "\0".join(words).encode(), hashlib.sha256).digest()


def _shown(secret: bytes) -> str:
    return SECRET_PREFIX + base64.b64encode(secret).decode()
