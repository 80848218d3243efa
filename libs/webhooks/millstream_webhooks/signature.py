"""Signs calls as receivers expect it.

Source: Standard Webhooks 1.0.0: `webhook-signature: v1,<base64 of HMAC-SHA256 over id.timestamp.body>`, one for each
secret, with a space between them.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence


def signature_headers(event_id: str, at_s: int, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """Return the three headers of a call that is made at this time, Unix seconds. Without secrets it is not signed."""
    headers = {"webhook-id": event_id, "webhook-timestamp": str(at_s)}
    if secrets:
        headers["webhook-signature"] = " ".join(_signature(event_id, at_s, body, secret) for secret in secrets)
    return headers


def _signature(event_id: str, at_s: int, body: bytes, secret: bytes) -> str:
    signed = f"{event_id}.{at_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
