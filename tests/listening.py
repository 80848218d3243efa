"""Services under test take a free port and announce it in their log, where this module reads it."""

from pathlib import Path

from written import whole_lines

from millstream_runtime import read_announcement
from millstream_runtime.announcing import What


def announced_url(log: Path, what: What, *, after_lines: int = 0) -> str | None:
    """Return the address that a service's log announced last, `after_lines` of earlier processes, or None."""
    found = [read_announcement(line) for line in whole_lines(log)[after_lines:] if f'"{what}"' in line]
    return next((one.url for one in reversed(found) if one and one.event == what), None)
