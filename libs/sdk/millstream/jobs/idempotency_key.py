"""The idempotency key of a submission, as callers write it."""

from millstream_contracts import limits


def check_idempotency_key(key: str) -> None:
    """Raise ValueError unless a text can be an idempotency key: it stands in a header, also where none is sent."""
    fits = 0 < len(key) <= limits.MAX_IDEMPOTENCY_KEY_CHARS
    if not (fits and key.isascii() and key.isprintable()):
        raise ValueError(f"an idempotency key is 1 to {limits.MAX_IDEMPOTENCY_KEY_CHARS} printable ASCII characters")
