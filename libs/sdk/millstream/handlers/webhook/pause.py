"""Reads how long a receiver asks to be left alone.

Source: RFC 9110 section 10.2.3 (`Retry-After`, in seconds or as a date).
"""

import math
import time
from email.utils import parsedate_to_datetime

from millstream.outgoing.guarded_client import Answer
from millstream_webhooks import MAX_PAUSE_S

_BUSY = frozenset({429, 503})


def pause_s(answer: Answer) -> float | None:
    """Return the pause that an answer asks for, at most :data:`MAX_PAUSE_S`; None for one that asks for none."""
    if answer.status not in _BUSY or not (text := answer.headers.get("retry-after", "").strip()):
        return None
    seconds = float(text) if text.isascii() and text.isdigit() else _until(text)
    return None if seconds is None else min(max(seconds, 1.0), MAX_PAUSE_S)


def _until(text: str) -> float | None:
    try:
        at_s = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return at_s - time.time() if math.isfinite(at_s) else None
