"""The cursors of searches: a place in the order of jobs, bound to one query.

New jobs come before the place, so they never move what follows it. Moments that a query names relative to now are those
of its first page.
"""

import base64
import binascii
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from millstream_history.errors import SearchCursorError
from millstream_history.search.paging.places import Place, Way
from millstream_history.search.plan import JobQuery

PREFIX = "h."
"""What tells these cursors from those of live lists."""

_VERSION = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class _Cursor(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    digest: bytes
    asked_at_us: int
    at_us: int
    id: str
    way: Way


def write_cursor(query: JobQuery, place: Place, way: Way) -> str:
    """Return an opaque text for a URL."""
    cursor = _Cursor(_VERSION, query.digest, _microseconds(query.asked_at), _microseconds(place.at), place.id, way)
    return PREFIX + base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).rstrip(b"=").decode()


def read_cursor(text: str, query: JobQuery) -> tuple[JobQuery, Place, Way]:
    """Return the query as its first page had it, and where the next page begins. Raises: SearchCursorError."""
    encoded = text.removeprefix(PREFIX)
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        found = msgspec.msgpack.decode(raw, type=_Cursor)
        asked_at, at = _moment(found.asked_at_us), _moment(found.at_us)
    except (binascii.Error, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise SearchCursorError("this is not a cursor of a search") from error
    if encoded == text or found.version != _VERSION or not _is_sendable(found.id):
        raise SearchCursorError("this is not a cursor of a search")
    if found.digest != query.digest:
        raise SearchCursorError("this is a cursor of another search", is_foreign=True)
    return replace(query, asked_at=asked_at), Place(at, found.id), found.way


def _is_sendable(text: str) -> bool:
    """Whether PostgreSQL takes a text; a cursor may have been written by hand."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _moment(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND
