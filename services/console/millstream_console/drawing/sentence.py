"""Makes sentences with values in them: texts of users escaped and isolated, numbers grouped."""

from typing import LiteralString

from markupsafe import Markup, escape

from millstream_console.drawing.numbers import grouped
from millstream_console.drawing.user_text import plain


def sentence(pattern: LiteralString, *values: object) -> Markup:
    """Return the pattern, which is markup, with the values in its braces. Markup stays as it is."""
    return Markup(pattern).format(*map(_shown, values))  # noqa: S704 - the types say that no user wrote it


def counted(number: int, thing: str, things: str = "") -> str:
    """Return a number with its noun: `1 job`, `1,284 jobs`."""
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"


def _shown(value: object) -> Markup:
    if isinstance(value, Markup):
        return value
    if isinstance(value, (int, float)):
        return escape(grouped(value))
    return Markup("<bdi>{}</bdi>").format(plain(value))
