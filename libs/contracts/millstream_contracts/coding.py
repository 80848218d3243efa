"""How what a job carries is to be stored."""

from typing import NamedTuple


class Coding(NamedTuple):
    """How the blobs of a job are stored. A NamedTuple: one goes with each job."""

    compress: bool = True
    """Whether large ones may be compressed."""
    encrypt: bool = False
    """Whether all are encrypted."""


PLAIN = Coding(compress=False)
"""Stored as they are."""
