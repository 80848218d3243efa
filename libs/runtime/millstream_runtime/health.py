"""Whether a service works, as probes ask and as people read it.

Live means that it does its duty, not that its process exists: it has claimed, answered or passed lately.
Ready means that what it needs answers.
"""

import time
from collections.abc import Callable, Iterable

from msgspec import Struct


class HealthCheck(Struct, frozen=True, omit_defaults=True):
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str = ""


class Health(Struct, frozen=True):
    """What was looked at, and whether all of it is well."""

    ok: bool
    checks: list[HealthCheck]

    @classmethod
    def of(cls, checks: Iterable[HealthCheck]) -> "Health":
        """Return the sum of some checks; no checks at all is well."""
        listed = list(checks)
        return cls(all(check.ok for check in listed), listed)


class HealthOverview(Struct, frozen=True):
    """All of a service's checks, for people."""

    service: str
    ok: bool
    uptime_s: float
    live: list[HealthCheck]
    ready: list[HealthCheck]


class HealthReport:
    """What a service can be asked about its health.

    `live` and `ready` are called by the thread that answers the probe, so they only read what the service
    has noted; they do no I/O.
    """

    def __init__(self, service: str, *, live: Callable[[], Health], ready: Callable[[], Health]) -> None:
        self.service = service
        self.live = live
        self.ready = ready
        self._started_at = time.monotonic()

    @classmethod
    def waiting_for(cls, service: str, dependency: str, why: Callable[[], str]) -> "HealthReport":
        """Return the report of a service that cannot begin yet: live, and not ready for want of this.

        `why` says what keeps it from beginning, as far as that is known.
        """

        def ready() -> Health:
            return Health.of([HealthCheck(dependency, ok=False, detail=why() or "waited for at the start")])

        return cls(service, live=lambda: Health.of([]), ready=ready)

    def take_over(self, *, live: Callable[[], Health], ready: Callable[[], Health]) -> None:
        """Ask these from now on: the service has begun."""
        self.live, self.ready = live, ready

    def overview(self) -> HealthOverview:
        """Return everything at once."""
        live, ready = self.live(), self.ready()
        uptime_s = round(time.monotonic() - self._started_at, 1)
        return HealthOverview(self.service, live.ok and ready.ok, uptime_s, live.checks, ready.checks)


class Pulse:
    """Remembers when something last happened that shows a loop to be at work.

    It starts as if it had just happened. Beating costs one look at the clock and may be done by any thread.
    """

    def __init__(self, name: str, within_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._within_s = within_s
        self._clock = clock
        self._beaten_at = clock()

    def beat(self) -> None:
        """Note that it happened now."""
        self._beaten_at = self._clock()

    def check(self) -> HealthCheck:
        """Return whether it happened within the time allowed."""
        age_s = self._clock() - self._beaten_at
        return HealthCheck(self._name, age_s <= self._within_s, f"{age_s:.1f} s ago, {self._within_s:g} s allowed")
