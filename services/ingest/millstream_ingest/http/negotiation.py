"""Finds the encoding of a body and of its response, by `Content-Type` and `Accept`.

Source: RFC 9110 sections 5.6, 8.3.1 and 12.5.1.
"""

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from millstream_ingest.http.errors import BodyError
from millstream_ingest.http.problems import UNSUPPORTED_MEDIA_TYPE
from millstream_submission import MAX_QUOTED_CHARS


class Encoding(StrEnum):
    """An encoding, and the media type of its responses."""

    JSON = "application/json"
    MSGPACK = "application/vnd.msgpack"

    # Enum's own is a function in Python, called by each look into a dict or cache.
    __hash__ = str.__hash__


class BatchFormat(NamedTuple):
    """How a batch is written: one object with a list of jobs, or one job after the other."""

    encoding: Encoding
    is_sequence: bool


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


def sent_encoding(content_type: str) -> Encoding:
    """Return the encoding of a request by its content type; JSON for an unknown one."""
    known = _MEDIA_TYPES.get(content_type)
    if known is not None:
        return known
    media_type = _media_type(content_type)
    return _MEDIA_TYPES.get(media_type) or _SEQUENCE_TYPES.get(media_type) or Encoding.JSON


def response_encoding(accept: str | None, request: Encoding = Encoding.JSON) -> Encoding:
    """Return the encoding that the client prefers; of equals that of its request.

    It is JSON when the client accepts neither or the header is broken: a response that a person can read is more useful
    than a 406. Several `Accept` headers are to be joined by commas.
    """
    if not accept:
        return request
    if len(accept) <= _MAX_CACHED_CHARS:
        return _cached_choice(accept, request)
    return _choose(accept, request)


def _choose(accept: str, request: Encoding) -> Encoding:
    # Parameters do not tell apart what is encoded here; for Werkzeug a range with one is another type.
    ranges = [(name.partition(";")[0], quality) for name, quality in parse_accept_header(accept, MIMEAccept)]
    accepted = MIMEAccept(ranges)
    quality = {
        encoding: max(accepted.quality(name) for name, meant in _MEDIA_TYPES.items() if meant is encoding)
        for encoding in Encoding
    }
    best = max(quality.values())
    if best <= 0:
        return Encoding.JSON
    return request if quality[request] == best else max(quality, key=lambda encoding: quality[encoding])


_cached_choice = lru_cache(maxsize=256)(_choose)


def _media_type(content_type: str | None) -> str:
    if content_type is None or content_type in _MEDIA_TYPES:
        return content_type or ""
    if len(content_type) <= _MAX_CACHED_CHARS:
        return _cached_essence(content_type)
    return _essence(content_type)


def _essence(content_type: str) -> str:
    """Return `type/subtype` in lower case, or an empty string when it is broken or not in UTF-8.

    Werkzeug repairs a broken one. A body is decoded by this header, which must not be guessed.
    """
    parsed = _MEDIA_TYPE.match(content_type)
    if parsed is None:
        return ""
    at = parsed.end()
    parameters: dict[str, str] = {}
    while parameter := _PARAMETER.match(content_type, at):
        if parameter[1]:
            parameters.setdefault(parameter[1].lower(), _unquoted(parameter[2]))
        at = parameter.end()
    if content_type[at:].strip(" \t") or parameters.get("charset", "utf-8").lower() not in _UTF8:
        return ""
    return f"{parsed[1]}/{parsed[2]}".lower()


_cached_essence = lru_cache(maxsize=256)(_essence)


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _unsupported(content_type: str | None, known: dict[str, Encoding]) -> BodyError:
    got = f"got `{content_type[:MAX_QUOTED_CHARS]}`" if content_type else "the header is missing"
    wanted = ", ".join(f"`{name}`" for name in known)
    return BodyError(UNSUPPORTED_MEDIA_TYPE, f"`Content-Type` has to be one of {wanted}, in UTF-8; {got}")
