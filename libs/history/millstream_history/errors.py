"""Errors of the history database. The text of each is one line without a secret, and each carries a `reason`.

HistoryError
├── HistoryUnavailableError   it does not answer, is starting or read-only: try again later
│   └── HistoryConflictError  another transaction was in the way: try again at once
├── HistorySchemaError        its tables are older than this release, or a newer release's that this one cannot write
├── HistoryFileError          a file that its URL names cannot be used
└── HistoryUrlError           its URL cannot be read

QueryError                    a search is asked for in words that mean nothing; it says at which place
SearchCursorError             a cursor is not one of this search
"""

from typing import ClassVar, Literal

from millstream_contracts import ForeseenError

Reason = Literal["away", "refused", "full", "schema"]
"""Why the database cannot be used. `away`: nothing answers, or it cannot serve yet, and that passes by itself.
`refused`: what listens there turns us away, until a setting is changed, here or there. `full`: it has no room.
`schema`: its tables are not such as this release can write."""


class HistoryError(ForeseenError):
    """Any failure between the process and the history database."""

    reason: Reason

    def __init__(self, message: str, reason: Reason = "refused") -> None:
        self.reason = reason
        super().__init__(message)


class HistoryUnavailableError(HistoryError):
    """The history database does not answer now; the same call may succeed later."""


class HistoryConflictError(HistoryUnavailableError):
    """Another transaction was in the way; the same call may succeed at once."""


class HistorySchemaError(HistoryError):
    """The tables are not those that this release can write."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "schema")


class HistoryFileError(HistoryError):
    """A file that the URL of the history database names cannot be used; it may be replaced later."""


class HistoryUrlError(HistoryError):
    """The URL of the history database cannot be read."""

    exit_code: ClassVar[int] = 2


class QueryError(ValueError):
    """A query cannot be understood. It concerns the text alone, not the database."""

    def __init__(self, detail: str, position: int, end: int, hint: str = "") -> None:
        self.detail = detail
        self.position = position
        """Where in the text the fault begins, in characters from 0; it ends before `end`."""
        self.end = end
        self.hint = hint
        """What may have been meant; empty where that cannot be told."""
        super().__init__(f"at {position}: {detail}" + (f"; {hint}" if hint else ""))


class SearchCursorError(ValueError):
    """A cursor is not one of this search."""

    def __init__(self, message: str, *, is_foreign: bool = False) -> None:
        self.is_foreign = is_foreign
        """Whether it is the cursor of another search."""
        super().__init__(message)
