"""What may be shown of a setting: no secret, nothing out of a file, and of an address only where it leads."""

import re
from pathlib import Path

from millstream_contracts import one_line

NO_ADDRESS = "a value that is no address"

_SHOWN_CHARS = 80

# One place or several; after them no @, or the password was not escaped and goes on there.
_HOST = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?"
_ADDRESS = re.compile(
    rf"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^/?#\s]*@)?(?P<hosts>{_HOST}(?:,{_HOST})*)"
    r"(?P<path>/[^?#@\s]*)?(?P<query>\?[^#@\s]*)?"
)


def mask_url(text: str) -> str:
    """Return an address without user name, password and the values of its query; NO_ADDRESS of what is none."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return NO_ADDRESS
    user, query = "***@" if found["user"] else "", "?***" if found["query"] else ""
    return one_line(f"{found['scheme']}{user}{found['hosts']}{found['path'] or ''}{query}", _SHOWN_CHARS)


def mask_text(text: str) -> str:
    """Return the value of a setting that is no secret, and no address either unless it was put into the wrong one."""
    return mask_url(text) if "://" in text else one_line(text, _SHOWN_CHARS)


def mask_path(path: Path) -> str:
    """Return a path, if it looks like one: where a file is to be named, people put what should be in it."""
    try:
        is_place = path.parent not in {Path(), Path("/")} and path.parent.is_dir()
    except (OSError, ValueError):
        is_place = False
    return one_line(path, 2 * _SHOWN_CHARS) if is_place else "***"
