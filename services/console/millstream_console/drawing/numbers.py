"""Writes numbers, sizes, shares and lengths of time as people read them. Unknown is a dash."""

from math import floor, log10

UNKNOWN = "\N{EN DASH}"

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def grouped(value: float | None) -> str:
    """Return a number in groups of three digits; a fraction keeps three figures that count."""
    if value is None:
        return UNKNOWN
    if value == int(value):
        return f"{int(value):,}"
    digits = max(0, 2 - floor(log10(abs(value))))
    return f"{value:,.{digits}f}"


def brief(value: float | None) -> str:
    """Return a number with three figures that count at most, and no zeros after them: `1.5`, `0.031`, `1,204`."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if abs(value) >= 100 else f"{float(f'{value:.3g}'):g}"


def rate(per_s: float | None) -> str:
    """Return a number of jobs a second, such as `212` or `0.25`."""
    if per_s is None:
        return UNKNOWN
    return f"{per_s:,.0f}" if per_s >= 10 or per_s == 0 else f"{per_s:.2g}"


def length(seconds: float | None) -> str:
    """Return a length of time with its two largest units: `0.42 s`, `20 s`, `4 m 12 s`, `2 h 5 m`, `6 d`."""
    if seconds is None:
        return UNKNOWN
    if seconds < 59.5:
        return _short(seconds)
    whole = round(seconds)
    if whole < _HOUR_S:
        return _two(whole, _MINUTE_S, "m", 1, "s")
    if whole < _DAY_S:
        return _two(whole, _HOUR_S, "h", _MINUTE_S, "m")
    return _two(whole, _DAY_S, "d", _HOUR_S, "h") if whole < 3 * _DAY_S else f"{whole // _DAY_S:,} d"


def milliseconds(value: float | None) -> str:
    """Return a length that is known in milliseconds."""
    return length(None if value is None else value / 1000)


def size(count: float | None) -> str:
    """Return a number of bytes with a unit: `840 bytes`, `1.5 MiB`."""
    if count is None:
        return UNKNOWN
    for unit in _UNITS:
        if count < 1024 or unit == _UNITS[-1]:
            return f"{count:,.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return UNKNOWN


def share(part: float, whole: float) -> str:
    """Return a share in per cent: `84 %`, `0.3 %`; unknown of nothing."""
    if not whole:
        return UNKNOWN
    percent = 100 * part / whole
    if 0 < percent < 0.01:
        return "< 0.01 %"
    return f"{percent:.0f} %" if percent >= 9.5 or percent == 0 else f"{percent:.1g} %"


def _short(seconds: float) -> str:
    if seconds < 0.0995:
        return f"{seconds * 1000:.3g} ms" if seconds else "0 s"
    if seconds < 9.95:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    return f"{seconds:.0f} s"


def _two(seconds: int, large_s: int, large: str, small_s: int, small: str) -> str:
    rest = seconds % large_s // small_s
    return f"{seconds // large_s} {large} {rest} {small}" if rest else f"{seconds // large_s} {large}"
