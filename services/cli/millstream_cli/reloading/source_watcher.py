"""Watches the source of apps: the folder of the command, and the packages of the apps where they are elsewhere."""

from collections.abc import AsyncIterator, Sequence
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path

from msgspec import Struct

_IGNORED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages", "venv"})
"""Besides hidden ones, such as .git and .venv."""
_WAIT_MS = 250


class SourceWatcher(Struct, frozen=True):
    """What is watched, and which files in it count."""

    folders: tuple[Path, ...]
    patterns: tuple[str, ...]
    """Shell patterns of file names. Names that begin with a dot are matched by those alone that begin with one."""

    async def changes(self) -> AsyncIterator[list[Path]]:
        """Yield the source files that changed, again and again.

        A yield has all changes since the one before, those included that came while nothing was waiting for them.
        """
        from watchfiles import awatch  # noqa: PLC0415 - the extra `reload`

        async for found in awatch(
            *self.folders,
            watch_filter=lambda _, path: self.is_source(Path(path)),
            # The thread that waits for changes hears of a cancellation only in between.
            rust_timeout=_WAIT_MS,
            ignore_permission_denied=True,
        ):
            yield sorted({Path(path) for _, path in found})

    def is_source(self, path: Path) -> bool:
        """Return whether a changed file is source: no cache, no dependency, and no temporary file of an editor."""
        folder = next((folder for folder in self.folders if path.is_relative_to(folder)), path.parent)
        *parents, name = path.relative_to(folder).parts or ("",)
        if any(parent.startswith(".") or parent in _IGNORED_FOLDERS for parent in parents):
            return False
        if name.endswith("~") or name.startswith("flycheck_"):
            return False
        # As in a shell: an asterisk stands for no dot at the begin of a name.
        return any(
            fnmatchcase(name, pattern) and (pattern.startswith(".") or not name.startswith("."))
            for pattern in self.patterns
        )


def watcher_of(apps: Sequence[str], patterns: Sequence[str], cwd: Path) -> SourceWatcher:
    """Return a watcher of the folder `cwd`, and of the packages of the apps, each `module:name`, that are not in it."""
    cwd = cwd.resolve()
    packages = {folder for app in apps for folder in _package_folders(app.partition(":")[0])}
    outside = sorted(folder for folder in packages if not folder.is_relative_to(cwd) and not _is_installed(folder))
    return SourceWatcher((cwd, *outside), tuple(patterns))


def _package_folders(module: str) -> list[Path]:
    """Return where the top package of a module is, and nothing where that cannot be found without importing it."""
    try:
        spec = find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(folder).resolve() for folder in spec.submodule_search_locations]
    return [Path(spec.origin).resolve().parent] if spec.origin and spec.has_location else []


def _is_installed(folder: Path) -> bool:
    return bool({"site-packages", "dist-packages"}.intersection(folder.parts))
