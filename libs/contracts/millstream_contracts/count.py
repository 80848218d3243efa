"""How many jobs a search finds."""

from typing import Literal

from msgspec import Struct

CountRelation = Literal["exact", "~", "at_least"]
"""How a count relates to what there is: the same, about the same, or a lower bound of it."""


class JobCount(Struct, frozen=True):
    """How many jobs a search finds."""

    value: int
    relation: CountRelation
