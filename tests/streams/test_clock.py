"""The broker's estimate of the clock of Redis is close to it, whatever the clock of this machine says."""

import pytest
from streams.seeds import seed
from waiting import wait_until

from millstream_contracts import Queue
from millstream_streams import Broker, RedisClock

TWO_HOURS_S = 7_200.0
AT_S = 1_800_000_000.0
NEAR_S = 5.0
"""More than a response takes on a busy machine, and far less than the two hours."""


class Machine:
    """The clocks of a machine, which the test sets."""

    def __init__(self, wall_s: float) -> None:
        self.wall_s = wall_s
        self.monotonic_s = 1_000.0

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.wall_s += seconds
        self.monotonic_s += seconds

    def clock(self) -> RedisClock:
        """Return a clock of Redis on this machine."""
        return RedisClock(lambda: self.monotonic_s, lambda: self.wall_s)


def test_before_the_first_answer_it_is_the_clock_of_this_machine() -> None:
    """Before the first response the estimate is the clock of this machine."""
    assert Machine(AT_S).clock().now_s() == AT_S


@pytest.mark.parametrize("skew_s", [-TWO_HOURS_S, TWO_HOURS_S])
def test_one_answer_is_enough_to_know_the_time(skew_s: float) -> None:
    """After one response the error of the estimate is at most half of the round trip, however wrong this machine is."""
    machine = Machine(AT_S + skew_s)
    clock, asked_at = machine.clock(), machine.monotonic_s
    machine.pass_s(0.004)
    clock.heard(AT_S, asked_at, step_s=0.0)
    assert abs(clock.now_s() - AT_S) <= 0.0021


def test_an_answer_is_taken_for_one_of_the_middle() -> None:
    """A response is dated to the middle of its round trip, which bounds the error by half of it."""
    machine = Machine(AT_S + TWO_HOURS_S)
    clock, asked_at = machine.clock(), machine.monotonic_s
    machine.pass_s(4.0)
    clock.heard(AT_S, asked_at, step_s=0.0)
    assert clock.now_s() == pytest.approx(AT_S + 2.0, abs=1e-6)


def test_a_time_in_whole_milliseconds_contradicts_no_better_one() -> None:
    """A time that a script has cut to milliseconds does not replace a more exact estimate that agrees with it."""
    machine = Machine(AT_S + 0.0009)
    clock = machine.clock()
    clock.heard(AT_S, machine.monotonic_s)
    assert clock.now_s() == pytest.approx(AT_S + 0.0009, abs=1e-6)


def test_a_slow_answer_does_not_spoil_what_a_quick_one_told() -> None:
    """A slow response does not replace the estimate of a quick one."""
    machine = Machine(AT_S + TWO_HOURS_S)
    clock = machine.clock()
    clock.heard(AT_S, machine.monotonic_s, step_s=0.0)
    asked_at = machine.monotonic_s
    machine.pass_s(9.0)
    clock.heard(AT_S + 1.0, asked_at, step_s=0.0)
    assert abs(clock.now_s() - (AT_S + 9.0)) < 0.001


def test_a_change_of_this_machine_changes_nothing_and_one_of_redis_is_followed() -> None:
    """A correction of this machine's clock changes nothing, and one of Redis, as in a failover, is followed."""
    machine = Machine(AT_S)
    clock = machine.clock()
    clock.heard(AT_S, machine.monotonic_s, step_s=0.0)
    machine.wall_s += TWO_HOURS_S
    assert clock.now_s() == pytest.approx(AT_S)
    clock.heard(AT_S - 60, machine.monotonic_s, step_s=0.0)
    assert clock.now_s() == pytest.approx(AT_S - 60)


def test_milliseconds_and_seconds_are_one_time() -> None:
    """The estimates in milliseconds and in seconds are the same time."""
    clock = Machine(AT_S + 0.0625).clock()
    assert (clock.now_ms(), clock.now_s()) == (1_800_000_000_062, AT_S + 0.0625)


@pytest.fixture(params=[-TWO_HOURS_S, TWO_HOURS_S], ids=["behind", "ahead"])
def skewed(broker: Broker, request: pytest.FixtureRequest) -> Broker:
    """Return a broker on a machine whose clock is wrong."""
    broker.clock._offset_s += request.param
    return broker


async def test_a_look_learns_the_time(skewed: Broker) -> None:
    """A look at a server of any kind updates the estimate; the nodes of a cluster share one."""

    async def has_learned() -> bool:
        # A look gives up after a second, in which a busy machine may not even connect.
        await skewed.look_at_clock()
        return await error_s(skewed) < NEAR_S

    await wait_until(has_learned, "a look has learned the time")


async def test_a_claim_learns_the_time(skewed: Broker, queue: Queue) -> None:
    """A claim updates the estimate, so that a submitting handler needs no request of its own."""
    await seed(skewed, queue)
    await skewed.store.claim(queue, consumer="w", nonce="n", limit=1)
    assert await error_s(skewed) < NEAR_S


async def error_s(broker: Broker) -> float:
    """Return the difference between the estimate and the clock of Redis."""
    seconds, microseconds = await broker.client.time()
    return abs(broker.clock.now_s() - (seconds + microseconds / 1e6))
