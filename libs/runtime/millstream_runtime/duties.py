"""Runs periodic duties: each gets its interval, jitter, metrics, error log, backoff and stop from here.

A dispatcher or a reaper is a list of duties under one runner. A duty that fails never stops the others.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

import anyio
import anyio.lowlevel
from msgspec import Struct
from msgspec.structs import replace

from millstream_contracts import Backoff, DutyInfo
from millstream_runtime.failure_log import FailureLog
from millstream_runtime.health import Health, HealthCheck, Pulse
from millstream_runtime.wake import Wake
from millstream_telemetry.metrics.every_service import DutyMetrics

# Factors of the interval, never above 1: guarantees are stated in intervals, such as "lease plus one reaper pass".
_JITTER = (0.8, 1.0)

# A duty must not spin when its work is due by its own clock and not yet by that of Redis.
_SHORTEST_SLEEP_S = 0.001

LAST_PASS_S = 2.0
"""How long a pass may go on after the order to stop. A call to an absent Redis would last for all of its patience."""

_LIVE_INTERVALS = 3.0
_LIVE_LEAST_S = 60.0

RETRY = Backoff(kind="exponential", base_s=0.25, cap_s=5.0)
"""Delay after a failed pass. It is short, because most failures are those of Redis, and all jobs wait for it."""


class DutyResult(Struct, frozen=True):
    """What a pass says about the next one. Duties add fields in subclasses."""

    more: bool = False
    """More work is left: run again at once."""
    next_in_s: float | None = None
    """Time until the next work is due. The duty sleeps for one interval at most all the same."""


class Duty(Protocol):
    """Periodic work.

    A duty may have an attribute `wake: Wake`, which ends its sleep before the interval is over.
    """

    @property
    def name(self) -> str:
        """Unique within the service, and a label of its metrics."""
        ...

    @property
    def interval_s(self) -> float:
        """Longest time between two passes that go well."""
        ...

    async def run_once(self) -> DutyResult:
        """Do the work that is due. Any exception makes this a failed pass."""
        ...


class DutyRunner:
    """Runs a list of duties side by side until it is told to stop."""

    def __init__(
        self,
        duties: Sequence[Duty],
        metrics: DutyMetrics,
        *,
        retry: Backoff = RETRY,
        needs: Mapping[str, type[Exception]] = {},
        checks: Sequence[Callable[[], HealthCheck]] = (),
        last_pass_s: float = LAST_PASS_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._needs = needs
        """Dependencies by name, and the error by which duties report that one is missing."""
        self._checks = checks
        """Further readiness checks. Any thread may call them."""
        self._last_pass_s = last_pass_s
        self._keepers = [DutyKeeper(duty, metrics, retry, clock) for duty in duties]

    async def run(self, stop: anyio.Event) -> None:
        """Run until `stop` is set. A pass that is under way is finished, or cut off after `last_pass_s`."""
        async with anyio.create_task_group() as tasks:
            for keeper in self._keepers:
                tasks.start_soon(keeper.run, stop, name=keeper.name)
            await stop.wait()
            for keeper in self._keepers:
                keeper.wake.set()
            with anyio.move_on_after(self._last_pass_s):
                for keeper in self._keepers:
                    await keeper.ended.wait()
            tasks.cancel_scope.cancel()

    def live(self) -> Health:
        """Return whether each duty has ended a pass lately, well or not."""
        return Health.of(keeper.pulse.check() for keeper in self._keepers)

    def ready(self) -> Health:
        """Return whether every dependency is there, and whether the last pass of each duty went well."""
        needs = [self._check_need(name, error) for name, error in self._needs.items()]
        others = [check() for check in self._checks]
        return Health.of([*needs, *others, *(keeper.check() for keeper in self._keepers)])

    def duties(self) -> list[DutyInfo]:
        """Return how each duty fares, for heartbeats."""
        return [keeper.told() for keeper in self._keepers]

    def _check_need(self, name: str, error: type[Exception]) -> HealthCheck:
        missed = [keeper.failures.last_error for keeper in self._keepers if isinstance(keeper.failures.error, error)]
        return HealthCheck(name, not missed, missed[0] if missed else "")


class DutyKeeper:
    """Runs one duty."""

    def __init__(
        self, duty: Duty, metrics: DutyMetrics, retry: Backoff, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = duty.name
        self.pulse = Pulse(duty.name, max(_LIVE_LEAST_S, _LIVE_INTERVALS * duty.interval_s), clock)
        self.wake: Wake = getattr(duty, "wake", None) or Wake()
        self.ended = anyio.Event()
        """Set when the duty has ended for good."""
        self._duty = duty
        self._metrics = metrics
        self._retry = retry
        self.failures = FailureLog(duty.name)
        self._has_passed = False
        self._told = DutyInfo(name=duty.name)
        metrics.begin(duty.name)

    async def run(self, stop: anyio.Event) -> None:
        """Run the duty, at once and then at its interval, until `stop` is set."""
        while not stop.is_set():
            result = await self._pass()
            if result is None:
                # Not the duty's wake event: new work keeps setting it, and the duty would hammer a failing Redis.
                with anyio.move_on_after(self._retry.delay_s(self.failures.failures)):
                    await stop.wait()
            elif result.more:
                await anyio.lowlevel.checkpoint()
            else:
                await self.wake.wait(self.sleep_s(result))
        self.ended.set()

    def check(self) -> HealthCheck:
        """Return whether the last pass went well. Before the first has ended, the answer is no."""
        if not self._has_passed:
            return HealthCheck(self.name, ok=False, detail="no pass has ended yet")
        return HealthCheck(self.name, not self.failures.failures, self.failures.last_error)

    def told(self) -> DutyInfo:
        """Return how the duty fares."""
        return replace(self._told, failures=self.failures.failures)

    def sleep_s(self, result: DutyResult) -> float:
        """Return how long to sleep after a pass that went well: at most the interval, and less if it asks for that."""
        interval_s = self._duty.interval_s * random.uniform(*_JITTER)
        wanted_s = interval_s if result.next_in_s is None else min(result.next_in_s, interval_s)
        return max(wanted_s, _SHORTEST_SLEEP_S)

    async def _pass(self) -> DutyResult | None:
        """Run the duty once; None when it failed."""
        started = time.perf_counter()
        result: DutyResult | None = None
        try:
            result = await self._duty.run_once()
        except Exception as error:  # noqa: BLE001 - the one place: a duty outlives every failure of a pass
            self.failures.failed(error)
            self._told = replace(self._told, last_error=self.failures.last_error, last_error_at=datetime.now(UTC))
        else:
            self.failures.succeeded()
            self._told = replace(self._told, last_success_at=datetime.now(UTC))
        self._has_passed = True
        self.pulse.beat()
        self._metrics.observe_pass(self.name, time.perf_counter() - started, ok=result is not None)
        return result
