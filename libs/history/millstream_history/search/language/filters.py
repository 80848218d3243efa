"""What a condition is: a key, which an index finds in the order of time, or a filter.

Some filters have an index of another kind, which knows no order; `plan.py` says what that means for a search.
"""

import re
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from millstream_history.search.language.terms import Value
from millstream_history.search.statement import Fragment

_WILD = re.compile(r"([\\%_])")

IndexName = Literal["tags", "payload", "error_text", "trace_id"]
"""A column with an index that finds rows in no order. Which of them there are says the database."""


class Key(Struct, frozen=True):
    """A column that equals one of some values."""

    column: str
    values: tuple[str, ...]


class Filter(Struct, frozen=True):
    """A condition, and the index that helps with it; None where each row has to be looked at."""

    fragment: Fragment
    index: IndexName | None = None


Condition = Key | Filter


def fragment_of(condition: Condition) -> Fragment:
    """Return a condition as a part of a statement."""
    if isinstance(condition, Filter):
        return condition.fragment
    if len(condition.values) == 1:
        return Fragment(f"{condition.column} = {{}}", condition.values)
    return Fragment(f"{condition.column} = ANY({{}}::text[])", (list(condition.values),))


def any_of(parts: Sequence[Fragment]) -> Fragment:
    """Return the condition that one of some conditions holds."""
    if len(parts) == 1:
        return parts[0]
    return Fragment(
        "(" + " OR ".join(part.sql for part in parts) + ")", tuple(one for part in parts for one in part.parameters)
    )


def matches(column: str, values: Sequence[Value]) -> Fragment:
    """Return the condition that a column equals a value, or fits a pattern."""
    whole = [value.text for value in values if not value.is_pattern]
    patterns = like_patterns([value for value in values if value.is_pattern])
    parts = [Fragment(f"{column} = ANY({{}}::text[])", (whole,))] if whole else []
    parts += [Fragment(f"{column} LIKE ANY({{}}::text[])", (patterns,))] if patterns else []
    return any_of(parts)


def like_patterns(values: Sequence[Value]) -> list[str]:
    """Return patterns as LIKE knows them."""
    return [like(value.text, is_pattern=True) for value in values]


def like(text: str, *, is_pattern: bool) -> str:
    """Return a text for LIKE, in which a `*` of a pattern is any text."""
    escaped = _WILD.sub(r"\\\1", text)
    return escaped.replace("*", "%") if is_pattern else escaped


def is_prefix(value: Value) -> bool:
    """Whether a value is the beginning of a text, with a `*` behind it."""
    return value.text.endswith("*") and value.text.count("*") == 1
