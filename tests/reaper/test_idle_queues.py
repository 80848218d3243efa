"""The idle queues are those that a duty skips for a while."""

import time

from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_reaper.idle_queues import IdleQueues

QUEUES = [Queue(DEFAULT_TENANT, JobType(name)) for name in ("a", "b", "c")]
FAR_S = 3600.0


def test_others_are_those_that_are_not_skipped_any_longer() -> None:
    """A queue is skipped until its time, and checked like a new one afterwards."""
    idle = IdleQueues()
    assert idle.others(QUEUES) == QUEUES
    idle.skip_until(QUEUES[0], time.monotonic() + FAR_S)
    idle.skip_until(QUEUES[1], time.monotonic())
    assert idle.others(QUEUES) == QUEUES[1:]
    assert idle.others(QUEUES) == QUEUES[1:]


def test_a_queue_that_is_gone_and_comes_back_is_new() -> None:
    """A queue that left and came back is not skipped."""
    idle = IdleQueues()
    idle.skip_until(QUEUES[0], time.monotonic() + FAR_S)
    idle.others(QUEUES[1:])
    assert idle.others(QUEUES) == QUEUES
