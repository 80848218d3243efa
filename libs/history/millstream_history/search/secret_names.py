"""Tells which keys of payloads and tags are named like a secret, so that their values are not offered to people."""

import re

_SECRET = re.compile(
    r"pass|secret|token|api.?key|auth|credential|session|cookie|card|iban|cvv|cvc|ssn|pin\b|private|signature",
    re.IGNORECASE,
)


def is_secret(name: str) -> bool:
    """Whether a key is named like a secret."""
    return _SECRET.search(name) is not None
