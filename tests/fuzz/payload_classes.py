"""Classes that a payload may be, for the types that tests draw."""

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
    """Members by text."""

    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    """Members by number."""

    LOW = 1
    HIGH = 7


class Lenient(enum.Enum):
    """An enumeration with a way of its own to find members."""

    ONE = "one"

    @classmethod
    def _missing_(cls, value: object) -> "Lenient":
        return cls.ONE


class Rights(enum.Flag):
    """Members that combine."""

    READ = 1
    WRITE = 4


class Loose(enum.IntFlag):
    """Flags that keep unknown bits."""

    A = 1
    B = 2
