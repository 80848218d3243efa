"""Keeps what changes slowly and costs much to read, so that pages which are read anew every two seconds ask seldom."""

import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from msgspec import Struct

from millstream import Client

T = TypeVar("T")

MOST_KEPT = 500


class _Kept(Struct):
    value: Any
    read_at: float


class _Shelf:
    """What was read by one client, by key; the oldest goes first."""

    def __init__(self) -> None:
        self.kept: dict[Hashable, _Kept] = {}
        self.remembered: set[Hashable] = set()


_shelves: "WeakKeyDictionary[Client, _Shelf]" = WeakKeyDictionary()


def last_kept(client: Client, key: Hashable, for_s: float) -> Any:
    """Return what was read for a key at most `for_s` seconds ago; None where nothing was."""
    shelf = _shelves.get(client)
    one = shelf.kept.get(key) if shelf else None
    return None if one is None or time.monotonic() - one.read_at >= for_s else one.value


async def kept(client: Client, key: Hashable, for_s: float, read: Callable[[], Awaitable[T]]) -> T:
    """Return what `read` answered at most `for_s` seconds ago; ask it where there is no such answer.

    Raises: what `read` raises, which is not kept.
    """
    shelf = _shelves.setdefault(client, _Shelf())
    found = shelf.kept.get(key)
    if found is None or time.monotonic() - found.read_at >= for_s:
        found = _Kept(await read(), time.monotonic())
        shelf.kept.pop(key, None)
        shelf.kept[key] = found
        while len(shelf.kept) > MOST_KEPT:
            del shelf.kept[next(iter(shelf.kept))]
    value: T = found.value
    return value


def remember(client: Client, fact: Hashable) -> None:
    """Keep that something is so, as long as the client is there."""
    _shelves.setdefault(client, _Shelf()).remembered.add(fact)


def is_remembered(client: Client, fact: Hashable) -> bool:
    """Return whether something is known to be so."""
    shelf = _shelves.get(client)
    return shelf is not None and fact in shelf.remembered
