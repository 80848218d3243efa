"""The idempotency keys of children: scoped to their parent, so that it makes none twice and meets no other (ADR 44).

A key of one child names it: what a later attempt submits under the key is that child. A key of a batch counts for each
payload: an attempt that finds its payloads in another order, or more of them, submits what is new and nothing twice.
"""

import hashlib
from collections import Counter
from typing import Any

import msgspec

from millstream_contracts import FieldError, JobId
from millstream_streams import Idempotency
from millstream_submission import Decoded, invalid

KeysUsed = dict[tuple[str, str], bytes]
"""What one attempt has submitted under which job type and key: a digest of the payload."""

_DIGEST_BYTES = 16

# Two maps that differ in the order of their keys are the same payload.
_encode = msgspec.msgpack.Encoder(order="sorted").encode


class ChildKeys:
    """Makes the identities of the children of one call, of its key."""

    def __init__(self, parent: JobId, text: str, *, many: bool, used: KeysUsed) -> None:
        self._parent = parent
        self._text = text
        self._many = many
        self._used = used
        self._claimed: tuple[str, str] | None = None
        """The key that this call is the first of its attempt to use."""
        self._equal: Counter[tuple[str, bytes]] = Counter()

    def of(self, decoded: Decoded, pointer: str) -> Idempotency:
        """Return the identity of the next child. Raises: InvalidError."""
        job_type, payload = decoded.submission.type, _digest(decoded.value)
        if self._many:
            # Equal payloads are as many children as there are of them.
            self._equal[job_type, payload] += 1
            number = self._equal[job_type, payload]
            return Idempotency(_digest(["children", self._parent, self._text, payload, number]), payload.hex())
        self._claim(job_type, payload, pointer)
        return Idempotency(_digest(["child", self._parent, self._text]), payload.hex())

    def _claim(self, job_type: str, payload: bytes, pointer: str) -> None:
        """Note the key as used. Raises: InvalidError, when its attempt has used it for another payload."""
        name = job_type, self._text
        if name not in self._used:
            self._used[name], self._claimed = payload, name
        elif self._used[name] != payload:
            # It would be given the other child, and this one be lost without a word.
            detail = f"this attempt has submitted another payload under the idempotency key `{self._text}`"
            raise invalid(FieldError(f"{pointer}/payload", detail))

    def give_back(self) -> None:
        """Forget the key, because nothing was stored under it."""
        if self._claimed is not None:
            self._used.pop(self._claimed, None)


def _digest(value: Any) -> bytes:
    return hashlib.blake2b(_encode(value), digest_size=_DIGEST_BYTES).digest()
