"""Addresses of other programs with places for values, such as `https://tempo.example.com/trace/{trace_id}`."""

import re
from collections.abc import Mapping
from urllib.parse import quote

MAX_VALUE_CHARS = 300
"""Of a value in an address, which programs cut or refuse when it is too long."""

_PLACE = re.compile(r"\{([^{}]*)\}")


def filled(pattern: str, values: Mapping[str, str]) -> str:
    """Return a pattern with its values, each quoted so that it is no more than a value."""
    return _PLACE.sub(lambda found: quote(values.get(found[1], "")[:MAX_VALUE_CHARS], safe=""), pattern)
