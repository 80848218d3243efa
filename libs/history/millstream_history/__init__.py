"""The history database: tables, migrations, and the only code that speaks SQL."""

from millstream_history.errors import (
    HistoryError,
    HistoryFileError,
    HistorySchemaError,
    HistoryUnavailableError,
    HistoryUrlError,
)
from millstream_history.history import History, open_history
from millstream_history.migrating import Schema, migrate
from millstream_history.partitions.days import DAYS_AHEAD, SWEPT_AT_ONCE, Days
from millstream_history.projection.columns import StoredJob, Transition
from millstream_history.projection.rows import Rows, rows_of
from millstream_history.statistics.statistics import HOURS_KEPT, MINUTES_KEPT, Statistics

__all__ = [
    "DAYS_AHEAD",
    "HOURS_KEPT",
    "MINUTES_KEPT",
    "SWEPT_AT_ONCE",
    "Days",
    "History",
    "HistoryError",
    "HistoryFileError",
    "HistorySchemaError",
    "HistoryUnavailableError",
    "HistoryUrlError",
    "Rows",
    "Schema",
    "Statistics",
    "StoredJob",
    "Transition",
    "migrate",
    "open_history",
    "rows_of",
]
