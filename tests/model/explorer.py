"""Explores every order in which the steps of a model may happen, and checks what must never and what must always be.

Safety: a step raises Broken when it does what must never happen. Liveness: from each state that can be reached a good
end can still be reached, or a job is lost for ever.
"""

from collections import deque
from collections.abc import Hashable, Iterator
from typing import Protocol

from msgspec import Struct

MAX_STATES = 2_000_000


class Broken(Exception):  # noqa: N818 - it is what the model found, and no error of the program
    """A step has done what must never happen."""


class Model(Protocol):
    """What is explored. States are compared and hashed."""

    def start(self) -> Hashable:
        """Return the first state."""
        ...

    def steps(self, state: Hashable) -> Iterator[tuple[str, Hashable]]:
        """Yield each step that may happen, in words, and the state after it. Raises: Broken."""
        ...

    def is_good(self, state: Hashable) -> bool:
        """Return whether everything may stay as it is here."""
        ...


class Finding(Struct, frozen=True):
    """What an exploration has found."""

    states: int
    complaint: str = ""
    """What is wrong; empty when nothing is."""
    trace: list[str] = []
    """The steps that lead there."""


def explore(model: Model) -> Finding:
    """Explore all states of a model."""
    first = model.start()
    came_from: dict[Hashable, tuple[Hashable, str] | None] = {first: None}
    before: dict[Hashable, list[Hashable]] = {}
    queue, good = deque([first]), list[Hashable]()
    while queue:
        state = queue.popleft()
        if model.is_good(state):
            good.append(state)
        try:
            for label, after in model.steps(state):
                if after == state:
                    continue
                before.setdefault(after, []).append(state)
                if after not in came_from:
                    came_from[after] = state, label
                    queue.append(after)
        except Broken as error:
            return Finding(len(came_from), str(error), _trace(came_from, state))
        assert len(came_from) <= MAX_STATES, "too many states"
    lost = _lost(came_from, before, good)
    if lost is not None:
        return Finding(len(came_from), f"no good end can be reached from {lost}", _trace(came_from, lost))
    return Finding(len(came_from))


def _lost(
    found: dict[Hashable, tuple[Hashable, str] | None], before: dict[Hashable, list[Hashable]], good: list[Hashable]
) -> Hashable | None:
    """Return a state from which no good end can be reached."""
    alive, todo = set(good), list(good)
    while todo:
        for state in before.get(todo.pop(), ()):
            if state not in alive:
                alive.add(state)
                todo.append(state)
    return next((state for state in found if state not in alive), None)


def _trace(came_from: dict[Hashable, tuple[Hashable, str] | None], state: Hashable) -> list[str]:
    steps = []
    while (step := came_from[state]) is not None:
        state, label = step
        steps.append(label)
    return steps[::-1]
