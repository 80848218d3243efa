"""Makes the peers' environments, one each, in a folder outside of git, and once for each set of pins."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
from catalog import System

_INSTALL_S = 900
_ASK_S = 20
_STAMP = ".installed"
_WHY_CHARS = 600


class NotInstallableError(Exception):
    """A system cannot be installed on this machine; the message says why."""


def install(system: System, folder: Path) -> Path:
    """Return the environment of a system, which is made if none has exactly these versions.

    Raises: NotInstallableError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    home = folder / system.environment
    wanted = json.dumps(system.requires)
    if (home / _STAMP).exists() and (home / _STAMP).read_text() == wanted:
        return home
    shutil.rmtree(home, ignore_errors=True)
    try:
        (_install_node if system.node else _install_python)(system, home)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotInstallableError(f"{system.name} cannot be installed: {_why(error)}") from error
    (home / _STAMP).write_text(wanted)
    return home


def _install_python(system: System, home: Path) -> None:
    _run(str(_python(system.min_python)), "-m", "venv", str(home))
    _run(str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *system.requires)


def _install_node(system: System, home: Path) -> None:
    home.mkdir(parents=True)
    pins = dict(requirement.rsplit("@", 1) for requirement in system.requires)
    package = {"name": "peer", "private": True, "dependencies": pins}
    (home / "package.json").write_bytes(msgspec.json.format(msgspec.json.encode(package)))
    _run("npm", "install", "--loglevel=error", "--no-audit", "--no-fund", "--prefix", str(home))


def _python(version: tuple[int, int]) -> Path:
    """Return a Python of at least this version, as near to this project's as there is."""
    for candidate in _pythons(version):
        if _works(candidate, version):
            return candidate
    raise FileNotFoundError(f"it needs Python {version[0]}.{version[1]}, and there is none")


def _pythons(version: tuple[int, int]) -> Iterator[Path]:
    names = [f"python{version[0]}.{minor}" for minor in range(version[1], version[1] + 5)]
    for name in (*names, "python3"):
        if found := shutil.which(name):
            yield Path(found)
    # pyenv's shims on the PATH answer only for versions that were chosen.
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for name in names:
        yield from sorted(root.glob(f"versions/*/bin/{name}"))


def _works(python: Path, version: tuple[int, int]) -> bool:
    question = f"import sys, ensurepip, venv; sys.exit(sys.version_info < {version})"
    try:
        subprocess.run([python, "-c", question], capture_output=True, timeout=_ASK_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_S)


def _why(error: Exception) -> str:
    said = getattr(error, "stderr", None)
    return said.strip()[-_WHY_CHARS:] if isinstance(said, str) and said.strip() else str(error)
