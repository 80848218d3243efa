"""Pages of lists that fit into memory and are sorted by name: queues, types, workers."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from millstream_streams import CursorError

T = TypeVar("T")


def page_of(
    items: Sequence[T], name_of: Callable[[T], str], cursor: str | None, limit: int
) -> tuple[list[T], str | None]:
    """Return a page and the cursor of the next; `items` are sorted by name. Raises: CursorError."""
    after = _read_cursor(cursor) if cursor else ""
    rest = [item for item in items if name_of(item) > after]
    page = rest[:limit]
    return page, _cursor(name_of(page[-1])) if len(rest) > limit else None


def _cursor(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).rstrip(b"=").decode()


def _read_cursor(text: str) -> str:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise CursorError("this is not a cursor of this list") from error
