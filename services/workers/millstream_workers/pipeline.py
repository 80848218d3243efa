"""What happens to a delivery in this worker, from the claim that brings it to the confirmed commit of its outcome.

1. accept: it takes a slot, its lease is kept from now on, and it waits for a task.
2. execute: a task runs it; alone, if one more crash would bury its job. Then its slot is free.
3. hand over: its outcome waits in the committer until Redis has confirmed it. Then its lease is let go.

A delivery that finds no task in time, or whose worker leaves, is handed back between 1 and 2. A delivery that was lost
to another worker ends after 2: there is nothing to commit.

Slots and leases are taken and given back here and nowhere else.
"""

from collections.abc import Callable
from functools import partial

import structlog
from anyio.abc import TaskGroup

from millstream_contracts import Dead, HandedBack, JobType, KeptLines, Outcome, RetryAt
from millstream_streams import Delivery, JobStore
from millstream_telemetry import WorkerMetrics
from millstream_workers.attempt.running import Running
from millstream_workers.attempt.stop_scope import StopScope
from millstream_workers.fetching.slots import Slots
from millstream_workers.keeping.committer import Committer, Finished, Link, job_fields
from millstream_workers.keeping.holder import Holder
from millstream_workers.keeping.lease_keeper import LeaseKeeper
from millstream_workers.keeping.line_rate import LineRate
from millstream_workers.running.clean_context import CleanContext
from millstream_workers.running.execution import Execution
from millstream_workers.running.executor import Executor
from millstream_workers.running.quarantine import Quarantine
from millstream_workers.running.task_pool import TaskPool
from millstream_workers.settings import WorkerSettings


class Pipeline:
    """Takes deliveries through a worker. Lives on the event loop."""

    def __init__(
        self,
        settings: WorkerSettings,
        store: JobStore,
        *,
        worker: str,
        slots: Slots,
        leases: LeaseKeeper,
        executor: Executor,
        metrics: WorkerMetrics,
        clean: CleanContext,
        buried: Callable[[JobType], None] = lambda _: None,
        link: Link | None = None,
        holder: Holder | None = None,
    ) -> None:
        """Take `worker`, the name of the worker, and `clean`, the context in which the tasks of its handlers start.

        `buried` is called with the type of jobs that this worker has buried; `link` tells jobs that a handler has
        called of the one that waits for them; `holder` holds other partitions of a type back.
        """
        self._slots = slots
        self._leases = leases
        self._executor = executor
        self._metrics = metrics
        self._line_rate = LineRate()
        self.committer = Committer(
            store,
            metrics,
            worker,
            lease_s=settings.lease_s,
            concluded=leases.let_go,
            buried=buried,
            link=link,
            holder=holder,
        )
        """Keeps the outcomes until Redis has concluded them; then their leases are let go."""
        self._quarantine = Quarantine(store, slots, self.committer, worker=worker, max_crashes=settings.max_crashes)
        self._task_pool = TaskPool(
            self._execute,
            limit=settings.concurrency,
            cleanup_s=settings.cleanup_s,
            clean=clean,
            give_up=self._hand_back,
        )
        self._log = structlog.get_logger().bind(worker=worker)

    def open(self, tasks: TaskGroup) -> None:
        """Execute in this group from now on, until :meth:`close`."""
        self._task_pool.open(tasks)

    def drain(self) -> None:
        """Hand back what has not begun, and let nothing wait to run alone any more: the worker is leaving."""
        self._task_pool.give_up_waiting()
        self._quarantine.close()

    def close(self) -> None:
        """End the tasks that have nothing to do. No delivery may be accepted afterwards."""
        self._task_pool.close()

    def running(self) -> list[Running]:
        """Return the deliveries whose handlers run."""
        return list(self._executor.running)

    def accept(self, delivery: Delivery) -> None:
        """Take a delivery that there is room for. Its lease has begun, whether it is executed at once or not."""
        self._slots.take()
        running = Running(delivery)
        self._leases.hold(running)
        self._task_pool.start(running)

    def decline(self, delivery: Delivery) -> None:
        """Return a delivery that was not accepted, or whose handler is left behind with the process."""
        self._put_unrun(delivery, HandedBack())

    def _hand_back(self, running: Running) -> None:
        """Return a delivery that was accepted and not executed. Its lease is kept until Redis has taken it back."""
        self._slots.release_unrun()
        self.decline(running.delivery)

    async def _execute(self, running: Running, scope: StopScope) -> None:
        """Execute a delivery in the task that `scope` surrounds."""
        execution, delivery = self._executor.prepare(running, scope), running.delivery
        try:
            if not self._quarantine.suspects(delivery):
                await self._executor.execute(execution)
            elif refusal := await self._quarantine.run(running, partial(self._executor.execute, execution)):
                self._put_unrun(delivery, refusal)
                return
            self._hand_over(execution)
            self._executor.record(execution)
        except Exception as error:  # noqa: BLE001 - a defect of this worker must not cost a job's neighbours their runs
            self._log.error("job not executed", **job_fields(delivery), exc_info=True)
            self._executor.fail(execution, error)
            self._hand_over(execution)
        finally:
            self._slots.release()

    def _put_unrun(self, delivery: Delivery, outcome: Outcome) -> None:
        """Record and commit the outcome of a delivery that was not run."""
        self._executor.skip(delivery, outcome)
        self.committer.put(Finished(delivery, outcome, 0))

    def _hand_over(self, execution: Execution) -> None:
        """Have the outcome committed; let go of a delivery that was lost."""
        delivery, outcome = execution.delivery, execution.outcome
        if outcome is None:
            self._leases.let_go(delivery)
            self._metrics.count_attempts(delivery.queue.type, "lost")
            return
        ttl_ms = round(execution.handler.policy.result_ttl_s * 1000)
        lines = None if execution.running.lines is None else self._kept_lines(execution, outcome)
        progress = execution.running.unstored_progress
        self.committer.put(Finished(delivery, outcome, ttl_ms, progress, lines, execution.running.coding))

    def _kept_lines(self, execution: Execution, outcome: Outcome) -> KeptLines | None:
        """Return the log lines that go with the end of an attempt; None where its type asks for none of it."""
        assert execution.running.lines is not None
        has_failed = isinstance(outcome, RetryAt | Dead)
        if isinstance(outcome, HandedBack) or not (has_failed or execution.handler.policy.kept_logs == "all"):
            return None
        lines = execution.running.lines.kept()
        kept = self._line_rate.cut(lines)
        job_type, fitting = execution.delivery.queue.type, len(kept.lines) if kept else 0
        if lines.left_out:
            self._metrics.count_lines_dropped(job_type, "bounds", lines.left_out)
        if fitting < len(lines.lines):
            self._metrics.count_lines_dropped(job_type, "rate", len(lines.lines) - fitting)
        return kept
