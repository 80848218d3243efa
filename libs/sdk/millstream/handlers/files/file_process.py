"""`file.process`: copies, compresses, decompresses or checks one file. The same job writes the same file."""

import contextlib
import gzip
import hashlib
import os
import secrets
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, cast

from msgspec import Meta, Struct

from millstream.context import SyncContext
from millstream.handlers.files.file_places import FilePlace
from millstream.handlers.shared import Shared, shared
from millstream.steering import Dead, Discard

CHUNK_BYTES = 1 << 20
Action = Literal["copy", "gzip", "gunzip", "checksum"]
FileUrl = Annotated[str, Meta(min_length=1, max_length=2_048)]


class FileTask(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What to do with which file."""

    action: Action
    source: FileUrl
    """A path below the folder of files, or a URL such as `s3://bucket/key`."""
    target: FileUrl | None = None
    """Where the result goes; `checksum` has none."""
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None = None
    """What the source has to be, or the job is dead."""


class ProcessedFile(Struct, frozen=True):
    """What was read, and what was written."""

    source_bytes: int
    source_sha256: str
    target: str | None = None
    target_bytes: int | None = None


def process_file(task: FileTask, ctx: SyncContext[Shared]) -> ProcessedFile:
    """Copy, compress, decompress or check a file.

    Raises: Dead, when the job can never succeed; HandlerError, without fsspec; OSError otherwise.
    """
    if (task.target is None) != (task.action == "checksum"):
        raise Dead("`target` is where the result goes, and a checksum has none")
    places = shared(ctx).files
    source = places.find(task.source)
    target = None if task.target is None else places.find(task.target)
    digest = hashlib.sha256()
    try:
        with _reading(source) as file:
            if target is None:
                for chunk in _chunks(file, ctx):
                    digest.update(chunk)
                return _checked(task, ProcessedFile(file.tell(), digest.hexdigest()))
            return _write(task, file, target, ctx)
    except FileNotFoundError as error:
        raise Dead(f"there is no file {task.source}") from error
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise Dead(f"{task.source} is no whole gzip file") from error


def _write(task: FileTask, source: BinaryIO, target: FilePlace, ctx: SyncContext[Shared]) -> ProcessedFile:
    digest = hashlib.sha256()
    hashing = _Hashing(source, digest)
    with _draft(target) as (draft, keep):
        if task.action == "gunzip":
            with gzip.GzipFile(fileobj=cast("BinaryIO", hashing), mode="rb") as unpacked:
                for chunk in _chunks(cast("BinaryIO", unpacked), ctx):
                    draft.write(chunk)
        elif task.action == "gzip":
            # Without name and time: equal sources give equal files.
            with gzip.GzipFile(filename="", fileobj=draft, mode="wb", mtime=0) as packed:
                for chunk in _chunks(cast("BinaryIO", hashing), ctx):
                    packed.write(chunk)
        else:
            for chunk in _chunks(cast("BinaryIO", hashing), ctx):
                draft.write(chunk)
        written = draft.tell()
        read = _checked(task, ProcessedFile(hashing.bytes_read, digest.hexdigest(), task.target, written))
        keep()
    return read


def _checked(task: FileTask, read: ProcessedFile) -> ProcessedFile:
    if task.sha256 is not None and read.source_sha256 != task.sha256:
        raise Dead(f"{task.source} has the SHA-256 {read.source_sha256}, and not the one that was asked for")
    return read


class _Hashing:
    """A file that is read once, and hashed on the way."""

    def __init__(self, file: BinaryIO, digest: "hashlib._Hash") -> None:
        self._file = file
        self._digest = digest
        self.bytes_read = 0

    def read(self, size: int = -1) -> bytes:
        """Read some bytes."""
        chunk = self._file.read(size)
        self._digest.update(chunk)
        self.bytes_read += len(chunk)
        return chunk


def _chunks(file: BinaryIO, ctx: SyncContext[Shared]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        if ctx.cancelled:
            raise Discard("cancelled")
        yield chunk


def _reading(place: FilePlace) -> contextlib.AbstractContextManager[BinaryIO]:
    return cast("contextlib.AbstractContextManager[BinaryIO]", place.filesystem.open(place.path, "rb"))


@contextlib.contextmanager
def _draft(place: FilePlace) -> Iterator[tuple[BinaryIO, Callable[[], None]]]:
    """Yield a file to write, and what keeps it: it is at its place as a whole, or not at all."""
    if not place.is_local:
        # Closing alone would keep what was written up to an error.
        file = place.filesystem.open(place.path, "wb", autocommit=False)
        try:
            yield file, lambda: None
        except BaseException:
            file.discard()
            raise
        file.close()
        file.commit()
        return
    home = Path(place.path).parent
    home.mkdir(parents=True, exist_ok=True)
    draft = home / f".{secrets.token_hex(8)}.part"
    try:
        with draft.open("xb") as file:
            yield file, lambda: _sync(file)
        draft.replace(place.path)
    finally:
        draft.unlink(missing_ok=True)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
