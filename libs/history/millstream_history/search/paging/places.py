"""Places in the order of jobs, and what was found from one on."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class Way(StrEnum):
    """How a page is found. Cursors have these words."""

    PLAIN = "plain"
    """By keys alone: each combination of their values is read from an index in the order of time."""
    WALK = "walk"
    """The newest rows of a day are looked at, some thousands at a time: good where many fit."""
    INDEX = "index"
    """All rows that an index without order finds in a window of days are sorted: good where few fit."""
    SCAN = "scan"
    """A walk over rows of any key, for what the other ways could not do in time. It always gets on."""


class Place(Struct, frozen=True):
    """A place in the order of jobs: what follows is older, or of this moment with a smaller id."""

    at: datetime
    id: str = ""


class FoundId(Struct, frozen=True):
    """A job that was found."""

    created_at: datetime
    id: str


class Found(Struct, frozen=True):
    """What one page has."""

    ids: list[FoundId]
    next: Place | None
    """Where the next page begins; None at the end."""
    way: Way
    is_complete: bool
    """Whether it holds all that it can hold, and did not run out of time."""
