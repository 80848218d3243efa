"""What is left of the rows of an erased job: id, type, times, outcome, and the kinds of its transitions."""

from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter

from msgspec.structs import replace

from millstream_history.projection.columns import FORGOTTEN_ROWS, JOB_ROWS, TRANSITION_ROWS, Row, blank
from millstream_history.projection.rows import Rows

REASON = "erased"
"""The reason of an erased job, whatever it was before."""

ERASED_COLUMNS = frozenset(
    {"payload", "payload_bytes", "result", "error", "error_text", "fingerprint", "tags", "trace_id", "workflow_id"}
    | {"rerun_of", "after", "because_of", "submitted_by"}
)
"""Columns of `jobs` that may tell of a person, or lead to what does."""

ERASED_STEP_COLUMNS = frozenset({"detail", "error", "log_lines"})
"""The same of `transitions`."""

Key = tuple[str, str]
"""Tenant and id of a job."""

# Where they stand in a row of each of the formats.
_KEY = itemgetter(0, 1)


def keys_of(rows: Rows) -> set[Key]:
    """Return the jobs that rows are about."""
    return {_KEY(row) for some in (rows.jobs, rows.forgotten, rows.transitions) for row in some}


def blanked(rows: Rows, erased: Collection[Key]) -> Rows:
    """Return rows without what is erased of these jobs."""
    return replace(
        rows,
        jobs=_blanked(rows.jobs, JOB_ROWS.names, ERASED_COLUMNS, erased),
        forgotten=_blanked(rows.forgotten, FORGOTTEN_ROWS.names, ERASED_COLUMNS, erased),
        transitions=blanked_steps(rows.transitions, erased),
    )


def blanked_steps(rows: Iterable[Row], erased: Collection[Key]) -> list[Row]:
    """Return rows of transitions without what is erased of these jobs."""
    return _blanked(rows, TRANSITION_ROWS.names, ERASED_STEP_COLUMNS, erased)


def _blanked(rows: Iterable[Row], names: Sequence[str], columns: Collection[str], erased: Collection[Key]) -> list[Row]:
    return [_blank(row, names, columns) if _KEY(row) in erased else row for row in rows]


def _blank(row: Row, names: Sequence[str], columns: Collection[str]) -> Row:
    emptied = blank(row, names, columns)
    return tuple(REASON if name == "reason" else value for name, value in zip(names, emptied, strict=True))
