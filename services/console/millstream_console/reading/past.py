"""Reads what needs a history where there may be none: the page says so in its place, and shows what it can."""

from collections.abc import Awaitable
from enum import StrEnum
from typing import TypeVar

from millstream import ApiError

T = TypeVar("T")


class Absence(StrEnum):
    """Why the history does not answer."""

    NONE = "none"
    """The installation keeps none."""
    AWAY = "away"
    """Its PostgreSQL does not answer."""


_ABSENCES = {"no-history": Absence.NONE, "history-unavailable": Absence.AWAY}


def absence_in(error: ApiError) -> Absence | None:
    """Return why the history does not answer; None for a refusal with another reason."""
    return _ABSENCES.get(error.problem.type.rpartition("/")[2])


async def unless_absent(read: Awaitable[T]) -> T | Absence:
    """Return what the history answers, or why it does not. Raises: ApiError, for all other reasons."""
    try:
        return await read
    except ApiError as error:
        absence = absence_in(error)
        if absence is None:
            raise
        return absence


def absence_of(*answers: object) -> Absence | None:
    """Return why the history did not answer one of several requests; None where it did."""
    return next((answer for answer in answers if isinstance(answer, Absence)), None)
