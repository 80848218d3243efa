"""Which encoding a body is in and which one its answer takes, by `Content-Type` and `Accept`.

Source: RFC 9110 sections 5.6, 8.3.1 and 12.5.1.
"""

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from millstream_ingest.http.errors import BodyError
from millstream_ingest.http.problems import UNSUPPORTED_MEDIA_TYPE
from millstream_submission import MAX_QUOTED_CHARS


class Encoding(StrEnum):
    """An encoding, by the media type that answers in it carry."""

    JSON = "application/json"
    MSGPACK = "application/vnd.msgpack"

    # Enum's own is a function in Python, called by each look into a dict or cache.
    __hash__ = str.__hash__


class BatchFormat(NamedTuple):
    """How a batch is written: one object with a list of jobs, or one job after the other."""

    encoding: Encoding
    is_sequence: bool


class MediaRange(NamedTuple):
    """One element of an `Accept` header, lower case."""

    type: str
    """`*` for any."""
    subtype: str
    q: float


# `vnd.msgpack` is the registered name; the others are what clients sent before 2024.
_MEDIA_TYPES = {
    "application/json": Encoding.JSON,
    "application/vnd.msgpack": Encoding.MSGPACK,
    "application/msgpack": Encoding.MSGPACK,
    "application/x-msgpack": Encoding.MSGPACK,
}
_SEQUENCE_TYPES = {
    "application/x-ndjson": Encoding.JSON,
    # Named after `application/cbor-seq` (RFC 8742): MessagePack has no registered name for it.
    "application/vnd.msgpack-seq": Encoding.MSGPACK,
}

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a token of RFC 9110
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PARAMETER = re.compile(rf"[ \t]*;[ \t]*(?:({_TOKEN})=({_TOKEN}|{_QUOTED}))?")
_MEDIA_TYPE = re.compile(rf"[ \t]*({_TOKEN})/({_TOKEN})")
_EMPTY = re.compile(r"[ \t]*(?:,|$)")
_NEXT = re.compile(r"[ \t]*(?:,[ \t]*|$)")
_QVALUE = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?")
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii"})

# A header longer than this is no real client's: it is parsed each time, so that none can fill the cache.
_MAX_CACHED_CHARS = 200


def request_encoding(content_type: str | None) -> Encoding:
    """Return the encoding of a request's body. Raises: BodyError (415)."""
    encoding = _MEDIA_TYPES.get(_media_type(content_type))
    if encoding is None:
        raise _unsupported(content_type, _MEDIA_TYPES)
    return encoding


def batch_format(content_type: str | None) -> BatchFormat:
    """Return how a batch is written. Raises: BodyError (415)."""
    media_type = _media_type(content_type)
    if media_type in _MEDIA_TYPES:
        return BatchFormat(_MEDIA_TYPES[media_type], is_sequence=False)
    if media_type in _SEQUENCE_TYPES:
        return BatchFormat(_SEQUENCE_TYPES[media_type], is_sequence=True)
    raise _unsupported(content_type, _MEDIA_TYPES | _SEQUENCE_TYPES)


def answer_encoding(accept: str | None, request: Encoding = Encoding.JSON) -> Encoding:
    """Return the encoding that the client likes best; the one of its request where it likes both equally.

    JSON when it accepts neither or the header is broken: an answer that a person can read is more use than
    a 406. Several `Accept` headers are to be joined by commas.
    """
    if not accept:
        return request
    if len(accept) <= _MAX_CACHED_CHARS:
        return _cached_answer(accept, request)
    return _answer(accept, request)


def accept_ranges(accept: str) -> list[MediaRange] | None:
    """Return the media ranges of an `Accept` header, or None when it is broken."""
    ranges = []
    at = 0
    while at < len(accept):
        if gap := _EMPTY.match(accept, at):
            at = gap.end()
            continue
        parsed = _parse(accept, at)
        if parsed is None or (end := _NEXT.match(accept, parsed[2])) is None:
            return None
        (kind, subtype), parameters, _ = parsed
        q = parameters.get("q", "1")
        if not _QVALUE.fullmatch(q) or (kind == "*" and subtype != "*"):
            return None
        ranges.append(MediaRange(kind, subtype, float(q)))
        at = end.end()
    return ranges


def _answer(accept: str, request: Encoding) -> Encoding:
    ranges = accept_ranges(accept)
    if ranges is None:
        return Encoding.JSON
    liked = {encoding: _quality(ranges, encoding) for encoding in Encoding}
    best = max(liked.values())
    if best == 0.0:
        return Encoding.JSON
    return request if liked[request] == best else max(liked, key=lambda encoding: liked[encoding])


_cached_answer = lru_cache(maxsize=256)(_answer)


def _quality(ranges: list[MediaRange], encoding: Encoding) -> float:
    names = [name.split("/") for name, meant in _MEDIA_TYPES.items() if meant is encoding]
    return max(_quality_of_name(ranges, kind, subtype) for kind, subtype in names)


def _quality_of_name(ranges: list[MediaRange], kind: str, subtype: str) -> float:
    # The most specific range that matches decides, whatever the others say.
    for wanted in ((kind, subtype), (kind, "*"), ("*", "*")):
        matching = [each.q for each in ranges if (each.type, each.subtype) == wanted]
        if matching:
            return max(matching)
    return 0.0


def _media_type(content_type: str | None) -> str:
    if content_type is None or content_type in _MEDIA_TYPES:
        return content_type or ""
    if len(content_type) <= _MAX_CACHED_CHARS:
        return _cached_essence(content_type)
    return _essence(content_type)


def _essence(content_type: str) -> str:
    """Return `type/subtype` in lower case, or an empty string when it is broken or not in UTF-8."""
    parsed = _parse(content_type, 0)
    if parsed is None or content_type[parsed[2] :].strip(" \t"):
        return ""
    (kind, subtype), parameters, _ = parsed
    return f"{kind}/{subtype}" if parameters.get("charset", "utf-8").lower() in _UTF8 else ""


_cached_essence = lru_cache(maxsize=256)(_essence)


def _parse(text: str, at: int) -> tuple[tuple[str, str], dict[str, str], int] | None:
    media_type = _MEDIA_TYPE.match(text, at)
    if media_type is None:
        return None
    at = media_type.end()
    parameters: dict[str, str] = {}
    while parameter := _PARAMETER.match(text, at):
        if parameter[1]:
            parameters.setdefault(parameter[1].lower(), _unquoted(parameter[2]))
        at = parameter.end()
    return (media_type[1].lower(), media_type[2].lower()), parameters, at


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _unsupported(content_type: str | None, known: dict[str, Encoding]) -> BodyError:
    got = f"got `{content_type[:MAX_QUOTED_CHARS]}`" if content_type else "the header is missing"
    wanted = ", ".join(f"`{name}`" for name in known)
    return BodyError(UNSUPPORTED_MEDIA_TYPE, f"`Content-Type` has to be one of {wanted}, in UTF-8; {got}")
