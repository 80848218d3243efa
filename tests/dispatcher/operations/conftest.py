"""Fixtures of tests of operations."""

from collections.abc import AsyncIterator

import pytest
from dispatcher.operations.scene import Scene
from intakes import intake_of

from millstream_contracts import Queue
from millstream_dispatcher.operations.operator import Operator
from millstream_history import History, open_history
from millstream_streams import Broker
from millstream_submission import KnownQueues, SystemSubmitter
from millstream_telemetry import JobTracer, MetricRegistry, OperationMetrics


@pytest.fixture
async def history(history_url: str) -> AsyncIterator[History]:
    """Yield a history with empty tables."""
    async with open_history(history_url) as opened:
        yield opened


@pytest.fixture
def queue(queues: list[Queue]) -> Queue:
    """Return one of the queues."""
    return queues[0]


@pytest.fixture
def tracer() -> JobTracer:
    """Return a tracer that makes no spans."""
    return JobTracer(None)


@pytest.fixture
def operator(history: History, broker: Broker, metrics: MetricRegistry, tracer: JobTracer) -> Operator:
    """Return the duty."""
    intake = intake_of(broker)
    queues = KnownQueues(broker.registry)
    submitter = SystemSubmitter(broker.store, queues, intake, tracer, clock=broker.clock.now_s)
    shown = OperationMetrics(metrics)
    return Operator(history, broker, shown, intake=intake, submitter=submitter, tracer=tracer, deletion_settles_s=0.0)


@pytest.fixture
def scene(broker: Broker, history: History, queue: Queue, operator: Operator, history_url: str) -> Scene:
    """Return a scene."""
    return Scene(broker, history, queue, operator, history_url)
