"""A queue whose consistency is checked when its test ends."""

from collections.abc import AsyncIterator

import pytest
from streams.audit import audit

from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_streams import Broker


@pytest.fixture
async def queue(broker: Broker) -> AsyncIterator[Queue]:
    """Yield a queue in which every job has to be in exactly one place at the end."""
    queue = Queue(DEFAULT_TENANT, JobType("email.send"))
    yield queue
    await audit(broker, queue)


@pytest.fixture
def torn_queue() -> Queue:
    """Return a queue that a test damages on purpose: nothing is checked at the end."""
    return Queue(DEFAULT_TENANT, JobType("report.generate"))
