"""The queues that need no look for a while."""

import time

from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_reaper.quiet_queues import QuietQueues

QUEUES = [Queue(DEFAULT_TENANT, JobType(name)) for name in ("a", "b", "c")]
FAR_S = 3600.0


def test_others_are_those_that_are_not_left_alone_any_longer() -> None:
    """The time is a bound: after it a queue is looked at like a new one."""
    quiet = QuietQueues()
    assert quiet.others(QUEUES) == QUEUES
    quiet.leave_alone(QUEUES[0], time.monotonic() + FAR_S)
    quiet.leave_alone(QUEUES[1], time.monotonic())
    assert quiet.others(QUEUES) == QUEUES[1:]


def test_a_queue_that_is_gone_and_comes_back_is_new() -> None:
    """What was known of it is forgotten with it."""
    quiet = QuietQueues()
    quiet.leave_alone(QUEUES[0], time.monotonic() + FAR_S)
    quiet.others(QUEUES[1:])
    assert quiet.others(QUEUES) == QUEUES


def test_disturb_one_takes_them_in_turn() -> None:
    """The one whose time is over first; so each has its turn, and none is asked again and again."""
    quiet = QuietQueues()
    assert quiet.disturb_one() == []
    for after_s, queue in zip((2, 1, 3), QUEUES, strict=True):
        quiet.leave_alone(queue, time.monotonic() + after_s * FAR_S)
    assert [quiet.disturb_one() for _ in range(4)] == [[QUEUES[1]], [QUEUES[0]], [QUEUES[2]], []]
    assert quiet.others(QUEUES) == QUEUES
