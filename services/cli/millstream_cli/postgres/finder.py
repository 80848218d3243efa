"""Finds the PostgreSQL programs of this machine: on PATH, else the newest where Linux distributions install them."""

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from millstream_cli.errors import NoPostgresError

MIN_MAJOR = 13

# Debian and Red Hat keep the server off PATH, because several majors may be installed.
_PLACES = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin")
_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)[\w.]*)")


class PostgresPrograms(Struct, frozen=True):
    """The PostgreSQL programs of one version."""

    folder: Path
    version: str
    """As the program says it, e.g. `15.18`."""
    major: int


def find_postgres(candidates: Iterable[Path] | None = None) -> PostgresPrograms:
    """Return the first usable candidate, a folder with `postgres` and `initdb`; by default those that are installed.

    Raises: NoPostgresError, naming those that were found and cannot be used.
    """
    skipped: list[str] = []
    for folder in installed() if candidates is None else candidates:
        found = _look_at(folder)
        if found is None:
            skipped.append(f"{folder} has no `postgres` with `initdb` beside it that runs")
        elif found.major < MIN_MAJOR:
            skipped.append(f"{folder} has {found.version}, and {MIN_MAJOR} is the oldest that will do")
        else:
            return found
    raise NoPostgresError("no PostgreSQL found: install it with the system's package manager", skipped)


def installed() -> Iterator[Path]:
    """Yield the folders of programs that are installed, the preferred one first."""
    if on_path := shutil.which("postgres"):
        yield Path(on_path).parent
    folders = [folder for place in _PLACES for folder in Path("/").glob(place)]
    yield from sorted(folders, key=_major_in_name, reverse=True)


def _major_in_name(folder: Path) -> int:
    digits = re.findall(r"\d+", folder.parent.name)
    return int(digits[0]) if digits else 0


def _look_at(folder: Path) -> PostgresPrograms | None:
    if not (folder / "initdb").exists():
        return None
    try:
        answer = subprocess.run(  # noqa: S603
            [folder / "postgres", "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(answer.stdout)
    return PostgresPrograms(folder, match[1], int(match[2])) if match else None
