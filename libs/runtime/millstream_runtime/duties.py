"""Runs periodic duties: each gets its interval, jitter, metrics, error log, backoff and stop from here.

A dispatcher or a reaper is a list of duties under one runner. A duty that fails never stops the others.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import anyio
import anyio.lowlevel
from msgspec import Struct

from millstream_contracts import Backoff
from millstream_runtime.failure_log import FailureLog
from millstream_runtime.health import Health, HealthCheck, Pulse
from millstream_runtime.wake import Wake
from millstream_telemetry.metrics.groups import DutyMetrics

# Only ever shorter than the interval, because promises are made in intervals: "lease plus one reaper pass".
_JITTER = (0.8, 1.0)

# A duty that thinks its next work is due, while Redis does not yet, must not spin.
_SHORTEST_SLEEP_S = 0.001

LAST_PASS_S = 2.0
"""How long a pass may go on once its service is to stop. Without Redis it would sit out its patience."""

_LIVE_INTERVALS = 3.0
_LIVE_LEAST_S = 60.0

RETRY = Backoff(kind="exponential", base_s=0.25, cap_s=5.0)
"""Delay after failed passes: short, because what failed is mostly Redis, and everything waits for it."""


class DutyResult(Struct, frozen=True):
    """What a pass says about the next one. A duty adds fields of its own in a subclass."""

    more: bool = False
    """There is more of the same to do: run again at once."""
    next_in_s: float | None = None
    """Nothing will be due before this; at most an interval is slept all the same."""


class Duty(Protocol):
    """Something to be done again and again.

    A duty may have an attribute `wake: Wake` by which it is called before its interval is over.
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
        """Do what is to be done now. Any exception makes the pass a failed one."""
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
        """What duties cannot do without, and the error by which they say that it is missing."""
        self._checks = checks
        """What else tells whether they can do their work. Called by any thread."""
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
        """Return whether what the duties need is there, and whether the last pass of each went well."""
        needs = [self._check_need(name, error) for name, error in self._needs.items()]
        others = [check() for check in self._checks]
        return Health.of([*needs, *others, *(keeper.check() for keeper in self._keepers)])

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
        """Set when it runs no more."""
        self._duty = duty
        self._metrics = metrics
        self._retry = retry
        self.failures = FailureLog(duty.name)
        self._has_passed = False

    async def run(self, stop: anyio.Event) -> None:
        """Run the duty, at once and then at its interval, until `stop` is set."""
        while not stop.is_set():
            result = await self._pass()
            if result is None:
                # Not the duty's own bell: what rings it is new work, and that would make us hammer.
                with anyio.move_on_after(self._retry.delay_s(self.failures.failures)):
                    await stop.wait()
            elif result.more:
                await anyio.lowlevel.checkpoint()
            else:
                await self.wake.wait(self.sleep_s(result))
        self.ended.set()

    def check(self) -> HealthCheck:
        """Return whether the last pass went well; not before the first has ended."""
        if not self._has_passed:
            return HealthCheck(self.name, ok=False, detail="no pass has ended yet")
        return HealthCheck(self.name, not self.failures.failures, self.failures.last_error)

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
        except Exception as error:  # noqa: BLE001 - the one place: a duty must outlive whatever it meets
            self.failures.failed(error)
        else:
            self.failures.succeeded()
        self._has_passed = True
        self.pulse.beat()
        self._metrics.observe_pass(self.name, time.perf_counter() - started, ok=result is not None)
        return result
