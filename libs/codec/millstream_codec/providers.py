"""Where key-encryption keys come from: the environment, a folder, or a service by an entry point.

A provider wraps and unwraps data keys. The keys of a key service never leave it; those of the environment and of a
folder are in memory.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from importlib.metadata import entry_points
from os import urandom
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from millstream_codec.errors import KeyConfigError, KeyLostError
from millstream_codec.sealing import KEY_BYTES, NONCE_BYTES

ENTRY_POINTS = "millstream.key_providers"
"""The group of entry points; each names a function without arguments that returns a provider."""

_KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SUFFIX = ".key"


class KeyProvider(Protocol):
    """What wraps data keys. Methods may ask a service; they raise KeyLostError for a key that is not there."""

    @property
    def current(self) -> str:
        """Return the id of the key that wraps new data keys."""
        ...

    async def wrap(self, key_id: str, secret: bytes, context: bytes) -> bytes:
        """Return a data key encrypted by a key; `context` has to be the same when it is unwrapped."""
        ...

    async def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Return the data key."""
        ...


class LocalKeys:
    """Key-encryption keys in memory."""

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        self._keys = {key_id: AESGCM(secret) for key_id, secret in keys.items()}
        self.current = current

    async def wrap(self, key_id: str, secret: bytes, context: bytes) -> bytes:
        """As :meth:`KeyProvider.wrap`."""
        nonce = urandom(NONCE_BYTES)
        return nonce + self._of(key_id).encrypt(nonce, secret, context)

    async def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """As :meth:`KeyProvider.unwrap`."""
        try:
            return self._of(key_id).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context)
        except InvalidTag:
            raise KeyLostError(f"the key-encryption key `{key_id}` is another one than that of the data key") from None

    def _of(self, key_id: str) -> AESGCM:
        found = self._keys.get(key_id)
        if found is None:
            raise KeyLostError(f"the key-encryption key `{key_id}` is not there")
        return found


def keys_of_text(text: str) -> LocalKeys:
    """Return the keys of `id:base64` with commas between; the first wraps new data keys. Raises: KeyConfigError."""
    found: dict[str, bytes] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        key_id, colon, secret = part.partition(":")
        if not colon:
            raise KeyConfigError("expected keys as `id:base64` with commas between them")
        found[_checked(key_id)] = _secret(key_id, secret)
    return _local(found, current=next(iter(found), ""))


def keys_of_folder(folder: Path) -> LocalKeys:
    """Return the keys of the files `<id>.key` of a folder; the last by name wraps new ones. Raises: KeyConfigError."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix == _SUFFIX)
        found = {_checked(path.stem): _secret(path.stem, path.read_text("ascii")) for path in files}
    except (OSError, UnicodeDecodeError) as error:
        raise KeyConfigError(f"the folder cannot be read: {type(error).__name__}") from None
    return _local(found, current=max(found, default=""))


def provider_named(name: str) -> KeyProvider:
    """Return the provider of an entry point. Raises: KeyConfigError."""
    named = {one.name: one for one in entry_points(group=ENTRY_POINTS)}
    if name not in named:
        known = ", ".join(sorted(named)) or "none is installed"
        raise KeyConfigError(f"no provider `{name}` among the entry points of `{ENTRY_POINTS}`: {known}")
    provider: KeyProvider = named[name].load()()
    return provider


def _local(found: Mapping[str, bytes], current: str) -> LocalKeys:
    if not found:
        raise KeyConfigError("there is no key")
    return LocalKeys(found, current)


def _checked(key_id: str) -> str:
    if not _KEY_ID.fullmatch(key_id):
        raise KeyConfigError("the id of a key has letters, digits, `.`, `_` and `-`, 64 characters at most")
    return key_id


def _secret(key_id: str, text: str) -> bytes:
    try:
        secret = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != KEY_BYTES:
        raise KeyConfigError(f"the key `{key_id}`: expected {KEY_BYTES} random bytes in base64, as of `openssl rand`")
    return secret
