"""Keeps two embedded servers off one data folder: both would write to the same files."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from millstream_cli.errors import FolderInUseError

LOCK_NAME = "redis.lock"
"""The lock of a Redis; another server's has its name."""

_WAIT_S = 2.0


@contextmanager
def lock_folder(folder: Path, look_up: Callable[[], None] = lambda: None, *, server: str = "Redis") -> Iterator[int]:
    """Lock the folder while the block lasts. Yields: the descriptor of the lock, which the server inherits.

    `look_up` is called again and again while the lock is waited for, and gives up by raising.
    The lock lasts while any process has the descriptor. So the server holds it until it has ended, even when the
    process that started it was killed before.

    Raises: FolderInUseError, naming the process that holds it.
    """
    descriptor = os.open(folder / f"{server.lower()}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, folder, look_up, server)
        yield descriptor
    finally:
        os.close(descriptor)


def write_holder(descriptor: int, pid: int) -> None:
    """Record the holder of the lock, for the error message of other processes."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(pid).encode(), 0)


def _lock(descriptor: int, folder: Path, look_up: Callable[[], None], server: str) -> None:
    # A server whose parent was killed takes a moment to end, and its successor may start within that moment.
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise FolderInUseError(folder, _holder(descriptor), server) from None
            look_up()
            time.sleep(0.05)
        else:
            return


def _holder(descriptor: int) -> int | None:
    written = os.pread(descriptor, 32, 0)
    return int(written) if written.isdigit() else None
