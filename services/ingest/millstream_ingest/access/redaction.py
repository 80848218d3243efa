"""Makes what an audit record says of a request: bounded, on one line, and without payloads, results and secrets.

It goes by the names of fields, at any depth, as answers do that are kept from principals: so a new route needs nothing.
"""

import re
from typing import Any

import msgspec
from msgspec import Struct

from millstream_contracts import UNDECODABLE, limits
from millstream_ingest.access.withholding import FIELDS, without_payloads
from millstream_ingest.http.negotiation import Encoding

MASK = "***"
MOST_DECODED_BYTES = 65_536
"""A larger body is told by its size."""
_MOST_ITEMS = 50
_MOST_DEPTH = 8
_LARGE = 1 << 53
"""From this on a reader of JSON may see another number, and find another hash."""

_SECRET = re.compile(
    r"pass|secret|token|api.?key|auth|credential|session|cookie|private|signature|^key_?text$|^headers$", re.IGNORECASE
)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def one_line(text: str, most_chars: int = limits.MAX_AUDIT_TEXT_CHARS) -> str:
    """Return a text of a client, cut, and with an escape in the place of each character that is not printed."""
    cut = text[:most_chars]
    return cut if cut.isprintable() else "".join(map(_shown, cut))[:most_chars]


def redacted_body(body: bytes, encoding: Encoding) -> Any:
    """Return what a body asks for; of one that is large or cannot be read its size."""
    if not body:
        return None
    told = f"({len(body)} bytes)"
    if len(body) > MOST_DECODED_BYTES:
        return told
    try:
        value = (msgspec.json if encoding is Encoding.JSON else msgspec.msgpack).decode(body)
    except UNDECODABLE:
        return told
    return bounded(_redacted(value, 0))


def redacted(value: Any) -> Any:
    """Return what an answer says, without payloads, results and secrets."""
    try:
        shown = without_payloads(value)
        return _redacted(msgspec.to_builtins(shown) if isinstance(shown, Struct) else shown, 0)
    except (TypeError, ValueError, NotImplementedError):
        # Something that a handler has stored and no JSON can say.
        return None


def bounded(value: Any) -> Any:
    """Return a redacted value within its bound: of a dictionary the fields that fit."""
    if _bytes_of(value) <= limits.MAX_AUDIT_DETAIL_BYTES:
        return value
    if not isinstance(value, dict):
        return f"({_bytes_of(value)} bytes)"
    kept: dict[str, Any] = {}
    left = limits.MAX_AUDIT_DETAIL_BYTES - 64
    for name, one in value.items():
        size = len(name) + _bytes_of(one) + 4
        if size > left:
            kept["..."] = f"{len(value) - len(kept)} fields more"
            break
        kept[name] = one
        left -= size
    return kept


def changes_of(before: Any, after: Any) -> dict[str, Any]:
    """Return the fields that differ between two redacted values, which are dictionaries."""
    fields = dict.fromkeys((*before, *after))
    differing = {name: (before.get(name), after.get(name)) for name in fields if before.get(name) != after.get(name)}
    return {
        name: {word: one for word, one in (("before", was), ("after", becomes)) if one is not None}
        for name, (was, becomes) in differing.items()
    }


def _redacted(value: Any, depth: int) -> Any:
    match value:
        case dict() if depth < _MOST_DEPTH:
            items = list(value.items())[:_MOST_ITEMS]
            return {
                one_line(str(name), 64): _hidden(str(name), one, depth) for name, one in items if name not in FIELDS
            }
        case list() | tuple() if depth < _MOST_DEPTH:
            return [_redacted(one, depth + 1) for one in value[:_MOST_ITEMS]]
        case str():
            return one_line(_without_path(value) if _URL.match(value) else value)
        case int() if abs(value) >= _LARGE:
            return str(value)
    return value if isinstance(value, bool | int | float | None) else MASK


def _hidden(name: str, value: Any, depth: int) -> Any:
    if value is not None and not isinstance(value, bool) and _SECRET.search(name):
        return MASK
    return _redacted(value, depth + 1)


def _without_path(url: str) -> str:
    """Return of a URL what is no secret: path, query and user may be one."""
    scheme, _, rest = url.partition("://")
    host = re.split(r"[/?#\\]", rest, maxsplit=1)[0].rpartition("@")[2]
    return f"{scheme}://{host}/..."


def _bytes_of(value: Any) -> int:
    return len(msgspec.json.encode(value))


def _shown(char: str) -> str:
    return char if char.isprintable() else f"\\u{ord(char):04x}"
