"""Writes files atomically: a file is complete or absent, also after a power cut."""

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

# With the id of the job, of 93 characters at most, and the suffix, a name stays below the 255 bytes of file systems.
_MAX_NAME_BYTES = 100


class KeptFile(Struct, frozen=True):
    """A file that is in place."""

    path: str
    bytes: int
    sha256: str


def file_name(name: str, job_id: JobId, ending: str) -> str:
    """Return the name of a file of a job, without any folder. The same job always has the same name."""
    safe = _UNSAFE.sub("-", name).strip(".-")
    short = safe.encode()[:_MAX_NAME_BYTES].decode(errors="ignore")
    return f"{short or 'report'}-{job_id}.{ending}"


def keep(folder: str, name: str, write: Callable[[BinaryIO], None]) -> KeptFile:
    """Write a draft beside the file and rename it when it is complete. Raises: OSError, and what `write` raises."""
    home = Path(folder).absolute()
    home.mkdir(parents=True, exist_ok=True)
    # Each draft has a name of its own: a delivery that lost its lease may still be writing the same file.
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
    # A power cut undoes the rename unless the folder is synced too.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
