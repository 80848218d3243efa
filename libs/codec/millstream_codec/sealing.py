"""Encrypts and decrypts values with AES-256-GCM, each bound to the tenant, the job and the field that it belongs to.

A blob is `version | length of kid | kid | nonce | ciphertext and tag`. The associated data has the head, the tenant,
the job and the field, so a blob that was moved to another job or another field does not open. Each field of each job
has a key of its own, which follows from the data key: so a random nonce never meets an equal one, however many jobs a
data key encrypts.
"""

import hashlib
import os
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from millstream_codec.errors import DamagedBlobError

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
_VERSION = 1
_HEAD_BYTES = 2
_PERSON = b"millstream field"
_HASH_PERSON = b"millstream hash"
_HASH_BYTES = 16


class Place(NamedTuple):
    """What a value belongs to."""

    tenant: str
    job_id: str
    field: str

    @property
    def text(self) -> bytes:
        """As associated data; no part has a NUL in it."""
        return f"{self.tenant}\0{self.job_id}\0{self.field}".encode()


class DataKey(NamedTuple):
    """A key by which the values of one tenant are encrypted."""

    kid: str
    """Its id: the month in which it was made, and `.2` and so on for the further ones of a month."""
    secret: bytes

    def __repr__(self) -> str:
        return f"DataKey({self.kid!r}, '***')"

    def seal(self, value: bytes, place: Place) -> bytes:
        """Return a value encrypted."""
        kid, nonce, belongs_to = self.kid.encode(), os.urandom(NONCE_BYTES), place.text
        head = bytes((_VERSION, len(kid))) + kid
        return head + nonce + self._cipher(belongs_to).encrypt(nonce, value, head + belongs_to)

    def open(self, blob: bytes, place: Place) -> bytes:
        """Return the value of a blob. Raises: DamagedBlobError, also for the blob of another place."""
        start = _HEAD_BYTES + len(self.kid)
        belongs_to, nonce = place.text, blob[start : start + NONCE_BYTES]
        try:
            return self._cipher(belongs_to).decrypt(nonce, blob[start + NONCE_BYTES :], blob[:start] + belongs_to)
        except InvalidTag:
            raise DamagedBlobError("it is encrypted, and was changed or belongs to another place") from None

    def hash(self, text: str) -> str:
        """Return a keyed hash of a text, in hexadecimal: equal ones are seen to be equal, and nothing else is."""
        digest = hashlib.blake2b(text.encode(), digest_size=_HASH_BYTES, key=self.secret, person=_HASH_PERSON)
        return digest.hexdigest()

    def _cipher(self, belongs_to: bytes) -> AESGCM:
        return AESGCM(hashlib.blake2b(belongs_to, digest_size=KEY_BYTES, key=self.secret, person=_PERSON).digest())


def kid_of(blob: bytes) -> str:
    """Return the id of the key that opens a blob. Raises: DamagedBlobError."""
    if len(blob) < _HEAD_BYTES or blob[0] != _VERSION:
        raise DamagedBlobError("it is encrypted in a way that this release does not know")
    kid = blob[_HEAD_BYTES : _HEAD_BYTES + blob[1]]
    if not kid or len(blob) < _HEAD_BYTES + len(kid) + NONCE_BYTES + TAG_BYTES or not kid.isascii():
        raise DamagedBlobError("it is encrypted, and was cut off")
    return kid.decode()
