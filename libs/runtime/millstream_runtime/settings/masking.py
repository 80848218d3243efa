"""Masks settings in logs and errors: no secret, no content of a file, and of an address only its hosts and path."""

import re
from pathlib import Path

from millstream_contracts import one_line

NO_ADDRESS = "a value that is no address"

_SHOWN_CHARS = 80

# One host or several. An @ behind them means that the password was not escaped and goes on there.
_HOST = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?"
_ADDRESS = re.compile(
    rf"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^/?#\s]*@)?(?P<hosts>{_HOST}(?:,{_HOST})*)"
    r"(?P<path>/[^?#@\s]*)?(?P<query>\?[^#@\s]*)?"
)


def mask_url(text: str) -> str:
    """Return an address without user name, password and query; NO_ADDRESS for any other text."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return NO_ADDRESS
    user, query = "***@" if found["user"] else "", "?***" if found["query"] else ""
    return one_line(f"{found['scheme']}{user}{found['hosts']}{found['path'] or ''}{query}", _SHOWN_CHARS)


def mask_text(text: str) -> str:
    """Return the text of a setting that is no secret. An address, put there by mistake, is masked."""
    return mask_url(text) if "://" in text else one_line(text, _SHOWN_CHARS)


def mask_path(path: Path) -> str:
    """Return a path whose folder exists, else `***`: operators put a secret where its file should be named."""
    try:
        is_place = path.parent not in {Path(), Path("/")} and path.parent.is_dir()
    except (OSError, ValueError):
        is_place = False
    return one_line(path, 2 * _SHOWN_CHARS) if is_place else "***"
