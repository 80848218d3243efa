"""`data.export`: writes the jobs that a query finds to a file. The same job writes the same file name."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Literal

from msgspec import Meta, Struct

from millstream.client import SyncClient
from millstream.context import SyncContext
from millstream.handlers.export.export_writers import write_csv, write_jsonl, write_parquet
from millstream.handlers.export.job_pages import JobPages
from millstream.handlers.file_keeper import file_name, keep
from millstream.handlers.shared import Shared, shared

ExportFormat = Literal["csv", "jsonl", "parquet"]
MAX_ROWS = 5_000_000

_WRITERS: dict[ExportFormat, Callable[..., None]] = {
    "csv": write_csv,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
}


class Export(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which jobs, and how to write them."""

    query: Annotated[str, Meta(max_length=1_000)]
    """As `GET /v1/jobs` takes it: `state:dead since:7d`."""
    name: Annotated[str, Meta(max_length=200)] = "export"
    """Start of the file name; characters that a file name cannot have become `-`."""
    format: ExportFormat = "jsonl"
    payloads: bool = False
    """Whether payload and result are written too, for which each job is read by itself."""
    limit: Annotated[int, Meta(ge=1, le=MAX_ROWS)] = MAX_ROWS
    """The most jobs."""


class ExportedFile(Struct, frozen=True, kw_only=True):
    """A file that was written, and what is in it."""

    path: str
    format: ExportFormat
    rows: int
    bytes: int
    sha256: str
    newest: datetime | None
    """When the newest job of the file was submitted."""
    oldest: datetime | None
    whole: bool
    """Whether the query finds no more jobs than these."""
    history_lag_s: float | None
    """How far the history was behind at the end: what happened within this time may be missing."""


def export_data(export: Export, ctx: SyncContext[Shared]) -> ExportedFile:
    """Write the jobs that a query finds as CSV, JSON lines or Parquet. Needs a history.

    Raises: Dead, for a query that is wrong; ApiError, HandlerError, OSError.
    """
    settings = shared(ctx).exports
    with SyncClient(settings.api_url) as client:
        pages = JobPages(client, export.query, limit=export.limit, with_payloads=export.payloads)
        write = partial(_WRITERS[export.format], pages.read(ctx), with_payloads=export.payloads)
        kept = keep(settings.folder, file_name(export.name, ctx.job_id, export.format), write)
    ctx.progress(100, f"{pages.rows:,} jobs")
    return ExportedFile(
        path=kept.path,
        format=export.format,
        rows=pages.rows,
        bytes=kept.bytes,
        sha256=kept.sha256,
        newest=pages.newest,
        oldest=pages.oldest,
        whole=pages.is_whole,
        history_lag_s=pages.lag_s,
    )
