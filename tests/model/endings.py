"""A model of how the history learns of workflows. Each method that is named like a script is that script.

A workflow ends, is run again and ends again. Dispatchers take it, read it, store it and confirm what they have read,
one step at a time; they may die before any of them, and sleep until their lease is over.
"""

from collections.abc import Iterator
from typing import NamedTuple

from model.explorer import Broken


class Under(NamedTuple):
    """What a dispatcher has of the workflow."""

    turn: int = 0
    """Of what was read; 0 until then."""
    is_stored: bool = False


class World(NamedTuple):
    """All there is."""

    turn: int = 1
    has_ended: bool = False
    in_ended: bool = False
    """Whether it stands in `ended`."""
    is_leased: bool = False
    is_over: bool = False
    """Whether its retention is over."""
    is_forgotten: bool = False
    past: int = 0
    """The turn that the history has."""
    reruns: int = 0
    dispatchers: tuple[Under | None, ...] = ()


class Endings:
    """One workflow. `bug` is a mistake that is planted."""

    def __init__(self, *, reruns: int = 1, dispatchers: int = 2, bug: str = "") -> None:
        self.reruns, self.dispatchers, self.bug = reruns, dispatchers, bug

    def start(self) -> World:
        """Return a workflow that runs."""
        return World(reruns=self.reruns, dispatchers=(None,) * self.dispatchers)

    def steps(self, world: World) -> Iterator[tuple[str, World]]:
        """Yield each step that may happen, in words, and what is then."""
        if not world.is_forgotten:
            yield from self._of_workflow(world)
        for number, under in enumerate(world.dispatchers):
            for label, after, left in self._of_dispatcher(world, under, number):
                others = (*after.dispatchers[:number], left, *after.dispatchers[number + 1 :])
                ordered = sorted(others, key=lambda one: (one is None, repr(one)))
                yield f"dispatcher {number}: {label}", after._replace(dispatchers=tuple(ordered))

    def is_good(self, world: World) -> bool:
        """Return whether everything may stay as it is here: the history has the last end."""
        return world.has_ended and world.past == world.turn and not world.in_ended and not any(world.dispatchers)

    def take_ended(self, world: World) -> World:
        """Lease the workflow."""
        return world._replace(is_leased=True)

    def confirm(self, world: World, under: Under) -> World:
        """Take it out of `ended` when it is as it was read, or does not stand still any more."""
        if world.is_forgotten or under.turn == world.turn or not world.has_ended or self.bug == "turn":
            return world._replace(in_ended=False, is_leased=False)
        return world

    def store(self, world: World, under: Under) -> World:
        """Store what was read, unless the history has something newer."""
        newer = under.turn if self.bug == "older" else max(world.past, under.turn)
        return world._replace(past=newer)

    def forget(self, world: World) -> World:
        """Forget a workflow whose retention is over, and that the history has."""
        if world.past != world.turn:
            raise Broken("a workflow is forgotten that the history does not have")
        return world._replace(is_forgotten=True, in_ended=False)

    def _of_workflow(self, world: World) -> Iterator[tuple[str, World]]:
        if not world.has_ended:
            yield (
                "it ends",
                world._replace(has_ended=True, turn=world.turn + 1, in_ended=self.bug != "untold", is_leased=False),
            )
            return
        if world.reruns:
            yield (
                "it is run again",
                world._replace(has_ended=False, turn=world.turn + 1, is_over=False, reruns=world.reruns - 1),
            )
        if not world.is_over:
            yield "its time is over", world._replace(is_over=True)
        elif not world.in_ended or self.bug == "forget":
            yield "it is forgotten", self.forget(world)
        if world.is_leased:
            yield "the lease ends", world._replace(is_leased=False)

    def _of_dispatcher(
        self, world: World, under: Under | None, number: int
    ) -> Iterator[tuple[str, World, Under | None]]:
        if under is None:
            # Idle dispatchers are alike: the first one of them goes.
            is_first = not number or world.dispatchers[number - 1] is not None
            if world.in_ended and not world.is_leased and is_first:
                yield "take it", self.take_ended(world), Under()
            return
        yield "dies", world, None
        if not under.turn:
            if world.is_forgotten:
                yield "finds nothing", world, None
            elif world.has_ended:
                yield "read it", world, Under(world.turn)
            else:
                yield "it runs again", self.confirm(world, Under(world.turn)), None
        elif not under.is_stored:
            yield "store it", self.store(world, under), under._replace(is_stored=True)
        else:
            yield "confirm it", self.confirm(world, under), None
