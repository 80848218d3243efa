"""The clock of Redis as a process knows it: near the truth, whatever this machine's own clock says."""

import pytest
from streams.seeds import seed

from millstream_contracts import Queue
from millstream_streams import Broker, RedisClock

TWO_HOURS_S = 7_200.0
AT_S = 1_800_000_000.0
NEAR_S = 5.0
"""More than an answer can take on a busy machine, and nothing beside the two hours."""


class Machine:
    """A machine's clocks, which are moved by hand."""

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
    """There is no better one."""
    assert Machine(AT_S).clock().now_s() == AT_S


@pytest.mark.parametrize("skew_s", [-TWO_HOURS_S, TWO_HOURS_S])
def test_one_answer_is_enough_to_know_the_time(skew_s: float) -> None:
    """However wrong this machine is, the error that is left is less than half of what the answer took."""
    machine = Machine(AT_S + skew_s)
    clock, asked_at = machine.clock(), machine.monotonic_s
    machine.pass_s(0.004)
    clock.heard(AT_S, asked_at, step_s=0.0)
    assert abs(clock.now_s() - AT_S) <= 0.0021


def test_an_answer_is_taken_for_one_of_the_middle() -> None:
    """Redis answered between question and answer: half of that time is the smallest error."""
    machine = Machine(AT_S + TWO_HOURS_S)
    clock, asked_at = machine.clock(), machine.monotonic_s
    machine.pass_s(4.0)
    clock.heard(AT_S, asked_at, step_s=0.0)
    assert clock.now_s() == pytest.approx(AT_S + 2.0, abs=1e-6)


def test_a_time_in_whole_milliseconds_contradicts_no_better_one() -> None:
    """A script cuts off what is less than a millisecond: a clock that knows it keeps it."""
    machine = Machine(AT_S + 0.0009)
    clock = machine.clock()
    clock.heard(AT_S, machine.monotonic_s)
    assert clock.now_s() == pytest.approx(AT_S + 0.0009, abs=1e-6)


def test_a_slow_answer_does_not_spoil_what_a_quick_one_told() -> None:
    """A slow answer only says that the time was somewhere in between, which is known better."""
    machine = Machine(AT_S + TWO_HOURS_S)
    clock = machine.clock()
    clock.heard(AT_S, machine.monotonic_s, step_s=0.0)
    asked_at = machine.monotonic_s
    machine.pass_s(9.0)
    clock.heard(AT_S + 1.0, asked_at, step_s=0.0)
    assert abs(clock.now_s() - (AT_S + 9.0)) < 0.001


def test_a_change_of_this_machine_changes_nothing_and_one_of_redis_is_followed() -> None:
    """An operator corrects the one; a failover leads to the other."""
    machine = Machine(AT_S)
    clock = machine.clock()
    clock.heard(AT_S, machine.monotonic_s, step_s=0.0)
    machine.wall_s += TWO_HOURS_S
    assert clock.now_s() == pytest.approx(AT_S)
    clock.heard(AT_S - 60, machine.monotonic_s, step_s=0.0)
    assert clock.now_s() == pytest.approx(AT_S - 60)


def test_milliseconds_and_seconds_are_one_time() -> None:
    """Jobs are stored in the one and judged in the other."""
    clock = Machine(AT_S + 0.0625).clock()
    assert (clock.now_ms(), clock.now_s()) == (1_800_000_000_062, AT_S + 0.0625)


@pytest.fixture(params=[-TWO_HOURS_S, TWO_HOURS_S], ids=["behind", "ahead"])
def skewed(broker: Broker, request: pytest.FixtureRequest) -> Broker:
    """Return a broker on a machine whose clock is wrong."""
    broker.clock._offset_s += request.param
    return broker


async def test_a_look_learns_the_time(skewed: Broker) -> None:
    """On every kind of server; a cluster has one time, as far as its nodes agree."""
    await skewed.look_at_clock()
    assert await error_s(skewed) < NEAR_S


async def test_a_claim_learns_the_time(skewed: Broker, queue: Queue) -> None:
    """A handler that submits knows the time, and no worker asks for it."""
    await seed(skewed, queue)
    await skewed.store.claim(queue, consumer="w", nonce="n", limit=1)
    assert await error_s(skewed) < NEAR_S


async def error_s(broker: Broker) -> float:
    """Return how far the clock is from what Redis says itself."""
    seconds, microseconds = await broker.client.time()
    return abs(broker.clock.now_s() - (seconds + microseconds / 1e6))
