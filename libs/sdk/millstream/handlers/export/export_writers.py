"""Writes jobs as CSV, as JSON lines or as Parquet, a part at a time: none holds all rows in memory."""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO

import msgspec

from millstream.errors import HandlerError
from millstream.handlers.export.job_rows import COLUMNS, PAYLOAD_COLUMNS, Cell, row_of
from millstream.handlers.table_writer import inert
from millstream_contracts import Job

ROWS_AT_ONCE = 5_000
"""The rows of a group of Parquet."""

_NUMBERS = frozenset({"attempts", "crashes"})


def write_csv(jobs: Iterable[Job], file: BinaryIO, *, with_payloads: bool) -> None:
    """Write a line with the names of the columns, and one for each job. No cell becomes a formula."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(columns_of(with_payloads=with_payloads))
    for job in jobs:
        writer.writerow([_csv_cell(cell) for cell in row_of(job, with_payloads=with_payloads)])
    text.detach()


def write_jsonl(jobs: Iterable[Job], file: BinaryIO, *, with_payloads: bool) -> None:
    """Write each job as JSON on a line of its own, as the API shows it."""
    for job in jobs:
        shown = msgspec.to_builtins(job)
        if not with_payloads:
            shown = {name: value for name, value in shown.items() if name not in PAYLOAD_COLUMNS}
        file.write(msgspec.json.encode(shown) + b"\n")


def write_parquet(jobs: Iterable[Job], file: BinaryIO, *, with_payloads: bool) -> None:
    """Write groups of rows. Raises: HandlerError, without pyarrow."""
    arrow, parquet = _pyarrow()
    columns = columns_of(with_payloads=with_payloads)
    schema = arrow.schema([(name, arrow.int64() if name in _NUMBERS else arrow.string()) for name in columns])
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for rows in _groups(row_of(job, with_payloads=with_payloads) for job in jobs):
            columns_of_rows = zip(zip(*rows, strict=True), schema, strict=True)
            arrays = [arrow.array(cells, type=field.type) for cells, field in columns_of_rows]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))


def columns_of(*, with_payloads: bool) -> tuple[str, ...]:
    """Return the names of the columns."""
    return (*COLUMNS, *PAYLOAD_COLUMNS) if with_payloads else COLUMNS


def _csv_cell(cell: Cell) -> str | int:
    return "" if cell is None else inert(cell) if isinstance(cell, str) else cell


def _groups(rows: Iterator[list[Cell]]) -> Iterator[list[list[Cell]]]:
    while group := list(islice(rows, ROWS_AT_ONCE)):
        yield group


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra of its own, of 170 MB
        from pyarrow import parquet  # noqa: PLC0415 - as above
    except ModuleNotFoundError:
        raise HandlerError("Parquet needs pyarrow: pip install 'millstream[parquet]'") from None
    return pa, parquet
