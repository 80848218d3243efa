"""Adds up how many jobs have died, or are dead no more, for the list of errors. Run by every dispatcher.

The list is right without it, and slower by what has not been added up.
"""

from millstream_history import History
from millstream_runtime import DutyResult

COUNT_EVERY_S = 10.0


class DeadCounted(DutyResult, frozen=True):
    """The result of one pass."""

    changes: int = 0


class DeadCounter:
    """A duty."""

    name = "dead-counter"
    interval_s = COUNT_EVERY_S

    def __init__(self, history: History) -> None:
        self._counts = history.dead_counts

    async def run_once(self) -> DeadCounted:
        """Add the changes to the counts; another dispatcher may be at it. Raises: HistoryError."""
        return DeadCounted(changes=await self._counts.fold())
