"""Writes how often something happens: in a second where it is often, else in a minute or an hour."""

from msgspec import Struct

from millstream_console.drawing.numbers import UNKNOWN, brief


class Pace(Struct, frozen=True):
    """A unit of time that rates are told in."""

    unit: str
    seconds: int
    words: str

    def of(self, per_s: float | None) -> float | None:
        """Return a rate in this unit, with two figures below ten."""
        if per_s is None:
            return None
        value = per_s * self.seconds
        return round(value) if value >= 10 else float(f"{value:.2g}")


PACES = (Pace("/s", 1, "a second"), Pace("/min", 60, "a minute"), Pace("/h", 3_600, "an hour"))


def pace_for(per_s: float) -> Pace:
    """Return the unit in which a rate, which may be the largest of several, is at least one."""
    if not per_s:
        return PACES[0]
    return next((pace for pace in PACES if per_s * pace.seconds >= 0.995), PACES[-1])


def paced(per_s: float | None) -> str:
    """Return a rate with its unit: `212/s`, `4/min`."""
    if per_s is None:
        return UNKNOWN
    if not per_s:
        return "0"
    pace = pace_for(per_s)
    return f"{brief(pace.of(per_s))}{pace.unit}"
