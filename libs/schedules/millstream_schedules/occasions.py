"""Makes of the rules of a schedule what its times are asked for by."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from millstream_contracts import ScheduleRules
from millstream_schedules.cron_timing import CronTiming
from millstream_schedules.errors import ScheduleError
from millstream_schedules.expressions import read_expression
from millstream_schedules.timing import Timing
from millstream_schedules.zones import zone_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)
END_OF_TIME = datetime(9000, 1, 1, tzinfo=UTC)
"""No moment of a schedule or a backfill is later: near the year 10,000 the next occasion is no moment any more."""


class IntervalTiming(Timing):
    """The whole multiples of an interval, counted in UTC from its anchor on."""

    def __init__(self, every_s: float, anchor: datetime | None, put_off: timedelta = timedelta()) -> None:
        super().__init__(put_off)
        self._every = round(every_s * 1000) * MS
        self._anchor = _whole_ms(anchor or EPOCH)

    def nominals_after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the nominal times later than a moment, soonest first."""
        passed = max(0, (moment - self._anchor) // self._every + 1)
        while True:
            yield self._anchor + passed * self._every
            passed += 1


class OnceTiming(Timing):
    """One moment."""

    def __init__(self, at: datetime, put_off: timedelta = timedelta()) -> None:
        super().__init__(put_off)
        self._at = _whole_ms(at)

    def nominals_after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the moment when it is still to come."""
        if self._at > moment:
            yield self._at


def _whole_ms(moment: datetime) -> datetime:
    """Return a moment in UTC without its microseconds: what is stored of an occasion is its Unix ms."""
    return EPOCH + (moment - EPOCH) // MS * MS


def timing_of(rules: ScheduleRules, name: str) -> Timing:
    """Return the timing of a schedule, which is put off by an offset that follows from its name.

    Raises:
        ScheduleError: A field of the rules is wrong.
    """
    given = [field for field in ("cron", "every_s", "at") if getattr(rules, field) is not None]
    if len(given) != 1:
        raise ScheduleError(given[1] if given else "cron", "exactly one of `cron`, `every_s` and `at` is needed")
    for field, of in (("seconds", "cron"), ("anchor", "every_s")):
        if getattr(rules, field) and of not in given:
            raise ScheduleError(field, f"`{field}` belongs to `{of}`")
    for field in ("anchor", "at"):
        if (moment := getattr(rules, field)) and not EPOCH <= moment < END_OF_TIME:
            raise ScheduleError(field, f"is not in the years {EPOCH.year} to {END_OF_TIME.year - 1}")
    zone = zone_of(rules.tz)
    put_off = offset_of(name, rules.jitter_s)
    if rules.cron is not None:
        return CronTiming(read_expression(rules.cron, seconds=rules.seconds), zone, put_off)
    if rules.every_s is not None:
        return IntervalTiming(rules.every_s, rules.anchor, put_off)
    assert rules.at is not None
    return OnceTiming(rules.at, put_off)


def offset_of(name: str, jitter_s: float) -> timedelta:
    """Return by how much all occasions of a schedule fire later: between nothing and `jitter_s`, in milliseconds."""
    share = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") / (1 << 64)
    return int(share * jitter_s * 1000) * MS
