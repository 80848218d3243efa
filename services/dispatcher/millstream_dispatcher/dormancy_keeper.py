"""Lets queues rest in which nothing is left to do, so that a queue costs what is done in it. Run by every dispatcher.

A thousand tenants with ten types each have ten thousand queues, and few of them have jobs at a time. A dormant queue is
in no pass of any duty and in no read of a worker. What puts a job into it registers it first, which wakes it (ADR 125).
"""

import time
from collections.abc import Iterable, Sequence

import structlog

from millstream_contracts import Queue
from millstream_runtime import DutyResult
from millstream_streams import Broker, Depths, StoreError, StoreUnavailableError, for_each_queue
from millstream_telemetry import DispatcherMetrics

AWAKE_AT_LEAST = 256
"""Queues that are looked at although nothing is to do there: so many cost little, and a job in them starts at once."""
QUIET_S = 120.0
"""How long nothing has happened in a queue before it rests."""
WATCHED_S = 150.0
"""How long a queue that rests is looked at all the same: a process may have registered it before, and puts a job into
it without doing so again. It does within a minute (`KnownQueues`); the rest is for a process that stood still."""
WATCH_EVERY_S = 30.0
"""How often dormant queues are read, and such a one is looked at."""
SURVEY_S = 600.0
"""How long it takes to look at each dormant queue once, for what should never be there."""
AT_ONCE = 500
"""Most queues that are asked in a pass whether they may rest."""


class Dormancy(DutyResult, frozen=True):
    """The result of one pass."""

    rested: int = 0
    woken: int = 0


class QuietQueues:
    """Since when nothing has been to do in each queue, as the gauger has measured it; monotonic seconds."""

    def __init__(self) -> None:
        self._since: dict[Queue, float] = {}

    def note(self, queue: Queue, found: Depths) -> None:
        """Note what a queue holds."""
        if found.is_quiet:
            self._since.setdefault(queue, time.monotonic())
        else:
            self._since.pop(queue, None)

    def keep(self, known: Iterable[Queue]) -> None:
        """Forget all but these queues."""
        self._since = {queue: self._since[queue] for queue in known if queue in self._since}

    def since(self, until: float) -> list[Queue]:
        """Return the queues that are quiet since this time or before, the longest first."""
        return sorted((queue for queue, at in self._since.items() if at <= until), key=self._since.__getitem__)

    def ask_again(self, queues: Iterable[Queue], at: float) -> None:
        """Take queues for quiet only since then."""
        self._since.update(dict.fromkeys(queues, at))


class DormancyKeeper:
    """A duty."""

    name = "dormancy-keeper"

    def __init__(
        self,
        broker: Broker,
        quiet: QuietQueues,
        metrics: DispatcherMetrics,
        *,
        interval_s: float,
        awake_at_least: int = AWAKE_AT_LEAST,
        quiet_s: float = QUIET_S,
    ) -> None:
        self.interval_s = interval_s
        self._broker = broker
        self._quiet = quiet
        self._metrics = metrics
        self._awake_at_least = awake_at_least
        self._quiet_s = quiet_s
        self._watch_at = 0.0
        self._surveyed: list[Queue] = []
        """Dormant queues that the present survey has still to look at."""
        self._survey_size = 0
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> Dormancy:
        """Let queues rest, and wake those that have jobs all the same. Raises: StoreError."""
        known = await self._broker.registry.queues()
        rested = await self._rest(known)
        woken = await self._watch({*known} - {*rested})
        return Dormancy(more=len(rested) >= AT_ONCE, rested=len(rested), woken=woken)

    async def _rest(self, known: Sequence[Queue]) -> list[Queue]:
        """Let those rest that were quiet for long, down to those that are looked at anyway. Returns: these."""
        self._quiet.keep(known)
        most = min(AT_ONCE, len(known) - self._awake_at_least)
        candidates = self._quiet.since(time.monotonic() - self._quiet_s)[: max(0, most)]
        idle = await self._idle_among(candidates)
        await self._broker.registry.rest_queues(idle, self._broker.clock.now_ms())
        self._quiet.ask_again({*candidates} - {*idle}, time.monotonic() - self._quiet_s * 0.8)
        return idle

    async def _watch(self, active: set[Queue]) -> int:
        """Look, now and then, at the dormant queues of late and at some others. Returns: how many were woken."""
        registry, now = self._broker.registry, time.monotonic()
        if now < self._watch_at:
            return 0
        self._watch_at = now + WATCH_EVERY_S
        noted = await registry.dormant_queues()
        # Noted as dormant by this release while an earlier one, which knows of none, registered them.
        await registry.end_rest(queue for queue in noted if queue in active)
        dormant = [queue for queue in noted if queue not in active]
        self._metrics.show_queues(active=len(active), dormant=len(dormant))
        if not dormant:
            return 0
        late = await registry.dormant_queues(self._broker.clock.now_ms() - round(WATCHED_S * 1000))
        looked_at = sorted({*late, *self._next_of_survey(dormant)} - active)
        busy = {*looked_at} - {*await self._idle_among(looked_at, quiet_s=0.0)}
        if busy:
            self._log.warning("dormant queues have jobs", queues=len(busy), first=min(busy).tag)
            await registry.add_queues(sorted(busy))
        return len(busy)

    def _next_of_survey(self, dormant: Sequence[Queue]) -> list[Queue]:
        if not self._surveyed:
            self._surveyed = list(dormant)
            self._survey_size = max(1, round(len(dormant) * WATCH_EVERY_S / SURVEY_S))
        chosen, self._surveyed = self._surveyed[: self._survey_size], self._surveyed[self._survey_size :]
        return chosen

    async def _idle_among(self, queues: Iterable[Queue], *, quiet_s: float | None = None) -> list[Queue]:
        """Return the queues in which nothing is left to do; one that cannot be read is for the duties that say so."""
        idle: list[Queue] = []

        async def ask(queue: Queue) -> None:
            try:
                if await self._broker.store.is_idle(queue, quiet_s=self._quiet_s if quiet_s is None else quiet_s):
                    idle.append(queue)
            except StoreUnavailableError:
                raise
            except StoreError:
                return

        await for_each_queue(queues, ask)
        return idle
