"""The headers of a request, read once for all of its parts."""

from collections.abc import Mapping, Sequence

RawHeaders = Sequence[tuple[bytes, bytes]]
"""Headers as ASGI has them: names in lower case, and a repeated header more than once."""

Headers = Mapping[bytes, bytes]
"""Headers by name in lower case; the values of a repeated header are joined by commas, in their order."""


def read_headers(raw: RawHeaders) -> Headers:
    """Return the headers of a request by name."""
    headers = dict(raw)
    if len(headers) == len(raw):
        return headers
    joined: dict[bytes, bytes] = {}
    for name, value in raw:
        joined[name] = joined[name] + b", " + value if name in joined else value
    return joined


def header_text(headers: Headers, name: bytes) -> str:
    """Return a header as text, or an empty text without it."""
    value = headers.get(name)
    return "" if value is None else value.decode("latin-1")
