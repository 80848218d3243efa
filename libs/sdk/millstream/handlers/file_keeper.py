"""Puts files where others find them, whole or not at all, also when the machine stops in between."""

import hashlib
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from millstream_contracts import JobId

_UNSAFE = re.compile(r"[^\w.-]+")

# With the job's id, of 93 characters at most, and the ending it stays below the 255 bytes of file systems.
_MAX_NAME_BYTES = 100


class KeptFile(Struct, frozen=True):
    """A file that is in place."""

    path: str
    bytes: int
    sha256: str


def file_name(name: str, job_id: JobId, ending: str) -> str:
    """Return a name for a job's file that stays in its folder. The same job always has the same."""
    safe = _UNSAFE.sub("-", name).strip(".-")
    short = safe.encode()[:_MAX_NAME_BYTES].decode(errors="ignore")
    return f"{short or 'report'}-{job_id}.{ending}"


def keep(folder: str, name: str, write: Callable[[BinaryIO], None]) -> KeptFile:
    """Write a file beside its place and move it there when it is whole. Raises: OSError, and what `write` raises."""
    home = Path(folder).absolute()
    home.mkdir(parents=True, exist_ok=True)
    # A name of its own, because a delivery that lost its lease may still be writing the same file.
    draft = home / f".{secrets.token_hex(8)}.part"
    try:
        with draft.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        with draft.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size_bytes = file.seek(0, os.SEEK_END)
        place = draft.replace(home / name)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(home)
    return KeptFile(path=str(place), bytes=size_bytes, sha256=digest)


def _sync_folder(folder: Path) -> None:
    # The move itself is lost in a power cut unless the folder is written too.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
