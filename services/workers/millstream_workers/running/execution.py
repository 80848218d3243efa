"""One execution of a delivery: the values that the steps of the executor read and add."""

from collections.abc import Mapping

from millstream.handler import Handler
from millstream_contracts import JobType, Outcome
from millstream_telemetry import Attempt
from millstream_workers.attempt.attempt_result import AttemptResult
from millstream_workers.attempt.running import Running
from millstream_workers.attempt.stop_scope import StopScope
from millstream_workers.running.calling import queue_wait_s
from millstream_workers.running.decision import AttemptPolicy


class Execution:
    """The one value that goes through the steps of the executor.

    A plain class with slots: one is made per job, and each step fills in its own field.
    """

    __slots__ = (
        "delivery",
        "handler",
        "outcome",
        "policy",
        "queue_wait_s",
        "result",
        "run_s",
        "running",
        "scope",
        "span",
    )

    span: Attempt
    """The span, from :meth:`Executor.execute` on."""
    result: AttemptResult
    """The result of the attempt, once the handler has ended."""
    outcome: Outcome | None
    """The outcome of the job, once it is decided; None when the delivery is no longer this worker's."""

    def __init__(self, running: Running, handlers: Mapping[JobType, Handler], scope: StopScope) -> None:
        """`scope` surrounds the current task; the handler is stopped through it."""
        delivery = running.delivery
        self.running = running
        self.delivery = delivery
        self.scope = scope
        self.handler = handlers[delivery.queue.type]
        running.coding = self.handler.policy.coding
        self.policy = AttemptPolicy.of(delivery.spec, self.handler.policy, delivery.attempts)
        self.queue_wait_s = queue_wait_s(delivery)
        self.run_s = 0.0
        """The time that the handler took, with its decoding."""
