"""Lengths of time and moments as options take them: `90m`, `6h`, `14d`; `2026-12-24T18:00+01:00`."""

import re
from datetime import UTC, datetime, timedelta

import click

_LENGTH = re.compile(r"([0-9]{1,6})(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Length(click.ParamType[timedelta]):
    """A length of time, such as `90m`."""

    name = "length"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return it as a timedelta. Raises: click.BadParameter."""
        if isinstance(value, timedelta):
            return value
        match = _LENGTH.fullmatch(str(value))
        if match is None or not int(match[1]):
            self.fail(f"{value} is no length of time: write 90m, 6h or 14d", param, ctx)
        return timedelta(**{_UNITS[match[2]]: int(match[1])})


class Moment(click.ParamType[datetime]):
    """A moment in ISO 8601; one without a zone is of UTC."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return it with a zone. Raises: click.BadParameter."""
        try:
            found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value} is no moment: write 2026-12-24, 2026-12-24T18:00Z or ...T18:00+01:00", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
