"""Reads the name of a project, and refuses names under which it could not run."""

import keyword
import re
from importlib.util import find_spec

from msgspec import Struct

from millstream_cli.errors import ProjectError

_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_MAX_CHARS = 40
_OF_THE_PROJECT = frozenset({"tests"})
"""Folders that stand beside the package."""


class ProjectName(Struct, frozen=True):
    """The name of a project, in the forms that it needs."""

    text: str

    @property
    def package(self) -> str:
        """Return the name of its package."""
        return self.text.replace("-", "_")

    @property
    def type_prefix(self) -> str:
        """Return what its job types begin with, which have no underscore."""
        return self.text.replace("_", "-")


def read_project_name(text: str) -> ProjectName:
    """Return a name that is free. Raises: ProjectError, which says what is wrong with it."""
    if len(text) > _MAX_CHARS or not _NAME.fullmatch(text):
        raise ProjectError(
            f"`{text}` is no name of a project: use lower-case letters, digits and single dashes, such as `my-shop`, "
            f"and at most {_MAX_CHARS} characters"
        )
    name = ProjectName(text)
    if keyword.iskeyword(name.package):
        raise ProjectError(f"`{text}` is a word of Python: choose another name")
    if name.package in _OF_THE_PROJECT or _is_installed(name.package):
        raise ProjectError(f"`{name.package}` is the name of another package, which would be imported instead")
    return name


def _is_installed(package: str) -> bool:
    spec = find_spec(package)
    # Without an origin it is a mere folder on the path, such as the one to be filled.
    return spec is not None and spec.origin is not None
