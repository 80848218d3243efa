"""Conditions on a column of job types, for those who may see some types alone."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, false, or_

from millstream_history.search.language.filters import like


def among(column: Any, patterns: Sequence[str]) -> list[Any]:
    """Return the condition that a type is one of those that patterns name; nothing to ask without patterns."""
    return [_is_among(column, patterns)] if patterns else []


def foreign(column: Any, patterns: Sequence[str]) -> Any:
    """Return the condition that a type is none of those that patterns name."""
    return and_(*(column.not_like(like(one, is_pattern=True)) for one in patterns))


def _is_among(column: Any, patterns: Sequence[str]) -> Any:
    return or_(false(), *(column.like(like(one, is_pattern=True)) for one in patterns))
