"""What signals mean to a service, in this process."""

import os
import signal

import pytest
import structlog
from waiting import wait_until

from millstream_runtime import heed_stop_signals, stop_signals


async def heard(*numbers: signal.Signals) -> list[str]:
    """Return what each of these signals was taken for, sent one after the other."""
    with structlog.testing.capture_logs() as lines:
        async with heed_stop_signals():
            for count, number in enumerate(numbers, start=1):
                os.kill(os.getpid(), number)
                await wait_until(lambda count=count: len(lines) == count, "it is heard")
    return [line["event"] for line in lines]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_each_order_is_graver_than_the_one_before(number: signal.Signals) -> None:
    """The third leaves at once, and there is nothing beyond."""
    assert await heard(*[number] * 4) == ["stopping", "hurrying", "abandoning", "stopping already"]


async def test_a_hang_up_is_the_first_order_and_no_other() -> None:
    """One terminal that closes sends several, and what runs must get its time to end."""
    found = await heard(signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGHUP)
    assert found == ["stopping", "stopping already", "hurrying", "stopping already"]


async def test_a_signal_that_means_nothing_is_no_order() -> None:
    """The log names the signal, for the operator who expects an effect."""
    assert await heard(signal.SIGUSR2, signal.SIGTERM) == ["signal ignored", "stopping"]


def test_a_hang_up_that_is_ignored_is_none_of_the_orders() -> None:
    """Neither is it heard, nor is it made one again by listening for it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in stop_signals()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.SIGHUP in stop_signals()
