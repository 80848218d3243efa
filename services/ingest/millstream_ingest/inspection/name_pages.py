"""Cursors of lists, and pages of those that fit into memory and are sorted by name: queues, types, workers."""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from millstream_streams import CursorError

T = TypeVar("T")


def page_of(
    items: Sequence[T], name_of: Callable[[T], str], cursor: str | None, limit: int
) -> tuple[list[T], str | None]:
    """Return a page and the cursor of the next; `items` are sorted by name. Raises: CursorError."""
    after = read_cursor(cursor) if cursor else ""
    rest = [item for item in items if name_of(item) > after]
    page = rest[:limit]
    return page, cursor_of(name_of(page[-1])) if len(rest) > limit else None


def cursor_of(name: str) -> str:
    """Return the cursor of a list that goes on behind a name."""
    return base64.urlsafe_b64encode(name.encode()).rstrip(b"=").decode()


def read_cursor(text: str) -> str:
    """Return the name behind which a list goes on. Raises: CursorError."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise CursorError("this is not a cursor of this list") from error


def cursor_at(place: str | None) -> str | None:
    """Return the cursor of a list that goes on at a place; None for one that does not go on."""
    return None if place is None else cursor_of(place)


def read_place(cursor: str | None, form: re.Pattern[str]) -> str | None:
    """Return the place at which a list goes on, which has to have this form; None without one. Raises: CursorError."""
    if cursor is None:
        return None
    place = read_cursor(cursor)
    if not form.fullmatch(place):
        raise CursorError("this is not a cursor of this list")
    return place
