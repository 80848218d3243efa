"""Finds files by URL: below one folder of this machine, or in an object store that the settings allow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from millstream.errors import HandlerError
from millstream.steering import Dead


class FilePlace:
    """A file that may be read or written."""

    def __init__(self, filesystem: Any, path: str, *, is_local: bool) -> None:
        self.filesystem = filesystem
        self.path = path
        self.is_local = is_local


class FilePlaces:
    """What files jobs may name."""

    def __init__(self, root: str, protocols: Sequence[str] = ()) -> None:
        """`root` is the folder of local files, `protocols` are those of object stores, such as `s3`."""
        self._root = Path(root)
        self._protocols = frozenset(protocols)

    def find(self, url: str) -> FilePlace:
        """Return the place of a URL. Raises: Dead, for one that no job may name; HandlerError, without fsspec."""
        fsspec = _fsspec()
        protocol, divider, rest = url.partition("://")
        if not divider or protocol == "file":
            return FilePlace(fsspec.filesystem("file"), str(self._local(rest if divider else url)), is_local=True)
        # A chain such as `zip::s3` is no protocol of the settings. Behind the protocol all is one path.
        if protocol not in self._protocols:
            allowed = ", ".join(sorted({"file", *self._protocols}))
            raise Dead(f"files of `{protocol}` are not allowed here: MILLSTREAM_FILES_PROTOCOLS allows {allowed}")
        try:
            return FilePlace(fsspec.filesystem(protocol), rest, is_local=False)
        except (ImportError, ValueError) as error:
            raise HandlerError(f"files of `{protocol}` need a package that is missing: {error}") from error

    def _local(self, path: str) -> Path:
        """Return a path below the root, links resolved. Raises: Dead, for one that leads out of it."""
        if "\0" in path:
            raise Dead("a path has no NUL")
        root = self._root.resolve()
        # Of an absolute path the root is where it begins, as in a container.
        found = (root / path.lstrip("/")).resolve()
        if found == root or not found.is_relative_to(root):
            raise Dead(f"`{path}` leads out of the folder of files")
        return found


def _fsspec() -> Any:
    try:
        import fsspec  # noqa: PLC0415 - an extra of its own
    except ModuleNotFoundError:
        raise HandlerError("this handler needs fsspec: pip install 'millstream[files]'") from None
    return fsspec
