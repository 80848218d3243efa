"""Times and lengths of time in words."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from millstream_cli.wording import ago, lasting, short_error, stamp
from millstream_contracts import JobError

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0 ms"),
        (0.0009, "under 1 ms"),
        (0.034, "34 ms"),
        (0.9996, "1 s"),
        (1.0, "1 s"),
        (3.44, "3.4 s"),
        (12.9, "12 s"),
        (60.0, "1 min"),
        (90.0, "1.5 min"),
        (3_599.0, "59 min"),
        (3_600.0, "1 h"),
        (86_400.0 * 400, "400 d"),
    ],
)
def test_a_length_of_time_is_said_in_the_unit_that_fits(seconds: float, said: str) -> None:
    """Two digits say enough."""
    assert lasting(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.9, "now"), (-0.9, "now"), (1.2, "1 s ago"), (-100.0, "in 1.7 min"), (7_200.0, "2 h ago")]
)
def test_a_moment_is_told_by_its_distance(seconds: float, said: str) -> None:
    """Redis has another clock than this machine, so a moment within a second is now, on either side."""
    assert ago(NOW - timedelta(seconds=seconds), NOW) == said


def test_a_moment_is_printed_in_utc() -> None:
    """As log lines and the API have it, wherever this machine stands."""
    assert stamp(datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))) == "2026-01-02 01:04:05 UTC"


def test_an_error_in_a_list_has_no_module() -> None:
    """The module takes the room that the message needs."""
    assert short_error(JobError(type="shop.orders.ChargeError", message="declined")) == "ChargeError: declined"
    assert short_error(None) == ""
