"""Health checks."""

from hypothesis import given
from hypothesis import strategies as st

from millstream_runtime import Health, HealthCheck, Pulse


@given(st.lists(st.booleans()))
def test_health_is_ok_when_every_check_is(flags):
    """One bad check is enough."""
    assert Health.of(HealthCheck("x", ok=flag) for flag in flags).ok == all(flags)


def test_pulse_fails_once_the_last_beat_is_too_old():
    """Alive means that the work goes on, not that the process exists."""
    now = [100.0]
    pulse = Pulse("claim", within_s=10.0, clock=lambda: now[0])

    now[0] = 110.0
    assert pulse.check() == HealthCheck("claim", ok=True, detail="10.0 s ago, 10 s allowed")
    now[0] = 110.1
    assert not pulse.check().ok
    pulse.beat()
    assert pulse.check().ok
