"""Which conditions hold: pure functions of what was measured."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from millstream_contracts import BreakerState, BulkOperation, QueueStatus, Webhook, WorkerInfo
from millstream_history import BY_HAND

DEAD_LETTERS, NO_WORKER, HISTORY_BEHIND = "dead-letters", "no-worker", "history-behind"
PARTITIONS_MISSING, WEBHOOK_DISABLED = "partitions-missing", "webhook-disabled"
OPERATION_PAUSED, SCHEDULE_LATE = "operation-paused", "schedule-late"
BREAKER_OPEN = "breaker-open"
RULES = (
    DEAD_LETTERS,
    NO_WORKER,
    HISTORY_BEHIND,
    PARTITIONS_MISSING,
    WEBHOOK_DISABLED,
    OPERATION_PAUSED,
    SCHEDULE_LATE,
    BREAKER_OPEN,
)

DAYS_AHEAD_LEAST = 3
"""Fewer days with partitions ahead than this are a condition: they should be fourteen."""


class Limits(Struct, frozen=True, kw_only=True):
    """For how long a condition may hold before people are told, in seconds."""

    dead_after_s: float
    no_worker_after_s: float
    history_behind_s: float
    schedule_late_after_s: float = 300.0


class Condition(Struct, frozen=True):
    """Something that is wrong now."""

    rule: str
    key: str
    summary: str

    @property
    def id(self) -> str:
        """Return what tells this condition from the others."""
        return f"{self.rule} {self.key}".rstrip()


def queue_conditions(
    queues: Sequence[QueueStatus], workers: Sequence[WorkerInfo], limits: Limits
) -> Iterator[Condition]:
    """Yield what is wrong with queues: old dead letters, jobs that no worker handles, and open circuit breakers."""
    handled = {job_type for worker in workers for job_type in worker.types}
    for queue in queues:
        if queue.dead and queue.oldest_dead_age_s >= limits.dead_after_s:
            yield Condition(DEAD_LETTERS, queue.type, f"{_count(queue.dead, 'dead letter')} of type {queue.type}")
        waiting, age_s = sum(queue.queued.values()), queue.oldest_ready_age_s
        if waiting and not queue.paused and queue.type not in handled and age_s >= limits.no_worker_after_s:
            told = f"{_count(waiting, 'job')} of type {queue.type}, and no worker that handles it"
            yield Condition(NO_WORKER, queue.type, told)
        # What an operator has opened, operators know.
        if queue.breaker in {BreakerState.OPEN, BreakerState.HALF_OPEN}:
            told = (
                f"the circuit breaker of type {queue.type} is {queue.breaker}, and holds back {_count(waiting, 'job')}"
            )
            yield Condition(BREAKER_OPEN, queue.type, told)


def schedule_conditions(late: Mapping[str, int], now_ms: int) -> Iterator[Condition]:
    """Yield the schedules that do not fire; `late` are the Unix ms at which they should have, by their names."""
    for name, at_ms in late.items():
        told = f"the schedule {name} should have fired {(now_ms - at_ms) / 60_000:.0f} minutes ago"
        yield Condition(SCHEDULE_LATE, name, told)


def history_condition(lag_s: float, limits: Limits) -> Iterator[Condition]:
    """Yield what is wrong with the writing of the history: it is behind, or stands still."""
    if lag_s >= limits.history_behind_s:
        yield Condition(HISTORY_BEHIND, "", f"the history is {lag_s / 60:.0f} minutes behind")


def partition_condition(days_ahead: int) -> Iterator[Condition]:
    """Yield what is wrong with the partitions of the history: too few days have one."""
    if days_ahead < DAYS_AHEAD_LEAST:
        told = f"the history has partitions for {max(0, days_ahead)} more days: no dispatcher makes them"
        yield Condition(PARTITIONS_MISSING, "", told)


def webhook_conditions(webhooks: Sequence[Webhook]) -> Iterator[Condition]:
    """Yield the endpoints that deliveries have disabled."""
    for webhook in webhooks:
        if webhook.disabled_at is not None and webhook.disabled_reason != BY_HAND:
            told = f"the endpoint {webhook.url} is disabled: {webhook.disabled_reason}"
            yield Condition(WEBHOOK_DISABLED, webhook.id, told)


def operation_conditions(paused: Sequence[BulkOperation]) -> Iterator[Condition]:
    """Yield the operations that wait for a person because their trial has failed."""
    for operation in paused:
        if operation.detail != BY_HAND:
            told = f"the operation {operation.id} ({operation.kind}) is paused: {operation.detail}"
            yield Condition(OPERATION_PAUSED, operation.id, told)


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
