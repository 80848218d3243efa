"""Deals the limits of a type out to its partitions, whose scripts see their own queue alone (ADR 106).

The parts never add up to more than the limit: a part is made smaller first, in the step that also says how many jobs
its partition has, and only what is then free is added to another. Any number of dealers may be at it: each has a turn,
and a partition that has seen a turn takes nothing from an earlier one. What a dealer that died has not given away, the
next one gives.
"""

from collections.abc import Container, Iterable, Sequence
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from millstream_contracts import Queue
from millstream_streams.store.queue_scripts import QueueScripts


class Part(Struct, frozen=True):
    """What one partition has of the limits of its type."""

    code: int
    whole: str
    """The limits of the type as scripts/deal.lua writes them; empty where none is split."""
    slots: int
    """Jobs at once."""
    starts: int
    """Starts at once, and as large a part of the rate."""
    jobs: int
    """Jobs that run, or that a worker is about to be given."""
    parked: int

    @classmethod
    def of(cls, reply: Sequence[int | bytes]) -> Self:
        """Return what the script has returned."""
        code, whole, *numbers = reply
        text = whole.decode() if isinstance(whole, bytes) else str(whole)
        return cls(int(code), text, *map(int, numbers))

    @property
    def held(self) -> int:
        """The slots that nothing else may have: those of its part, and those that its jobs hold beyond it."""
        return max(self.slots, self.jobs)


class BudgetDealer:
    """Deals limits out. It may raise StoreUnavailableError and StoreError; then the next deal goes on."""

    def __init__(self, scripts: QueueScripts) -> None:
        self._scripts = scripts

    async def deal(self, queues: Iterable[Queue]) -> bool:
        """Deal the limits of a type out to these partitions, by what waits there; return whether any is split.

        Partitions that had parts before keep none, once they hold no jobs.
        """
        own = {queue.partition: queue for queue in queues}
        first = replace(next(iter(own.values())), partition=0)
        turn, numbers = await self._scripts.run("begin_deal", first, [",".join(map(str, own))])
        deal = _Deal(self._scripts, int(turn))
        for number in numbers:
            await deal.look(replace(first, partition=int(number)))
        await deal.lower(first, own.keys())
        await deal.give()
        return any(part.whole for part in deal.parts.values())


class _Deal:
    """One deal. A part counts with what it has until its partition has said that it has less."""

    def __init__(self, scripts: QueueScripts, turn: int) -> None:
        self._scripts = scripts
        self._turn = turn
        self._limit = 0, 0
        self._goals: dict[Queue, tuple[int, int]] = {}
        self.parts: dict[Queue, Part] = {}

    @property
    def is_over(self) -> bool:
        """Whether a later deal has been at one of the partitions, or its limits have changed."""
        return any(part.code <= 0 for part in self.parts.values())

    async def look(self, queue: Queue) -> None:
        """See what a partition has. From now on no earlier deal changes it."""
        await self._ask(queue, "", "", "")

    async def lower(self, first: Queue, kept: Container[int]) -> None:
        """Decide which parts of the limits of the first partition all are to have, and make those smaller that are."""
        whole = self.parts[first].whole
        if whole:
            self._limit = _numbers(whole)
            self._goals = self._decided(whole, kept)
        for queue, part in list(self.parts.items()):
            # Limits of before, of a partition that is none any more, are no part of these.
            is_left = part.whole not in {"", whole} and not (part.jobs or part.parked)
            slots, starts = (0, 0) if is_left else self._goals.get(queue, (part.slots, part.starts))
            await self._set(queue, min(part.slots, slots), min(part.starts, starts))

    async def give(self) -> None:
        """Make those parts larger that are to be, by what no other has."""
        for queue, (slots, starts) in self._goals.items():
            part, others = self.parts[queue], [one for at, one in self.parts.items() if at != queue]
            if self.is_over:
                return
            free_slots = self._limit[0] - sum(one.held for one in others)
            free_starts = self._limit[1] - sum(one.starts for one in others)
            await self._set(queue, max(part.slots, min(slots, free_slots)), max(part.starts, min(starts, free_starts)))

    def _decided(self, whole: str, kept: Container[int]) -> dict[Queue, tuple[int, int]]:
        queues = [queue for queue, part in self.parts.items() if part.whole == whole]
        # Where there are more partitions than parts, another one is the first each time.
        at = self._turn % len(queues)
        parts = {queue: self.parts[queue] for queue in queues[at:] + queues[:at]}
        stay = [queue.partition in kept or part.jobs + part.parked > 0 for queue, part in parts.items()]
        slots = shares(self._limit[0], [part.jobs + part.parked for part in parts.values()], stay)
        starts = shares(self._limit[1], [self._limit[1] if part.parked else 0 for part in parts.values()], stay)
        return dict(zip(parts, zip(slots, starts, strict=True), strict=True))

    async def _set(self, queue: Queue, slots: int, starts: int) -> None:
        part = self.parts[queue]
        if not self.is_over and (slots, starts) != (part.slots, part.starts):
            await self._ask(queue, part.whole, slots, starts)

    async def _ask(self, queue: Queue, whole: str, slots: int | str, starts: int | str) -> None:
        self.parts[queue] = Part.of(await self._scripts.run("deal", queue, [self._turn, whole, slots, starts]))


def _numbers(whole: str) -> tuple[int, int]:
    slots, _, starts = whole.split()
    return int(slots), int(starts)


def shares(total: int, wanted: Sequence[int], kept: Sequence[bool]) -> list[int]:
    """Return parts of a number that add up to it: what is wanted, and the rest evenly for those that are kept.

    What is wanted beyond the number is shared as evenly as it can be.
    """
    found = [0] * len(wanted)
    for goals in (wanted, [total] * len(wanted)):
        total = _fill(found, [goal if keep else 0 for goal, keep in zip(goals, kept, strict=True)], total)
    return found


def _fill(found: list[int], goals: Sequence[int], left: int) -> int:
    """Raise all evenly that are below their goals, by what is left; return what is left then."""
    while left > 0 and (below := [at for at, goal in enumerate(goals) if found[at] < goal]):
        step = max(1, left // len(below))
        for at in below:
            more = min(goals[at] - found[at], step, left)
            found[at] += more
            left -= more
    return left
