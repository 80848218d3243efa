"""What the limits of types let start in memory: the rules of _gate.lua, for all partitions of a type together."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator

from millstream_contracts import JobId, JobType, Priority, QueueLimits, StartLimits
from millstream_testing.memory.memory_breaker import MemoryBreaker
from millstream_testing.memory.stored_job import StoredJob

_PACE_MS = 60_000
_TINY = 1e-6


class Bucket:
    """A rate (GCRA), as _rates.lua counts it. Times are in Unix ms."""

    def __init__(self) -> None:
        self._spent_until = 0.0

    def tokens(self, limits: StartLimits | None, now_ms: int) -> float:
        """Return how many may start now."""
        every, burst = (limits.every_ms, limits.starts_at_once) if limits else (None, None)
        if not every or not burst:
            return math.inf
        return math.floor((now_ms + burst * every - max(self._spent_until, now_ms)) / every + _TINY)

    def free_at_ms(self, limits: StartLimits | None, now_ms: int) -> int | None:
        """Return when one more may start; None where it may now."""
        every, burst = (limits.every_ms, limits.starts_at_once) if limits else (None, None)
        if not every or not burst or self.tokens(limits, now_ms) >= 1:
            return None
        return math.ceil(max(self._spent_until, now_ms) + every - burst * every)

    def spend(self, limits: StartLimits | None, now_ms: int) -> None:
        """Count a start."""
        if limits and limits.every_ms:
            self._spent_until = max(self._spent_until, now_ms) + limits.every_ms


class TypeLimits:
    """The limits of one type, and what runs and has started of it."""

    def __init__(self) -> None:
        self.declared: QueueLimits | None = None
        self.asked: QueueLimits | None = None
        """Those that a client has set, which win."""
        self.asked_at_ms = self.paused_at_ms = 0
        self.is_paused = False
        self.pause_reason = ""
        self.breaker: MemoryBreaker | None = None
        self._running: dict[JobId, str] = {}
        self._rate = Bucket()
        self._key_rates: dict[str, Bucket] = {}
        self._turns: dict[tuple[Priority, str], float] = {}
        """The virtual times of lanes that hold jobs."""
        self._starts: list[int] = []

    @property
    def limits(self) -> QueueLimits | None:
        """Those in force."""
        return self.asked or self.declared

    def apply(self) -> None:
        """Have a breaker where the limits in force have one. One that stays goes on as it is."""
        wanted = self.limits.breaker if self.limits else None
        if wanted is None:
            self.breaker = None
        elif self.breaker is None:
            self.breaker = MemoryBreaker(wanted)
        else:
            self.breaker.limits = wanted

    def order(self, priority: Priority, jobs: Iterable[StoredJob], now_ms: int) -> Iterator[StoredJob]:
        """Yield the jobs of a priority that may start now, in the order of their turns, as if each started."""
        if self.is_paused:
            return
        lanes = self._lanes(priority, jobs)
        turns = {key: self._turn(priority, key, lanes) for key in lanes}
        room = self._room(now_ms)
        left = {key: self._key_room(key, now_ms) for key in lanes}
        while room >= 1 and (free := [key for key in lanes if lanes[key] and left[key] >= 1]):
            key = min(free, key=lambda one: (turns[one], lanes[one][0].entry))
            yield lanes[key].pop(0)
            room, left[key], turns[key] = room - 1, left[key] - 1, turns[key] + 1 / self._weight(key)

    def start(self, job: StoredJob, now_ms: int) -> None:
        """Count a start."""
        limits, turn = self.limits, (job.priority, job.key)
        self._running[job.id] = job.key
        self._rate.spend(limits, now_ms)
        if limits and limits.per_key and job.key:
            self._key_rates.setdefault(job.key, Bucket()).spend(limits.per_key, now_ms)
        self._turns[turn] = self._turns.get(turn, 0.0) + 1 / self._weight(job.key)
        self._starts = [at_ms for at_ms in self._starts if at_ms > now_ms - _PACE_MS] + [now_ms]
        if self.breaker:
            self.breaker.start(job.id, now_ms)

    def end(self, job_id: JobId, verdict: int, now_ms: int) -> None:
        """Free the place of a delivery that has ended: 1 with success, -1 with a failure, 0 with neither."""
        if self._running.pop(job_id, None) is not None and self.breaker:
            self.breaker.end(job_id, verdict, now_ms)

    def free_at_ms(self, job: StoredJob, now_ms: int) -> int | None:
        """Return the time that has to pass before a job may start; None where none has to, or none would do."""
        limits = self.limits
        times = [self._rate.free_at_ms(limits, now_ms)]
        if self.breaker:
            times.append(self.breaker.free_at_ms(now_ms))
        if limits and limits.per_key and job.key in self._key_rates:
            times.append(self._key_rates[job.key].free_at_ms(limits.per_key, now_ms))
        return max([at_ms for at_ms in times if at_ms is not None], default=None)

    def ms_for(self, amount: int, now_ms: int) -> int:
        """Return the ms in which so many jobs start at the pace of the last minute; a minute at most."""
        recent = sum(at_ms > now_ms - _PACE_MS for at_ms in self._starts)
        return min(_PACE_MS, math.ceil(_PACE_MS * amount / recent)) if recent else _PACE_MS

    def _lanes(self, priority: Priority, jobs: Iterable[StoredJob]) -> dict[str, list[StoredJob]]:
        lanes: dict[str, list[StoredJob]] = {}
        for job in jobs:
            lanes.setdefault(job.key, []).append(job)
        self._turns = {turn: at for turn, at in self._turns.items() if turn[0] is not priority or turn[1] in lanes}
        return lanes

    def _turn(self, priority: Priority, key: str, lanes: Iterable[str]) -> float:
        """Return the virtual time of a lane, which joins behind the turn that is on."""
        known = [self._turns[priority, one] for one in lanes if (priority, one) in self._turns]
        return self._turns.setdefault((priority, key), min(known, default=0.0) + 1 / self._weight(key))

    def _weight(self, key: str) -> float:
        return (self.limits.weights or {}).get(key, 1.0) if self.limits else 1.0

    def _room(self, now_ms: int) -> float:
        limits = self.limits
        at_once = limits.concurrency - len(self._running) if limits and limits.concurrency else math.inf
        of_breaker = self.breaker.room(now_ms) if self.breaker else math.inf
        return min(at_once, of_breaker, self._rate.tokens(limits, now_ms))

    def _key_room(self, key: str, now_ms: int) -> float:
        limits = self.limits.per_key if self.limits else None
        if limits is None or not key:
            return math.inf
        running = Counter(self._running.values())[key]
        at_once = limits.concurrency - running if limits.concurrency else math.inf
        return min(at_once, self._key_rates.setdefault(key, Bucket()).tokens(limits, now_ms))

    @property
    def running(self) -> int:
        """How many jobs run."""
        return len(self._running)

    def running_of(self, key: str) -> int:
        """Return how many jobs of a key run."""
        return Counter(self._running.values())[key]


class LimitsOfTypes:
    """The limits of all types."""

    def __init__(self) -> None:
        self._types: dict[JobType, TypeLimits] = {}

    @property
    def hold_anything(self) -> bool:
        """Whether a type has limits, or is paused."""
        return any(one.limits is not None or one.is_paused for one in self._types.values())

    def of(self, job_type: JobType) -> TypeLimits:
        """Return those of a type."""
        return self._types.setdefault(job_type, TypeLimits())

    def declare(self, job_type: JobType, limits: QueueLimits | None) -> None:
        """Set the limits that a handler declares."""
        of_type = self.of(job_type)
        of_type.declared = limits
        of_type.apply()

    def order(self, jobs: list[StoredJob], now_ms: int) -> Iterator[StoredJob]:
        """Yield the jobs of one priority that may start now: types in the order of their jobs, each by its limits."""
        draws: dict[JobType, Iterator[StoredJob]] = {}
        for job in jobs:
            job_type = job.queue.type
            if job_type not in draws:
                own = [one for one in jobs if one.queue.type == job_type]
                gate = self.of(job_type)
                is_gated = gate.limits is not None or gate.is_paused
                draws[job_type] = gate.order(job.priority, own, now_ms) if is_gated else iter(own)
            if (drawn := next(draws[job_type], None)) is not None:
                yield drawn
