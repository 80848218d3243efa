"""Fetches jobs: it claims from queues with work, and blocks on the others.

A queue is hot while its last claim was full. One blocking read over all other queues finds everything else, so that
neither the cost of an idle worker nor its latency depends on the number of job types. Queues in which nothing is to do
are dormant, and in no read (ADR 125).
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import count

import anyio
import structlog
from anyio.lowlevel import checkpoint

from millstream_contracts import Queue, limits
from millstream_runtime import Pulse
from millstream_streams import (
    MAX_BLOCK_S,
    Delivery,
    JobStore,
    ReadEntry,
    ReadyReader,
    StoreError,
    StoreUnavailableError,
    backoff_s,
)
from millstream_workers.fetching.shares import Shares, share_out
from millstream_workers.fetching.slots import Slots

LOOK_ELSEWHERE_S = 0.02
"""How long hot queues may go on before the fetcher looks at the others."""

LOOK_AT_ONCE = 256
"""Queues that one such look reads. A read costs what it names, and with thousands of queues would take longer than the
claims between two."""

GATHER_S = 0.0005
"""A worker that is nearly full waits this long for more of its jobs to end, and then claims several at once."""

NODE_AWAY_S = 1.0
"""Pause for the queues of an unreachable cluster node; the other nodes continue."""

SET_ASIDE_S = 5.0
"""Pause for a queue whose claims fail for a reason of its own."""


class Fetcher:
    """Claims deliveries while there are free slots, until it is stopped."""

    def __init__(
        self,
        store: JobStore,
        reader: ReadyReader,
        queues: Iterable[Queue],
        *,
        consumer: str,
        slots: Slots,
        weights: Shares | None,
        pulse: Pulse,
        accept: Callable[[Delivery], None],
        decline: Callable[[Delivery], None],
        count_expired: Callable[[Queue, int], None],
    ) -> None:
        self._store = store
        self._reader = reader
        self._queues = deque(queues)
        """In the order of the next look."""
        self._consumer = consumer
        self._slots = slots
        self._most = min(slots.limit, limits.MAX_SCRIPT_JOBS)
        # While one half of the slots runs, the next jobs are fetched: Redis and worker are busy side by side.
        self._worthwhile = max(1, self._most // 2)
        self._weights = weights
        self._pulse = pulse
        self._accept = accept
        self._decline = decline
        self._count_expired = count_expired
        self._hot = dict.fromkeys(self._queues)
        """Queues whose last claim was full, in turn. A dict, used as a set that keeps its order."""
        self._reopens_at: dict[Queue, float] = {}
        """Paused queues, and when to check them again: a blocking read must not include them."""
        self._uncertain: dict[Queue, str] = {}
        """Queues with a lost response, and the nonce by which the next claim asks for the same jobs."""
        self._looked_elsewhere_at = 0.0
        self._nonces = count()
        self._stopped = anyio.Event()
        self.has_ended = False
        """Whether the fetcher reads no more."""
        self.trouble = ""
        """The reason why the last round failed; empty when it went well."""
        self._log = structlog.get_logger().bind(worker=consumer)

    def add(self, queues: Iterable[Queue]) -> None:
        """Read these queues as well, from the next round on."""
        for queue in queues:
            self._queues.append(queue)
            # As at the start: a claim makes the groups that a blocking read needs.
            self._hot[queue] = None

    def remove(self, queues: Iterable[Queue]) -> list[Queue]:
        """Read these queues no more. Returns: those of them; a queue of which an answer was lost is kept."""
        removed = {queue for queue in queues if queue not in self._uncertain}
        self._queues = deque(queue for queue in self._queues if queue not in removed)
        for queue in removed:
            self._hot.pop(queue, None)
            self._reopens_at.pop(queue, None)
        return sorted(removed)

    @property
    def queues(self) -> Sequence[Queue]:
        """The queues that are read."""
        return tuple(self._queues)

    def stop(self) -> None:
        """Claim no more. A blocking read that is under way ends by itself: a cancelled one could strand a job."""
        self._stopped.set()

    @property
    def is_stopping(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped.is_set()

    async def run(self) -> None:
        """Fetch jobs until stopped."""
        try:
            await self._run()
        finally:
            self.has_ended = True

    async def _run(self) -> None:
        failures = 0
        while not self.is_stopping:
            await self._wait_for_room()
            if self.is_stopping:
                return
            # Asking is enough to be live: while Redis is away a restart would not help.
            self._pulse.beat()
            try:
                await self._take()
                failures, self.trouble = 0, ""
            except StoreUnavailableError as error:
                failures, self.trouble = failures + 1, str(error)
                for queue in self._queues:
                    self._uncertain.setdefault(queue, self._nonce())
                self._log.warning("no jobs claimed", failures=failures, **error.fields)
            except StoreError as error:
                # One queue is broken, and a read over all does not say which: claims of each queue will.
                failures, self.trouble = failures + 1, str(error)
                self._hot.update(dict.fromkeys(self._queues))
                self._log.error("a queue cannot be read", **error.fields)
            if failures:
                with anyio.move_on_after(backoff_s(failures)):
                    await self._stopped.wait()

    async def _wait_for_room(self) -> None:
        self._slots.look_ahead()
        while self._slots.free <= 0 and not self.is_stopping:
            await self._slots.wait_free()
            # Jobs that were taken ahead may have gone back because no job ends any more.
            self._slots.look_ahead()
        if self._hot and self._slots.free < self._worthwhile:
            with anyio.move_on_after(GATHER_S):
                await self._slots.wait_free(self._worthwhile)

    async def _take(self) -> None:
        self._reopen()
        for queue in [queue for queue in self._uncertain if queue not in self._reopens_at]:
            await self._claim(queue)
        # The others first: a hot queue takes all the room there is, and would starve them while it is hot.
        if not self._hot or time.monotonic() >= self._looked_elsewhere_at + LOOK_ELSEWHERE_S:
            await self._look_elsewhere()
        if self._hot and self._slots.free > 0:
            queue = next(iter(self._hot))
            del self._hot[queue]
            await self._claim(queue)

    async def _look_elsewhere(self) -> None:
        """Wait for work on the queues that are not hot; while others are hot, do not block."""
        if self.is_stopping:
            return
        self._looked_elsewhere_at = time.monotonic()
        cold = [queue for queue in self._in_turn() if queue not in self._hot and queue not in self._reopens_at]
        block_ms = 0 if self._hot else self._patience_ms()
        if not cold:
            if not self._hot:
                await anyio.sleep(block_ms / 1000)
            return
        if not self._hot:
            # Jobs that were just accepted begin before the next read is sent.
            await checkpoint()
        found = await self._reader.wait(cold, consumer=self._consumer, block_ms=block_ms)
        for queue in self._reader.failed:
            self._uncertain.setdefault(queue, self._nonce())
            self._reopens_at[queue] = time.monotonic() + NODE_AWAY_S
        for queue in {entry.queue for entry in found}:
            await self._claim(queue, [entry for entry in found if entry.queue == queue])

    def _in_turn(self) -> list[Queue]:
        """Return all queues; while some are hot, the next of them."""
        if not self._hot or len(self._queues) <= LOOK_AT_ONCE:
            return list(self._queues)
        self._queues.rotate(-LOOK_AT_ONCE)
        return [self._queues[-at] for at in range(1, LOOK_AT_ONCE + 1)]

    def _patience_ms(self) -> int:
        """Return how long to block: until the first paused queue is due for its next check."""
        soonest = min(self._reopens_at.values(), default=math.inf) - time.monotonic()
        return max(1, round(min(MAX_BLOCK_S, soonest) * 1000))

    def _reopen(self) -> None:
        now = time.monotonic()
        for queue in [queue for queue, at in self._reopens_at.items() if at <= now]:
            del self._reopens_at[queue]
            self._hot[queue] = None

    async def _claim(self, queue: Queue, read: Sequence[ReadEntry] = ()) -> None:
        with self._slots.claiming():
            await self._claim_now(queue, read)

    async def _claim_now(self, queue: Queue, read: Sequence[ReadEntry]) -> None:
        resume = queue in self._uncertain
        nonce = self._uncertain.get(queue) or self._nonce()
        limit = 0 if self.is_stopping else max(0, min(self._slots.free, self._most))
        # Kept until the answer is here: a claim whose answer was lost is asked for again by its own nonce.
        self._uncertain[queue] = nonce
        try:
            claim = await self._store.claim(
                queue,
                consumer=self._consumer,
                nonce=nonce,
                limit=limit,
                shares=share_out(limit, self._weights),
                read=read,
                resume=resume,
                # This loop asks again by itself, and hears the order to stop between two tries.
                patience_s=0.0,
            )
        except StoreUnavailableError as error:
            if not error.others_may_answer:
                raise
            self._log.warning("no jobs claimed", type=queue.type, **error.fields)
            self._reopens_at[queue] = time.monotonic() + NODE_AWAY_S
            return
        except StoreError as error:
            self._log.error("queue set aside", type=queue.type, **error.fields, seconds=SET_ASIDE_S)
            self._reopens_at[queue] = time.monotonic() + SET_ASIDE_S
            del self._uncertain[queue]
            return
        del self._uncertain[queue]
        if claim.expired:
            self._count_expired(queue, claim.expired)
        if claim.ask_again_ms:
            self._reopens_at[queue] = time.monotonic() + claim.ask_again_ms / 1000
        elif limit and len(claim.deliveries) >= limit:
            self._hot[queue] = None
        self._pass_on(claim.deliveries)

    def _nonce(self) -> str:
        return f"{self._consumer.rpartition(':')[2]}.{next(self._nonces):x}"

    def _pass_on(self, deliveries: list[Delivery]) -> None:
        """Accept the jobs that there is room for, and decline the rest.

        A blocking read may return more jobs than there is room for, one per stream.
        """
        room = 0 if self.is_stopping else max(0, self._slots.free)
        for delivery in deliveries[:room]:
            self._accept(delivery)
        for delivery in deliveries[room:]:
            self._decline(delivery)
