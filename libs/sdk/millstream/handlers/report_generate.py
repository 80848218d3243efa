"""`report.generate`: writes rows, or the jobs that a query finds, as CSV, XLSX and PDF; a job always the same files."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, BinaryIO, Literal

from msgspec import Meta, Struct

from millstream.client import SyncClient
from millstream.context import SyncContext
from millstream.handlers.export.job_pages import JobPages
from millstream.handlers.export.job_rows import COLUMNS, row_of
from millstream.handlers.file_keeper import file_name, keep
from millstream.handlers.pdf_writer import write_pdf
from millstream.handlers.shared import Shared, shared
from millstream.handlers.table import Row, Table, build_table
from millstream.handlers.table_writer import OnRow, write_csv, write_xlsx
from millstream.steering import Dead, Discard

Format = Literal["csv", "xlsx", "pdf"]

MAX_QUERY_ROWS = 100_000
"""The most jobs of a report; `data.export` has no such limit, because it holds no table."""

_REPORT_EVERY_ROWS = 500


class FoundJobs(Struct, frozen=True, forbid_unknown_fields=True):
    """The rows of a report on jobs."""

    query: Annotated[str, Meta(max_length=1_000)]
    """As `q` of `GET /v1/jobs`: the jobs that it finds, newest first. Needs a history."""


class Report(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Rows, and how to write them."""

    name: Annotated[str, Meta(max_length=200)] = "report"
    """Start of the file names; characters that a file name cannot have become `-`."""
    rows: list[Row] | FoundJobs
    """Either objects, or lists in the order of `columns`; or a query for jobs."""
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
    """Write rows, or the jobs that a query finds, as CSV, XLSX or PDF. Raises: Dead, for what is no table; OSError."""
    folder = shared(ctx).reports.folder
    table = _table(report, ctx)
    formats = list(dict.fromkeys(report.formats or [report.format]))
    files: list[ReportFile] = []
    for done, format_ in enumerate(formats):
        on_row: OnRow = partial(_report_progress, ctx, format_, done, len(formats), len(table.rows))
        write = partial(_writer(report, format_, ctx), table, on_row)
        kept = keep(folder, file_name(report.name, ctx.job_id, format_), write)
        files.append(ReportFile(kept.path, format_, len(table.rows), kept.bytes, kept.sha256))
    ctx.progress(100, "done")
    return files


def _table(report: Report, ctx: SyncContext[Shared]) -> Table:
    """Return the table of a report. Raises: Dead, when the rows make no table, or too many jobs are found."""
    if not isinstance(report.rows, FoundJobs):
        return build_table(report.columns, report.rows)
    settings = shared(ctx).reports
    with SyncClient(settings.api_url, api_key=settings.api_key, mask_secrets=True) as client:
        pages = JobPages(client, report.rows.query, limit=MAX_QUERY_ROWS)
        rows: list[Row] = [dict(zip(COLUMNS, row_of(job, with_payloads=False), strict=True)) for job in pages.read(ctx)]
    if not pages.is_whole:
        raise Dead(f"the query finds more than {MAX_QUERY_ROWS:,} jobs: `data.export` writes any number")
    return build_table(report.columns or list(COLUMNS), rows)


def _writer(report: Report, format_: Format, ctx: SyncContext[Shared]) -> Callable[[Table, OnRow, BinaryIO], None]:
    match format_:
        case "csv":
            return write_csv
        case "xlsx":
            return write_xlsx
        case "pdf":
            return partial(write_pdf, title=report.name, font=shared(ctx).reports.font)


def _report_progress(
    ctx: SyncContext[Shared], format_: Format, done: int, formats: int, rows: int, written: int
) -> None:
    if written % _REPORT_EVERY_ROWS and written != rows:
        return
    if ctx.cancelled:
        # A thread cannot be stopped from outside, so it checks here; `keep` leaves no file behind.
        raise Discard("cancelled")
    ctx.progress(100 * (done + written / rows) / formats, f"{format_}: {written} of {rows} rows")
