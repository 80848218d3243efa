"""Classes of payloads for the types that tests draw."""

import dataclasses
import datetime as dt
import enum
from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Box(Struct, Generic[T]):
    """A generic Struct."""

    content: T
    label: str = ""


@dataclasses.dataclass
class Crate(Generic[T]):
    """A generic dataclass."""

    content: T


class Node(Struct):
    """A type that contains itself."""

    number: int
    moment: dt.datetime | None = None
    left: "Node | None" = None
    others: list["Node"] = []


class Colour(enum.Enum):
    """An enumeration by text."""

    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    """An enumeration by number."""

    LOW = 1
    HIGH = 7


class Lenient(enum.Enum):
    """An enumeration with a `_missing_` of its own."""

    ONE = "one"

    @classmethod
    def _missing_(cls, value: object) -> "Lenient":
        return cls.ONE


class Rights(enum.Flag):
    """A flag enumeration."""

    READ = 1
    WRITE = 4


class Loose(enum.IntFlag):
    """A flag enumeration that keeps unknown bits."""

    A = 1
    B = 2
