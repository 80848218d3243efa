"""A model of one schedule: its occasions, dispatchers that may sleep and die, edits, and the jobs that are started.

Leases are left out: any dispatcher may take anything at any time, for a lease saves work and protects nothing.
"""

from collections.abc import Iterator
from typing import Literal

from model.explorer import Broken
from msgspec import Struct
from msgspec.structs import replace

Mistake = Literal["", "turn", "key", "outbox"]

NOT_THERE, UNDER_WAY, ENDED, FORGOTTEN = "-", "Q", "S", "F"


class Look(Struct, frozen=True):
    """What a dispatcher has read of the schedule, and later of its last job."""

    turn: int
    next: int
    waiting: int | None
    last: int | None
    is_unstored: bool
    is_under_way: bool | None = None
    """None until the state of the last job was read."""


class Start(Struct, frozen=True):
    """A job that a dispatcher has taken from the outbox."""

    occasion: int
    is_sent: bool = False


class State(Struct, frozen=True):
    """Everything that there is."""

    jobs: tuple[str, ...]
    dispatchers: tuple[Look | Start | None, ...]
    edits: int
    now: int = 0
    next: int = 0
    turn: int = 0
    waiting: int | None = None
    last: int | None = None
    outbox: frozenset[int] = frozenset()
    keys: frozenset[int] = frozenset()
    skipped: frozenset[int] = frozenset()


class Occasions(Struct, frozen=True):
    """A schedule with so many occasions."""

    count: int
    overlap: Literal["allow", "skip", "queue"] = "allow"
    dispatchers: int = 2
    edits: int = 0
    mistake: Mistake = ""

    def start(self) -> State:
        """Return the state before the first occasion."""
        return State((NOT_THERE,) * self.count, (None,) * self.dispatchers, self.edits)

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        """Yield all that may happen next."""
        if state.now < self.count:
            yield "time passes", replace(state, now=state.now + 1)
        if state.edits:
            yield "an edit", replace(state, edits=state.edits - 1, turn=state.turn + 1)
        for occasion, job in enumerate(state.jobs):
            if job == UNDER_WAY:
                yield f"job {occasion} ends", _with_job(state, occasion, ENDED)
            if job == ENDED:
                yield f"job {occasion} is forgotten", _with_job(state, occasion, FORGOTTEN)
        for at, held in enumerate(state.dispatchers):
            if held is None:
                yield from self._begins(state, at)
            else:
                yield f"dispatcher {at} dies", _with(state, at, None)
                yield from self._looks(state, at, held) if isinstance(held, Look) else self._starts(state, at, held)

    def is_good(self, state: State) -> bool:
        """Return whether each occasion has run once or was skipped, and nothing waits."""
        is_at_rest = state.now == state.next == self.count and not any(state.dispatchers) and not state.outbox
        ran = {occasion for occasion, job in enumerate(state.jobs) if job in {ENDED, FORGOTTEN}}
        return is_at_rest and state.waiting is None and ran | state.skipped == set(range(self.count))

    def _begins(self, state: State, at: int) -> Iterator[tuple[str, State]]:
        if state.next < state.now or state.waiting is not None:
            is_unstored = state.last in state.outbox and self.mistake != "outbox"
            look = Look(state.turn, state.next, state.waiting, state.last, is_unstored)
            yield f"dispatcher {at} looks", _with(state, at, look)
        for occasion in state.outbox:
            yield f"dispatcher {at} takes {occasion}", _with(state, at, Start(occasion))

    def _looks(self, state: State, at: int, held: Look) -> Iterator[tuple[str, State]]:
        if held.is_under_way is None:
            is_on = held.is_unstored or (held.last is not None and state.jobs[held.last] == UNDER_WAY)
            yield f"dispatcher {at} reads the last job", _with(state, at, replace(held, is_under_way=is_on))
        else:
            yield f"dispatcher {at} decides", _with(self._decided(state, held), at, None)

    def _starts(self, state: State, at: int, held: Start) -> Iterator[tuple[str, State]]:
        occasion = held.occasion
        if held.is_sent:
            done = replace(state, outbox=state.outbox - {occasion})
            yield f"dispatcher {at} confirms {occasion}", _with(done, at, None)
        else:
            stored = self._stored(state, occasion)
            yield f"dispatcher {at} stores {occasion}", _with(stored, at, Start(occasion, is_sent=True))
            yield f"dispatcher {at} stores {occasion}, answer lost", _with(stored, at, held)

    def _decided(self, state: State, look: Look) -> State:
        """Return the state after the script `change`."""
        if state.turn != look.turn and self.mistake != "turn":
            return state
        is_due = look.next < state.now
        starts, waiting, skipped, is_on = None, look.waiting, set(state.skipped), look.is_under_way
        if waiting is not None and not is_on:
            starts, waiting, is_on = waiting, None, True
        if is_due and (self.overlap == "allow" or not is_on):
            starts = look.next
        elif is_due and self.overlap == "skip":
            skipped.add(look.next)
        elif is_due:
            skipped |= set() if waiting is None else {waiting}
            waiting = look.next
        if starts is None and not is_due:
            return state
        if starts in state.outbox | state.keys | state.skipped:
            raise Broken(f"occasion {starts} is decided on twice")
        return replace(
            state,
            turn=state.turn + 1,
            next=look.next + is_due,
            waiting=waiting,
            skipped=frozenset(skipped),
            last=state.last if starts is None else starts,
            outbox=state.outbox if starts is None else state.outbox | {starts},
        )

    def _stored(self, state: State, occasion: int) -> State:
        """Return the state after `enqueue`, which knows the id while the job is there, and its key for a day."""
        job = state.jobs[occasion]
        if job in {UNDER_WAY, ENDED} or (occasion in state.keys and self.mistake != "key"):
            return state
        if job == FORGOTTEN:
            raise Broken(f"occasion {occasion} has a second job")
        if self.overlap != "allow" and UNDER_WAY in state.jobs:
            raise Broken(f"occasion {occasion} runs beside another")
        return replace(_with_job(state, occasion, UNDER_WAY), keys=state.keys | {occasion})


def _with(state: State, at: int, held: Look | Start | None) -> State:
    dispatchers = (*state.dispatchers[:at], held, *state.dispatchers[at + 1 :])
    return replace(state, dispatchers=dispatchers)


def _with_job(state: State, occasion: int, job: str) -> State:
    return replace(state, jobs=(*state.jobs[:occasion], job, *state.jobs[occasion + 1 :]))
