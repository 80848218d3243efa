"""Lengths of time as options take them: `90m`, `6h`, `14d`."""

import re
from datetime import timedelta

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
