"""Writes log lines of attempts: what is under a name like that of a secret is dots, in fields and in texts."""

import re

from millstream import LogLine
from millstream_console.drawing.masking import MASK, IsSecret, names_none

_NAMED = re.compile(
    r"""(?P<head>(?P<quote>["']?)(?P<name>[A-Za-z][\w.-]{0,63})(?P=quote)\s{0,3}[:=]\s{0,3})"""
    r"""(?P<value>"[^"\n]*"|'[^'\n]*'|(?:(?:Bearer|Basic|Token)\s+)?[^\s,;&"'}\])]+)""",
    re.IGNORECASE,
)
"""A name and its value, as `name=value`, `name: value` or in JSON."""


def line_text(line: LogLine, is_secret: IsSecret = names_none) -> str:
    """Return a line with those of its fields that are of one line."""
    fields = (f"{name}={_shown(name, value, is_secret)}" for name, value in line.fields.items() if "\n" not in value)
    return " ".join((masked_text(line.message, is_secret), *fields))


def line_blocks(line: LogLine, is_secret: IsSecret = names_none) -> list[list[str]]:
    """Return the fields of several lines, such as a traceback, as lines."""
    return [_shown(name, value, is_secret).splitlines() for name, value in line.fields.items() if "\n" in value]


def masked_text(text: str, is_secret: IsSecret) -> str:
    """Return a text with dots in place of values whose names it has before them."""
    shown: list[str] = []
    place = 0
    while found := _NAMED.search(text, place):
        # What is behind a name that is no secret may be a name itself.
        is_hidden = is_secret(found["name"])
        shown += (text[place : found.end("head")], MASK if is_hidden else "")
        place = found.end("value") if is_hidden else found.end("head")
    return "".join((*shown, text[place:]))


def _shown(name: str, value: str, is_secret: IsSecret) -> str:
    return MASK if is_secret(name) else masked_text(value, is_secret)
