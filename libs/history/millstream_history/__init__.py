"""The history database: tables, migrations, and the only code that speaks SQL."""

from millstream_history.errors import (
    HistoryError,
    HistoryFileError,
    HistorySchemaError,
    HistoryUnavailableError,
    HistoryUrlError,
)
from millstream_history.history import History, Rows, open_history, rows_of
from millstream_history.migrating import Schema, migrate

__all__ = [
    "History",
    "HistoryError",
    "HistoryFileError",
    "HistorySchemaError",
    "HistoryUnavailableError",
    "HistoryUrlError",
    "Rows",
    "Schema",
    "migrate",
    "open_history",
    "rows_of",
]
