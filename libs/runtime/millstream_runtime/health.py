"""Health of a service, for probes and for people.

Live means that the service makes progress, not that its process exists: it has claimed, answered or passed lately.
Ready means that its dependencies answer.
"""

import time
from collections.abc import Callable, Iterable

from msgspec import Struct

from millstream_contracts import DutyInfo


class HealthCheck(Struct, frozen=True, omit_defaults=True):
    """The result of one check."""

    name: str
    ok: bool
    detail: str = ""


class Health(Struct, frozen=True):
    """The results of several checks, and whether all of them passed."""

    ok: bool
    checks: list[HealthCheck]

    @classmethod
    def of(cls, checks: Iterable[HealthCheck]) -> "Health":
        """Return the health that some checks add up to. Without a check it is good."""
        listed = list(checks)
        return cls(all(check.ok for check in listed), listed)


class HealthOverview(Struct, frozen=True):
    """All checks of a service, for people."""

    service: str
    ok: bool
    uptime_s: float
    live: list[HealthCheck]
    ready: list[HealthCheck]


class HealthReport:
    """Answers questions about the health of a service.

    The thread of the probe calls `live` and `ready`, so these read recorded state and do no I/O.
    """

    def __init__(self, service: str, *, live: Callable[[], Health], ready: Callable[[], Health]) -> None:
        self.service = service
        self.live = live
        self.ready = ready
        self._duties: Callable[[], list[DutyInfo]] = list
        self._started_at = time.monotonic()

    @classmethod
    def waiting_for(cls, service: str, dependency: str, why: Callable[[], str]) -> "HealthReport":
        """Return the report of a service that waits for a dependency at its start: live, and not ready.

        `why` returns the last failure, or an empty text before the first.
        """

        def ready() -> Health:
            return Health.of([HealthCheck(dependency, ok=False, detail=why() or "waited for at the start")])

        return cls(service, live=lambda: Health.of([]), ready=ready)

    def take_over(
        self,
        *,
        live: Callable[[], Health],
        ready: Callable[[], Health],
        duties: Callable[[], list[DutyInfo]] = list,
    ) -> None:
        """Ask these functions from now on: the service has begun."""
        self.live, self.ready, self._duties = live, ready, duties

    def told_duties(self) -> list[DutyInfo]:
        """Return how the duties fare; none before the service has begun, or where it has none."""
        return self._duties()

    def overview(self) -> HealthOverview:
        """Return all checks at once."""
        live, ready = self.live(), self.ready()
        uptime_s = round(time.monotonic() - self._started_at, 1)
        return HealthOverview(self.service, live.ok and ready.ok, uptime_s, live.checks, ready.checks)


class Pulse:
    """Remembers when a loop last showed that it makes progress.

    A new pulse counts as beaten just now. Any thread may beat it; a beat costs one look at the clock.
    """

    def __init__(self, name: str, within_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._within_s = within_s
        self._clock = clock
        self._beaten_at = clock()

    def beat(self) -> None:
        """Record progress now."""
        self._beaten_at = self._clock()

    def check(self) -> HealthCheck:
        """Return whether the last beat is within the time allowed."""
        age_s = self._clock() - self._beaten_at
        return HealthCheck(self._name, age_s <= self._within_s, f"{age_s:.1f} s ago, {self._within_s:g} s allowed")
