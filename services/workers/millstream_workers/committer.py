"""Commits outcomes in batches: while one call is under way, the next one collects.

An outcome is kept until Redis has answered. What it says then is final: committed, committed before, or stale.
"""

from collections import defaultdict
from typing import NamedTuple

import anyio
import structlog

from millstream_contracts import (
    Cancelled,
    Dead,
    HandedBack,
    JobState,
    Outcome,
    Queue,
    RetryAt,
    Snoozed,
    Succeeded,
    limits,
)
from millstream_streams import Commit, CommitCode, Delivery, JobStore, StoreError, backoff_s
from millstream_telemetry import Wake, WorkerMetrics
from millstream_workers.lease_keeper import Holder

_FINAL_STATES: dict[type[Outcome], JobState] = {
    Succeeded: JobState.SUCCEEDED,
    Dead: JobState.DEAD,
    Cancelled: JobState.CANCELLED,
}
_NO_WAIT_S = 3600.0


class Finished(NamedTuple):
    """An outcome on its way to Redis. A NamedTuple: one is made per job."""

    delivery: Delivery
    outcome: Outcome
    ttl_ms: int


class Committer:
    """Takes outcomes from the event loop and commits them until told to finish."""

    def __init__(self, store: JobStore, holder: Holder, metrics: WorkerMetrics, worker: str) -> None:
        self._store = store
        self._holder = holder
        self._metrics = metrics
        self._worker = worker
        self._waiting: dict[Queue, list[Finished]] = defaultdict(list)
        self._wake = Wake()
        self._finishing = False
        self._log = structlog.get_logger().bind(worker=worker)
        self.backlog = 0
        """Outcomes that Redis has not answered for."""

    def put(self, finished: Finished) -> None:
        """Take an outcome."""
        self._waiting[finished.delivery.queue].append(finished)
        self.backlog += 1
        self._wake.set()

    def finish(self) -> None:
        """Return from `run` once nothing is left."""
        self._finishing = True
        self._wake.set()

    async def run(self) -> None:
        """Commit what comes, and while Redis is away keep it."""
        failures = 0
        while self._waiting or not self._finishing:
            if not self._waiting:
                await self._wake.wait(_NO_WAIT_S)
                continue
            errors = await self._commit_round()
            failures = failures + 1 if errors else 0
            if errors:
                self._log.warning("outcomes not committed", jobs=self.backlog, error=str(errors[0]))
                await anyio.sleep(backoff_s(failures))

    async def _commit_round(self) -> list[StoreError]:
        """Commit a batch of each queue. Returns: why some were not."""
        errors: list[StoreError] = []

        async def commit(queue: Queue, waiting: list[Finished]) -> None:
            # Caught here: let out, the error of one queue would cancel the commits of the others.
            try:
                await self._commit_queue(queue, waiting)
            except StoreError as error:
                errors.append(error)

        async with anyio.create_task_group() as tasks:
            for queue, waiting in list(self._waiting.items()):
                tasks.start_soon(commit, queue, waiting)
        return errors

    async def _commit_queue(self, queue: Queue, waiting: list[Finished]) -> None:
        batch = waiting[: limits.MAX_SCRIPT_JOBS]
        returned = [one for one in batch if isinstance(one.outcome, HandedBack)]
        ended = [one for one in batch if not isinstance(one.outcome, HandedBack)]
        if ended:
            commits = [Commit(one.delivery.id, one.delivery.token, one.outcome, one.ttl_ms) for one in ended]
            self._conclude(ended, await self._store.commit(queue, worker=self._worker, commits=commits))
        if returned:
            tokens = [(one.delivery.id, one.delivery.token) for one in returned]
            self._conclude(returned, await self._store.hand_back(queue, worker=self._worker, tokens=tokens))
        # Not before both calls were answered: until then the whole batch would be sent again, harmlessly.
        del waiting[: len(batch)]
        self.backlog -= len(batch)
        if not waiting:
            del self._waiting[queue]

    def _conclude(self, batch: list[Finished], codes: list[CommitCode]) -> None:
        for one, code in zip(batch, codes, strict=True):
            self._holder.let_go(one.delivery)
            job_type = one.delivery.queue.type
            if code in {CommitCode.STALE, CommitCode.UNKNOWN_JOB}:
                self._metrics.count_attempts(job_type, "stale")
                self._log.warning("outcome refused", job_id=one.delivery.id, type=job_type, code=code.name.lower())
                continue
            self._metrics.count_attempts(job_type, attempt_outcome(one.outcome))
            state = _FINAL_STATES.get(type(one.outcome))
            if state is not None:
                self._metrics.count_finished(job_type, state)


def attempt_outcome(outcome: Outcome) -> str:
    """Return the word by which `millstream_job_attempts_total` counts an outcome."""
    match outcome:
        case Succeeded():
            return "ok"
        case RetryAt(_, error) | Dead(_, error):
            return "timeout" if error.type == "timeout" else "error"
        case Snoozed():
            return "snoozed"
        case HandedBack():
            return "handed_back"
        case Cancelled():
            return "cancelled"
