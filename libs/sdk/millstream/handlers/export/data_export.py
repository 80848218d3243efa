"""`data.export`: writes the jobs that a query finds to a file. The same job writes the same file name."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Annotated

from msgspec import Meta, Struct

from millstream.client import SyncClient
from millstream.context import SyncContext
from millstream.handlers.export.export_writers import write_csv, write_jsonl, write_parquet
from millstream.handlers.export.job_pages import JobPages, JobsById, gaps_since
from millstream.handlers.file_keeper import file_name, keep
from millstream.handlers.shared import Shared, shared
from millstream_contracts import MAX_EXPORTED_IDS, ExportFormat, StatGap

MAX_ROWS = 5_000_000

_WRITERS: dict[ExportFormat, Callable[..., None]] = {
    "csv": write_csv,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
}


class Export(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which jobs, and how to write them."""

    query: Annotated[str, Meta(max_length=1_400)] = ""
    """As `GET /v1/jobs` takes it: `state:dead since:7d`."""
    as_of: datetime | None = None
    """The time from which relative times of the query count; jobs that are submitted later are not written."""
    ids: Annotated[list[str], Meta(min_length=1, max_length=MAX_EXPORTED_IDS)] | None = None
    """These jobs in place of a query."""
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
    gaps: list[StatGap] | None = None
    """Times since the oldest job of which events were lost: what happened in them may be missing. None where that is
    not known.
    """
    missing: list[str] = []
    """Of an export by ids: those that are no jobs, or are erased."""


def export_data(export: Export, ctx: SyncContext[Shared]) -> ExportedFile:
    """Write the jobs that a query finds as CSV, JSON lines or Parquet. Needs a history.

    Raises: Dead, for a query that is wrong; ApiError, HandlerError, OSError.
    """
    settings = shared(ctx).exports
    # A file is passed on to people who have no key.
    with SyncClient(settings.api_url, api_key=settings.api_key, mask_secrets=True) as client:
        pages = _pages(client, export)
        write = partial(_WRITERS[export.format], pages.read(ctx), with_payloads=export.payloads)
        kept = keep(settings.folder, file_name(export.name, ctx.job_id, export.format), write)
        gaps = gaps_since(client, pages.oldest)
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
        gaps=gaps,
        missing=pages.missing,
    )


def _pages(client: SyncClient, export: Export) -> JobPages:
    if export.ids is not None:
        return JobsById(client, export.ids, limit=export.limit, with_payloads=export.payloads)
    return JobPages(client, export.query, as_of=export.as_of, limit=export.limit, with_payloads=export.payloads)
