"""Times as users give them: in seconds, or as a timedelta."""

from datetime import timedelta
from typing import Any

Seconds = float | timedelta


def in_seconds(value: Any) -> Any:
    """Return a timedelta as seconds, and any other value as it is: what checks it says what is wrong with it."""
    return value.total_seconds() if isinstance(value, timedelta) else value
