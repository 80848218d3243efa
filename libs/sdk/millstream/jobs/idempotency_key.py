"""The idempotency key of a submission, as callers write it."""

import uuid

from millstream_contracts import limits


def check_idempotency_key(key: str) -> None:
    """Raise ValueError unless a text can be an idempotency key: it stands in a header, also where none is sent."""
    fits = 0 < len(key) <= limits.MAX_IDEMPOTENCY_KEY_CHARS
    if not (fits and key.isascii() and key.isprintable()):
        raise ValueError(f"an idempotency key is 1 to {limits.MAX_IDEMPOTENCY_KEY_CHARS} printable ASCII characters")


def checked_key(idempotency_key: str | None) -> str:
    """Return the key, or a fresh one for None. Raises: ValueError, when the key cannot stand in a header."""
    if idempotency_key is None:
        return str(uuid.uuid4())
    check_idempotency_key(idempotency_key)
    return idempotency_key
