"""`report.generate`: writes the rows of a payload to CSV and XLSX files. The same job writes the same files."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, BinaryIO, Literal

from msgspec import Meta, Struct

from millstream.context import SyncContext
from millstream.handlers.file_keeper import file_name, keep
from millstream.handlers.shared import Shared, shared
from millstream.handlers.table import Row, Table, build_table
from millstream.handlers.table_writer import OnRow, write_csv, write_xlsx
from millstream.steering import Discard

Format = Literal["csv", "xlsx"]

_WRITERS: dict[Format, Callable[[Table, OnRow, BinaryIO], None]] = {"csv": write_csv, "xlsx": write_xlsx}

_REPORT_EVERY_ROWS = 500


class Report(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Rows, and how to write them."""

    name: Annotated[str, Meta(max_length=200)] = "report"
    """Start of the file names; characters that a file name cannot have become `-`."""
    rows: list[Row]
    """Either objects, or lists in the order of `columns`."""
    columns: list[str] | None = None
    format: Format = "csv"
    formats: Annotated[list[Format], Meta(min_length=1)] | None = None
    """Several formats at once, in place of `format`."""


class ReportFile(Struct, frozen=True):
    """A file that was written."""

    path: str
    format: Format
    rows: int
    """Without the header."""
    bytes: int
    sha256: str


def generate_report(report: Report, ctx: SyncContext[Shared]) -> list[ReportFile]:
    """Write supplied rows as CSV and XLSX files. Raises: Dead, when the rows make no table; OSError."""
    folder = shared(ctx).reports.folder
    table = build_table(report.columns, report.rows)
    formats = list(dict.fromkeys(report.formats or [report.format]))
    files: list[ReportFile] = []
    for done, format_ in enumerate(formats):
        on_row: OnRow = partial(_report_progress, ctx, format_, done, len(formats), len(table.rows))
        write = partial(_WRITERS[format_], table, on_row)
        kept = keep(folder, file_name(report.name, ctx.job_id, format_), write)
        files.append(ReportFile(kept.path, format_, len(table.rows), kept.bytes, kept.sha256))
    ctx.progress(100, "done")
    return files


def _report_progress(
    ctx: SyncContext[Shared], format_: Format, done: int, formats: int, rows: int, written: int
) -> None:
    if written % _REPORT_EVERY_ROWS and written != rows:
        return
    if ctx.cancelled:
        # A thread cannot be stopped from outside, so it checks here; `keep` leaves no file behind.
        raise Discard("cancelled")
    ctx.progress(100 * (done + written / rows) / formats, f"{format_}: {written} of {rows} rows")
