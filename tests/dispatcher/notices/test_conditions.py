"""Which conditions hold, of what was measured."""

from datetime import UTC, datetime
from typing import Any

import pytest

from millstream_contracts import BreakerState, BulkOperation, JobType, OperationState, QueueStatus, Webhook, WorkerInfo
from millstream_dispatcher.notices.conditions import (
    DAYS_AHEAD_LEAST,
    OPERATION_PAUSED,
    Limits,
    history_condition,
    operation_conditions,
    partition_condition,
    queue_conditions,
    webhook_conditions,
)
from millstream_history import BY_HAND

LIMITS = Limits(dead_after_s=300, no_worker_after_s=60, history_behind_s=300)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def queue(**fields: Any) -> QueueStatus:
    """Return an empty queue, changed by these fields."""
    empty = {"high": 0, "normal": 0, "low": 0}
    known = {"partitions": 1, "queued": empty, "running": 0, "scheduled": 0, "blocked": 0, "dead": 0, "paused": False}
    ages = {"oldest_ready_age_s": 0.0, "oldest_dead_age_s": 0.0}
    return QueueStatus(**{"type": JobType("a"), **known, **ages, **fields})


WAITING = {"queued": {"high": 1, "normal": 2, "low": 0}, "oldest_ready_age_s": 60.0}
WORKER = WorkerInfo(name="w", types=["a"], concurrency=1, running=[], busy=0, started_at=NOW, seen_at=NOW, version="")


@pytest.mark.parametrize(
    ("fields", "workers", "told"),
    [
        ({}, [], []),
        ({"dead": 1, "oldest_dead_age_s": 299.0}, [], []),
        ({"dead": 1, "oldest_dead_age_s": 300.0}, [], ["dead-letters a: 1 dead letter of type a"]),
        ({"dead": 1200, "oldest_dead_age_s": 300.0}, [], ["dead-letters a: 1,200 dead letters of type a"]),
        (WAITING, [], ["no-worker a: 3 jobs of type a, and no worker that handles it"]),
        (WAITING, [WORKER], []),
        ({**WAITING, "oldest_ready_age_s": 59.0}, [], []),
        ({**WAITING, "paused": True}, [], []),
    ],
)
def test_queue_is_a_condition_when_its_dead_are_old_or_no_worker_comes(
    fields: dict[str, Any], workers: list[WorkerInfo], told: list[str]
) -> None:
    """Old dead letters are a condition, and jobs that wait without a worker for their type, unless it is paused."""
    found = queue_conditions([queue(**fields)], workers, LIMITS)
    assert [f"{one.id}: {one.summary}" for one in found] == told


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (None, []),
        ("closed", []),
        ("open", ["breaker-open a: the circuit breaker of type a is open, and holds back 3 jobs"]),
        ("half-open", ["breaker-open a: the circuit breaker of type a is half-open, and holds back 3 jobs"]),
        ("forced-open", []),
    ],
)
def test_a_breaker_is_a_condition_when_it_has_opened_by_itself(state: str | None, told: list[str]) -> None:
    """An open breaker and a half-open one are a condition; what an operator has opened, operators know."""
    breaker = None if state is None else BreakerState(state)
    found = queue_conditions([queue(**WAITING, breaker=breaker)], [WORKER], LIMITS)
    assert [f"{one.id}: {one.summary}" for one in found] == told


def test_history_is_a_condition_when_it_is_far_behind() -> None:
    """A history that is behind by the limit is a condition."""
    assert list(history_condition(299.0, LIMITS)) == []
    assert [one.summary for one in history_condition(600.0, LIMITS)] == ["the history is 10 minutes behind"]


def test_partitions_are_a_condition_when_few_days_are_ahead() -> None:
    """Too few days with partitions are a condition before rows have nowhere to go."""
    assert list(partition_condition(DAYS_AHEAD_LEAST)) == []
    assert len(list(partition_condition(DAYS_AHEAD_LEAST - 1))) == 1


def test_endpoint_is_a_condition_when_deliveries_have_disabled_it() -> None:
    """An endpoint that was disabled by its deliveries is a condition, and one that a person has disabled is not."""
    known = {"url": "https://a/", "types": ["*"], "events": [], "payloads": False, "description": "", "created_at": NOW}
    webhooks = [
        Webhook(id="on", **known),
        Webhook(id="gone", **known, disabled_at=NOW, disabled_reason="gone"),
        Webhook(id="off", **known, disabled_at=NOW, disabled_reason=BY_HAND),
    ]
    assert [one.key for one in webhook_conditions(webhooks)] == ["gone"]


def test_operation_is_a_condition_when_its_trial_has_failed() -> None:
    """An operation that its canary has paused waits for a person, and one that a person has paused is not told."""
    known = {"kind": "redrive", "state": OperationState.PAUSED, "rate": 1.0, "created_at": NOW, "updated_at": NOW}
    paused = [
        BulkOperation(id="op_1", detail="of 20 jobs of the canary 9 died again", **known),
        BulkOperation(id="op_2", detail=BY_HAND, **known),
    ]
    [found] = operation_conditions(paused)
    assert (found.rule, found.key) == (OPERATION_PAUSED, "op_1")
    assert "9 died again" in found.summary
