"""Errors of the history database.

HistoryError
├── HistoryUnavailableError   it does not answer, is starting or read-only: try again later
├── HistorySchemaError        its tables are not those of this release: `millstream migrate` makes them so
└── HistoryUrlError           its URL cannot be read
"""


class HistoryError(Exception):
    """Anything that goes wrong between us and the history database."""


class HistoryUnavailableError(HistoryError):
    """The history database does not answer now; the same call may succeed later."""


class HistorySchemaError(HistoryError):
    """The tables are not those of this release."""


class HistoryUrlError(HistoryError):
    """The URL of the history database cannot be read."""
