"""Says times, lengths of time and the text of users as people read them."""

from datetime import UTC, datetime

from millstream_contracts import JobError

_UNITS = (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0), ("s", 1.0))


def stamp(moment: datetime) -> str:
    """Return a moment by the clock of the log lines: UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def ago(moment: datetime, now: datetime) -> str:
    """Return how long ago a moment was, or in how long it will be, to about a tenth of it."""
    seconds = (now - moment).total_seconds()
    # Redis has given the moment, and this machine has another clock.
    if abs(seconds) < 1.0:
        return "now"
    length = lasting(round(abs(seconds)))
    return f"{length} ago" if seconds > 0 else f"in {length}"


def lasting(seconds: float) -> str:
    """Return a length of time in the unit that fits it."""
    if 0.0 < seconds < 0.001:
        return "under 1 ms"
    if seconds < 0.9995:
        return f"{round(seconds * 1000)} ms"
    name, size = next(((name, size) for name, size in _UNITS if seconds >= size), _UNITS[-1])
    amount = seconds / size
    return f"{amount:.1f}".removesuffix(".0") + f" {name}" if amount < 10 else f"{int(amount)} {name}"


def short_error(error: JobError | None) -> str:
    """Return an error for a list: its type without the module, and its message."""
    return f"{error.type.rpartition('.')[2]}: {error.message}" if error else ""


def printable(text: str) -> str:
    """Return one line of the text of users as it is shown: nothing in it moves the cursor or changes the terminal."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text.expandtabs(4))
