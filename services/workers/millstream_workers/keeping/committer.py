"""Commits outcomes in batches: while one call for a queue is under way, the next one collects.

An outcome is kept until Redis has answered. What it says then is final: committed, committed before, or stale.
"""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import anyio
import structlog

from millstream_contracts import (
    PLAIN,
    Calling,
    Cancelled,
    Coding,
    Dead,
    HandedBack,
    JobState,
    JobType,
    KeptLines,
    Outcome,
    Progress,
    Queue,
    RetryAt,
    Snoozed,
    Succeeded,
    Waiting,
    limits,
)
from millstream_streams import (
    Blocked,
    Commit,
    CommitCode,
    Delivery,
    JobStore,
    StoreError,
    StoreUnavailableError,
    backoff_s,
)
from millstream_telemetry import WorkerMetrics, trace_field
from millstream_workers.keeping.holder import Holder

_FINAL_STATES: dict[type[Outcome], JobState] = {
    Succeeded: JobState.SUCCEEDED,
    Dead: JobState.DEAD,
    Cancelled: JobState.CANCELLED,
}
_COMMIT_EVERY_S = 0.002
"""Least time between two batches of a queue that are not full. The first outcome after a pause goes at once."""

_REFUSED = frozenset({CommitCode.STALE, CommitCode.UNKNOWN_JOB})
SHOWN_JOBS = 20
"""The most ids in one log line."""


Link = Callable[[Queue, Sequence[Blocked]], Awaitable[object]]
"""Tells the parents of blocked jobs of one queue of them."""


class Finished(NamedTuple):
    """An outcome on its way to Redis. A NamedTuple: one is made per job."""

    delivery: Delivery
    outcome: Outcome
    ttl_ms: int
    progress: Progress | None = None
    """The handler's last, when Redis has not got it yet."""
    log_lines: KeptLines | None = None
    coding: Coding = PLAIN


class Lane:
    """The outcomes that wait for one queue. Each lane has its own pace: a queue that Redis refuses delays no other."""

    def __init__(self) -> None:
        self.ended: list[Finished] = []
        self.returned: list[Finished] = []
        """Hand-backs, which have a script of their own."""
        self.is_moving = False
        """Whether a task commits the outcomes of this lane."""
        self.not_before = 0.0
        """The earliest time of the next batch, on the loop's clock."""

    def put(self, finished: Finished) -> None:
        """Add an outcome at the end."""
        (self.returned if isinstance(finished.outcome, HandedBack) else self.ended).append(finished)

    def __len__(self) -> int:
        return len(self.ended) + len(self.returned)


class Committer:
    """Takes outcomes from the event loop and commits them until :meth:`finish`."""

    def __init__(
        self,
        store: JobStore,
        metrics: WorkerMetrics,
        worker: str,
        *,
        lease_s: float,
        concluded: Callable[[Delivery], None],
        buried: Callable[[JobType], None] = lambda _: None,
        link: Link | None = None,
        holder: Holder | None = None,
    ) -> None:
        """`concluded` is called with each delivery whose outcome Redis has answered for, whatever the answer.

        `link` tells jobs that a handler has called of the one that waits for them. `holder` holds other partitions
        back.
        """
        self._store = store
        self._metrics = metrics
        self._concluded = concluded
        self._buried = buried
        self._link = link
        self._holder = holder
        self._worker = worker
        self._lease_s = lease_s
        self._lanes: defaultdict[Queue, Lane] = defaultdict(Lane)
        self._tasks: anyio.abc.TaskGroup | None = None
        self._finishing = anyio.Event()
        self._finishing_since = 0.0
        self._is_abandoned = False
        self._empty = anyio.Event()
        """Set while no outcome waits, and replaced by a new event when one does."""
        self._empty.set()
        self._log = structlog.get_logger().bind(worker=worker)
        self.backlog = 0
        """The number of outcomes that Redis has not confirmed."""

    def put(self, finished: Finished) -> None:
        """Take an outcome; after :meth:`abandon` it is too late for any."""
        if self._is_abandoned:
            return
        queue = finished.delivery.queue
        self._lanes[queue].put(finished)
        self.backlog += 1
        if self._empty.is_set():
            self._empty = anyio.Event()
        self._start(queue)

    def finish(self) -> None:
        """Let `run` return once every outcome is committed, or known never to be taken."""
        self._finishing_since = anyio.current_time()
        self._finishing.set()

    def abandon(self) -> None:
        """Let `run` return now: jobs whose outcomes are still here run again when their leases are over."""
        if self.backlog:
            self._log.error("outcomes abandoned", jobs=self.backlog)
        self._is_abandoned = True
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()

    async def wait_empty(self) -> None:
        """Wait until Redis has answered for every outcome."""
        while self.backlog:
            await self._empty.wait()

    async def run(self) -> None:
        """Commit outcomes as they come; keep them while Redis is away."""
        async with anyio.create_task_group() as self._tasks:
            for queue in self._lanes:
                self._start(queue)
            await self._finishing.wait()
            await self.wait_empty()

    def _start(self, queue: Queue) -> None:
        lane = self._lanes[queue]
        if self._tasks is not None and lane and not lane.is_moving:
            lane.is_moving = True
            self._tasks.start_soon(self._empty_lane, queue, lane)

    async def _empty_lane(self, queue: Queue, lane: Lane) -> None:
        failures = 0
        while lane:
            await self._gather(lane)
            try:
                await (self._commit(queue, lane.ended) if lane.ended else self._hand_back(queue, lane.returned))
                failures = 0
            except StoreError as error:
                failures += 1
                self._log.warning("outcomes not committed", type=queue.type, jobs=len(lane), **error.fields)
                self._give_up(queue, lane, error)
                await self._pause(backoff_s(failures))
        lane.is_moving = False

    async def _gather(self, lane: Lane) -> None:
        """Wait for more outcomes while many jobs end."""
        now = anyio.current_time()
        if lane.not_before > now and len(lane) < limits.MAX_SCRIPT_JOBS and not self._finishing.is_set():
            await anyio.sleep(lane.not_before - now)
            now = lane.not_before
        lane.not_before = now + _COMMIT_EVERY_S

    async def _pause(self, delay_s: float) -> None:
        """Wait, but try again at once when the worker begins to leave."""
        if self._finishing.is_set():
            await anyio.sleep(delay_s)
            return
        with anyio.move_on_after(delay_s):
            await self._finishing.wait()

    def _give_up(self, queue: Queue, lane: Lane, error: StoreError) -> None:
        """In a worker that leaves, drop outcomes that Redis will never take, and hand-backs whose leases are over."""
        if not self._finishing.is_set():
            return
        if not isinstance(error, StoreUnavailableError):
            self._drop(queue, lane.ended, error)
            self._drop(queue, lane.returned, error)
        elif anyio.current_time() - self._finishing_since > self._lease_s:
            # A reaper has returned them by now, or will when Redis is back.
            self._drop(queue, lane.returned, error)

    def _drop(self, queue: Queue, waiting: list[Finished], error: StoreError) -> None:
        if waiting:
            ids = [one.delivery.id for one in waiting[:SHOWN_JOBS]]
            self._log.error("outcomes dropped", type=queue.type, jobs=len(waiting), ids=ids, **error.fields)
            self._forget(waiting, len(waiting))

    def _forget(self, waiting: list[Finished], count: int) -> None:
        del waiting[:count]
        self.backlog -= count
        if not self.backlog:
            self._empty.set()

    async def _commit(self, queue: Queue, waiting: list[Finished]) -> None:
        batch = waiting[: limits.MAX_SCRIPT_JOBS]
        commits = [Commit(*one) for one in batch]
        self._conclude(queue, batch, await self._store.commit(queue, worker=self._worker, commits=commits))
        self._forget(waiting, len(batch))

    async def _hand_back(self, queue: Queue, waiting: list[Finished]) -> None:
        batch = waiting[: limits.MAX_SCRIPT_JOBS]
        deliveries = [one.delivery for one in batch]
        codes = await self._store.hand_back(queue, worker=self._worker, deliveries=deliveries)
        self._conclude(queue, batch, codes)
        self._forget(waiting, len(batch))

    def _tell_others(self, queue: Queue, one: Finished) -> None:
        """Have others learn of an outcome that concerns them."""
        if self._tasks is None:
            return
        if isinstance(one.outcome, Calling) and self._link is not None:
            self._tasks.start_soon(self._tell, queue, Blocked(one.delivery.id, list(one.outcome.jobs)))
        if isinstance(one.outcome, Snoozed) and one.outcome.gate is not None:
            self._metrics.count_hold(queue.type, one.outcome.gate)
            if one.outcome.gate == "type" and self._holder is not None:
                hold = partial(self._holder.hold_others, after_ms=one.outcome.after_ms, job_id=one.delivery.id)
                self._tasks.start_soon(hold, queue)

    async def _tell(self, queue: Queue, blocked: Blocked) -> None:
        """Tell called jobs of their caller. What cannot be done now, the linker does."""
        assert self._link is not None
        with suppress(StoreError):
            await self._link(queue, [blocked])

    def _conclude(self, queue: Queue, batch: list[Finished], codes: list[CommitCode]) -> None:
        ends: Counter[str] = Counter()
        states: Counter[JobState] = Counter()
        for one, code in zip(batch, codes, strict=True):
            self._concluded(one.delivery)
            if code in _REFUSED:
                ends["stale"] += 1
                self._log.warning("outcome refused", **job_fields(one.delivery), code=code.name.lower())
                continue
            if code is CommitCode.CANCELLED:
                ends["cancelled"] += 1
                states[JobState.CANCELLED] += 1
                continue
            ends[attempt_outcome(one.outcome)] += 1
            self._tell_others(queue, one)
            if state := _FINAL_STATES.get(type(one.outcome)):
                states[state] += 1
        if states[JobState.DEAD]:
            self._buried(queue.type)
        for end, n in ends.items():
            self._metrics.count_attempts(queue.type, end, n)
        for state, n in states.items():
            self._metrics.count_finished(queue.type, state, n)


def job_fields(delivery: Delivery) -> dict[str, str]:
    """Return the fields that identify the job in a log line outside of its attempt."""
    return {"job_id": delivery.id, "type": delivery.queue.type, **trace_field(delivery.spec.traceparent)}


def attempt_outcome(outcome: Outcome) -> str:
    """Return the word by which `millstream_job_attempts_total` counts an outcome."""
    match outcome:
        case Succeeded():
            return "ok"
        case RetryAt(_, error) | Dead(_, error):
            return "timeout" if error.type == "timeout" else "error"
        case Snoozed() | Waiting() | Calling():
            return "snoozed"
        case HandedBack():
            return "handed_back"
        case Cancelled():
            return "cancelled"
