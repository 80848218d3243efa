"""Deals out what several queues share, whose scripts see their own queue alone.

The limits of a type are dealt out to its partitions (ADR 106), the quota of a tenant to its queues (ADR 130). The parts
never add up to more than the whole: a part is made smaller first, in the step that also says how many jobs its queue
has, and only what is then free is added to another. Any number of dealers may be at it: each has a turn, and a queue
that has seen a turn takes nothing from an earlier one. What a dealer that died has not given away, the next one gives.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Self

from msgspec import Struct
from msgspec.structs import replace

from millstream_contracts import Queue
from millstream_streams.store.queue_scripts import QueueScripts
from millstream_streams.store.rounds import for_each_queue


class Part(Struct, frozen=True):
    """What one queue has of what is dealt out."""

    code: int
    whole: str
    """The limits of the type as scripts/deal.lua writes them, or :data:`QUOTA`; empty where the queue has no part."""
    slots: int
    """Jobs at once."""
    starts: int
    """Starts at once, and as large a part of the rate."""
    jobs: int
    """Jobs that run, or that a worker is about to be given."""
    parked: int
    """Jobs that wait for a slot; of a quota those alone that could start with one."""
    since_ms: int = 0
    """Unix ms since when a part of a quota is nothing, or is not."""

    @classmethod
    def of(cls, reply: Sequence[int | bytes]) -> Self:
        """Return what scripts/deal.lua has returned."""
        code, whole, *numbers = reply
        text = whole.decode() if isinstance(whole, bytes) else str(whole)
        return cls(int(code), text, *map(int, numbers))

    @classmethod
    def of_quota(cls, reply: Sequence[int | bytes]) -> Self:
        """Return what scripts/deal_quota.lua has returned."""
        code, slots, since, jobs, parked = map(int, reply)
        return cls(code, QUOTA if slots >= 0 else "", max(0, slots), 0, jobs, parked, since)

    @property
    def held(self) -> int:
        """The slots that nothing else may have: those of its part, and those that its jobs hold beyond it."""
        return max(self.slots, self.jobs)


QUOTA = "quota"
NO_PART = "-"
"""What scripts/deal_quota.lua takes for a tenant without a quota."""


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
        turn, names, _ = await self._scripts.run("begin_deal", first, [",".join(map(str, own))])
        deal = _LimitsDeal(self._scripts, int(turn), first, set(own.values()))
        await deal.run(replace(first, partition=int(name)) for name in names)
        return any(part.whole for part in deal.parts.values())

    async def deal_quota(
        self, anchor: Queue, queues: Collection[Queue], *, unserved: Collection[Queue] = (), are_all: bool = False
    ) -> bool:
        """Deal the quota of a tenant out, which is noted at `anchor`; return False where a later deal has overtaken it.

        `unserved` are those of the queues that are to have a part of nothing. Where they `are_all`, a quota that was
        removed is taken from them. Queues that had parts before keep none, once they hold no jobs.
        """
        turn, names, noted = await self._scripts.run("begin_deal", anchor, [",".join(queue.tag for queue in queues)])
        every = list(_queues_of(names))
        if not noted:
            if not are_all:
                return True
            await for_each_queue(every, lambda queue: self._ask_quota(queue, int(turn), NO_PART))
            kept: list[Queue] = []
        else:
            deal = _QuotaDeal(self._scripts, int(turn), int(noted), set(queues) - set(unserved))
            await deal.run(every)
            if deal.is_over:
                return False
            kept = [queue for queue, part in deal.parts.items() if part.held > 0]
        if noted and len(kept) == len(every):
            return True
        ended = await self._scripts.run("end_deal", anchor, [int(turn), ",".join(queue.tag for queue in kept)])
        return bool(ended == 1)

    async def begin(self, queues: Iterable[Queue], turn: int) -> None:
        """Let queues have a part of nothing of a quota that had this turn, unless a later deal has been there."""
        await for_each_queue(queues, lambda queue: self._ask_quota(queue, turn, ""))

    async def _ask_quota(self, queue: Queue, turn: int, slots: str) -> None:
        await self._scripts.run("deal_quota", queue, [turn, slots])


class _Deal:
    """One deal. A part counts with what it has until its queue has said that it has less."""

    def __init__(self, scripts: QueueScripts, turn: int) -> None:
        self._scripts = scripts
        self._turn = turn
        self._goals: dict[Queue, tuple[int, int]] = {}
        self.parts: dict[Queue, Part] = {}
        self.is_over = False
        """Whether a later deal has been at one of the queues, or what is dealt out has changed."""

    async def run(self, queues: Iterable[Queue]) -> None:
        """See what all queues have, make those parts smaller that are to be, and then others larger."""
        # From now on no earlier deal changes them.
        await for_each_queue(queues, lambda queue: self._ask(queue, "", None))
        self.parts = dict(sorted(self.parts.items()))
        limit, self._goals = self._decided()
        await for_each_queue(list(self.parts), self._lower)
        await self._give(*limit)

    def _decided(self) -> tuple[tuple[int, int], dict[Queue, tuple[int, int]]]:
        """Return what is dealt out, slots and starts, and which parts of it queues are to have."""
        raise NotImplementedError

    def _lowest(self, queue: Queue, part: Part) -> tuple[int, int]:
        """Return what a part may be made as small as."""
        return self._goals.get(queue, (part.slots, part.starts))

    async def _lower(self, queue: Queue) -> None:
        part = self.parts[queue]
        slots, starts = self._lowest(queue, part)
        await self._set(queue, min(part.slots, slots), min(part.starts, starts))

    async def _give(self, all_slots: int, all_starts: int) -> None:
        """Make those parts larger that are to be, by what no other has."""
        free_slots = all_slots - sum(part.held for part in self.parts.values())
        free_starts = all_starts - sum(part.starts for part in self.parts.values())
        for queue, (slots, starts) in self._goals.items():
            part = self.parts[queue]
            if self.is_over:
                return
            most_slots, most_starts = free_slots + part.held, free_starts + part.starts
            await self._set(queue, max(part.slots, min(slots, most_slots)), max(part.starts, min(starts, most_starts)))
            free_slots = most_slots - self.parts[queue].held
            free_starts = most_starts - self.parts[queue].starts

    async def _set(self, queue: Queue, slots: int, starts: int) -> None:
        part = self.parts[queue]
        if not self.is_over and (slots, starts) != (part.slots, part.starts):
            await self._ask(queue, part.whole, (slots, starts))

    async def _ask(self, queue: Queue, whole: str, becomes: tuple[int, int] | None) -> None:
        part = self.parts[queue] = await self._call(queue, whole, becomes)
        self.is_over = self.is_over or part.code <= 0

    async def _call(self, queue: Queue, whole: str, becomes: tuple[int, int] | None) -> Part:
        raise NotImplementedError


class _LimitsDeal(_Deal):
    """A deal of the limits of a type, which the first partition has."""

    def __init__(self, scripts: QueueScripts, turn: int, first: Queue, kept: Collection[Queue]) -> None:
        super().__init__(scripts, turn)
        self._first = first
        self._kept = kept

    def _decided(self) -> tuple[tuple[int, int], dict[Queue, tuple[int, int]]]:
        whole = self.parts[self._first].whole
        if not whole:
            return (0, 0), {}
        limit = _numbers(whole)
        queues = [queue for queue, part in self.parts.items() if part.whole == whole]
        # Where there are more partitions than parts, another one is the first each time.
        at = self._turn % len(queues)
        parts = {queue: self.parts[queue] for queue in queues[at:] + queues[:at]}
        stay = [queue in self._kept or part.jobs + part.parked > 0 for queue, part in parts.items()]
        slots = shares(limit[0], [part.jobs + part.parked for part in parts.values()], stay)
        starts = shares(limit[1], [limit[1] if part.parked else 0 for part in parts.values()], stay)
        return limit, dict(zip(parts, zip(slots, starts, strict=True), strict=True))

    def _lowest(self, queue: Queue, part: Part) -> tuple[int, int]:
        # Limits of before, of a partition that is none any more, are no part of these.
        is_left = part.whole not in {"", self.parts[self._first].whole} and not (part.jobs or part.parked)
        return (0, 0) if is_left else super()._lowest(queue, part)

    async def _call(self, queue: Queue, whole: str, becomes: tuple[int, int] | None) -> Part:
        arguments = [self._turn, whole, *(becomes or ("", ""))]
        return Part.of(await self._scripts.run("deal", queue, arguments))


class _QuotaDeal(_Deal):
    """A deal of the quota of a tenant. There may be many more queues than slots."""

    def __init__(self, scripts: QueueScripts, turn: int, quota: int, kept: Collection[Queue]) -> None:
        super().__init__(scripts, turn)
        self._quota = quota
        self._kept = kept
        self._most: dict[Queue, int] = {}
        """What parts are made as small as."""

    def _decided(self) -> tuple[tuple[int, int], dict[Queue, tuple[int, int]]]:
        # Where there are more queues than slots, each has its turn: that which has had none for longest is first.
        order = sorted(self.parts, key=lambda queue: _rank(self.parts[queue]))
        kept = [queue in self._kept for queue in order]
        wishes = [_wishes(self.parts[queue]) for queue in order]
        sure, hoped = ([wish[at] for wish in wishes] for at in (0, 1))
        slots = shares(self._quota, sure, kept, hoped)
        goals = dict(zip(order, slots, strict=True))
        self._most = self._fitting({queue: min(part.slots, goals[queue]) for queue, part in self.parts.items()})
        return (self._quota, 0), {queue: (number, 0) for queue, number in goals.items()}

    def _fitting(self, most: dict[Queue, int]) -> dict[Queue, int]:
        """Return smaller parts where the jobs of before a lower quota do not fit: none starts until they do."""
        if sum(max(most[queue], part.jobs) for queue, part in self.parts.items()) <= self._quota:
            return most
        has_room = sum(part.jobs for part in self.parts.values()) <= self._quota
        return {queue: min(most[queue], part.jobs) if has_room else 0 for queue, part in self.parts.items()}

    def _lowest(self, queue: Queue, part: Part) -> tuple[int, int]:  # noqa: ARG002
        return self._most[queue], 0

    async def _call(self, queue: Queue, whole: str, becomes: tuple[int, int] | None) -> Part:  # noqa: ARG002
        slots = "" if becomes is None else becomes[0]
        return Part.of_quota(await self._scripts.run("deal_quota", queue, [self._turn, slots]))


def _rank(part: Part) -> tuple[bool, int]:
    """Return where a queue stands among those that want parts: that which has had one for longest is last."""
    return (True, -part.since_ms) if part.slots else (False, part.since_ms)


def _wishes(part: Part) -> tuple[int, int]:
    """Return how many slots a queue can surely use, and how many if nothing else holds its jobs back.

    Where it does not use all that it has, twice those that it uses are sure.
    """
    everything = part.jobs + part.parked
    return (everything if part.jobs >= part.slots else min(everything, 2 * part.jobs)), everything


def _queues_of(tags: Iterable[Any]) -> Iterator[Queue]:
    for tag in tags:
        yield Queue.from_tag(tag.decode() if isinstance(tag, bytes) else str(tag))


def _numbers(whole: str) -> tuple[int, int]:
    slots, _, starts = whole.split()
    return int(slots), int(starts)


def shares(total: int, wanted: Sequence[int], kept: Sequence[bool], *more: Sequence[int]) -> list[int]:
    """Return parts of a number that add up to it: what is wanted, and the rest evenly for those that are kept.

    What is wanted beyond the number is shared as evenly as it can be. `more` is wanted once all that is has been given.
    """
    found = [0] * len(wanted)
    for goals in (wanted, *more, [total] * len(wanted)):
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
