"""Tells which table has the statistics of a time, and into which step of it a row falls."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, func

from millstream_history.tables import STATS_HOURS, STATS_MINUTES

MINUTES_KEPT, HOURS_KEPT = timedelta(days=14), timedelta(days=400)
HOUR = timedelta(hours=1)


def table_for(begin: datetime, step: timedelta) -> Table:
    """Return the hours where a time consists of whole ones: they are kept for longer, and are fewer."""
    return STATS_HOURS if step % HOUR == timedelta() and begin.minute == 0 else STATS_MINUTES


def number_of_step(at: Any, begin: datetime, step: timedelta) -> Any:
    """Return the expression for the number of the step that a row falls into, from 0."""
    return func.floor(func.date_part("epoch", at - begin) / step.total_seconds()).label("number")
