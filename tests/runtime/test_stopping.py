"""Signals are orders to a service, each graver than the one before."""

import os
import signal

import pytest
import structlog
from waiting import wait_until

from millstream_runtime import heed_stop_signals, stop_signals


async def heard(*numbers: signal.Signals) -> list[str]:
    """Return the order that each of these signals became, sent one after the other."""
    with structlog.testing.capture_logs() as lines:
        async with heed_stop_signals():
            for count, number in enumerate(numbers, start=1):
                os.kill(os.getpid(), number)
                await wait_until(lambda count=count: len(lines) == count, "it is heard")
    return [line["event"] for line in lines]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_each_order_is_graver_than_the_one_before(number: signal.Signals) -> None:
    """Each signal is a graver order than the one before, up to the third."""
    assert await heard(*[number] * 4) == ["stopping", "hurrying", "abandoning", "stopping already"]


async def test_a_hang_up_is_the_first_order_and_no_other() -> None:
    """SIGHUP, which a terminal sends several times, is the first order and never a later one."""
    found = await heard(signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGHUP)
    assert found == ["stopping", "stopping already", "hurrying", "stopping already"]


async def test_a_signal_that_means_nothing_is_no_order() -> None:
    """A signal without a meaning is no order, and the log names it."""
    assert await heard(signal.SIGUSR2, signal.SIGTERM) == ["signal ignored", "stopping"]


def test_a_hang_up_that_is_ignored_is_none_of_the_orders() -> None:
    """A SIGHUP that the process ignores, as under nohup, stays ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in stop_signals()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.SIGHUP in stop_signals()
