"""Patterns of job types, such as `email.*`, to which a credential may be narrowed."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated

from msgspec import Meta

TypePattern = Annotated[str, Meta(pattern=r"^[a-z0-9*][a-z0-9.*-]{0,63}$")]
"""A job type in which `*` stands for any letters. Other wildcards are not known."""


def is_among(job_type: str, patterns: Sequence[str]) -> bool:
    """Return whether a job type is one of those that patterns name."""
    return any(fnmatchcase(job_type, pattern) for pattern in patterns)
