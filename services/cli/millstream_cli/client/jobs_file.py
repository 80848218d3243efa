"""A file of jobs as commands take it: one as JSON a line, or the body of a request with many."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from millstream import NewJob


def jobs_of(file: Path) -> list[NewJob]:
    """Return the jobs of a file, one at least; `-` is stdin. Raises: TypeError, ValueError, OSError."""
    text = sys.stdin.read() if str(file) == "-" else file.read_text()
    jobs = [NewJob.from_document(one) for one in _documents(text)]
    if not jobs:
        raise ValueError(f"{file} has no jobs")
    return jobs


def _documents(text: str) -> list[Any]:
    try:
        whole = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        lines = ((number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip())
        return [_decoded(number, line) for number, line in lines]
    if isinstance(whole, dict) and isinstance(whole.get("jobs"), list):
        return list(whole["jobs"])
    return whole if isinstance(whole, list) else [whole]


def _decoded(number: int, line: str) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"line {number} of the jobs is not JSON: {error}") from error
