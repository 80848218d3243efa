"""Health checks say whether a service is live and ready."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_runtime import Health, HealthCheck, HealthReport, Pulse


@given(st.lists(st.booleans()))
def test_health_is_ok_when_every_check_is(flags):
    """A health with one bad check is bad."""
    assert Health.of(HealthCheck("x", ok=flag) for flag in flags).ok == all(flags)


def test_pulse_fails_once_the_last_beat_is_too_old():
    """A pulse fails once its last beat is too old."""
    now = [100.0]
    pulse = Pulse("claim", within_s=10.0, clock=lambda: now[0])

    now[0] = 110.0
    assert pulse.check() == HealthCheck("claim", ok=True, detail="10.0 s ago, 10 s allowed")
    now[0] = 110.1
    assert not pulse.check().ok
    pulse.beat()
    assert pulse.check().ok


WELL = Health.of([HealthCheck("x", ok=True)])
ILL = Health.of([HealthCheck("y", ok=False, detail="why")])


def test_a_service_that_waits_is_live_and_not_ready_and_says_why():
    """A service that waits is live and not ready, and names what it waits for and the last failure."""
    why = [""]
    report = HealthReport.waiting_for("reaper", "redis", lambda: why[0])
    assert report.live().ok
    assert report.ready().checks == [HealthCheck("redis", ok=False, detail="waited for at the start")]
    why[0] = "no answer"
    assert report.ready().checks == [HealthCheck("redis", ok=False, detail="no answer")]


def test_a_service_that_has_begun_is_asked_itself():
    """Once a service has begun, its own checks answer both probes."""
    report = HealthReport.waiting_for("reaper", "redis", lambda: "")
    report.take_over(live=lambda: ILL, ready=lambda: WELL)
    assert (report.live(), report.ready()) == (ILL, WELL)


@pytest.mark.parametrize(("live", "ready"), [(WELL, ILL), (ILL, WELL), (WELL, WELL)])
def test_the_overview_is_well_when_a_service_is_live_and_ready(live, ready):
    """The overview is ok when the service is live and ready, and lists both kinds of checks."""
    overview = HealthReport("reaper", live=lambda: live, ready=lambda: ready).overview()
    assert overview.ok == (live.ok and ready.ok)
    assert (overview.service, overview.live, overview.ready) == ("reaper", live.checks, ready.checks)
    assert 0.0 <= overview.uptime_s < 60.0
