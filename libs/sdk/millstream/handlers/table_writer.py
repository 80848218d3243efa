"""Writes tables as CSV and XLSX. No cell becomes a formula, wherever its text comes from.

Source: OWASP "CSV Injection"; RFC 4180; "Excel specifications and limits", Microsoft.
"""

import csv
import io
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import BinaryIO

import xlsxwriter

from millstream.handlers.table import Cell, Table
from millstream.steering import Dead

OnRow = Callable[[int], None]
"""Called with the number of rows written so far."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*([eE][+-]?\d+)?")

XLSX_MAX_ROWS = 1_048_576
XLSX_MAX_COLUMNS = 16_384
XLSX_MAX_CHARS = 32_767
# A cell holds 15 digits. A longer number is most likely an id, and would lose its last digits.
_XLSX_EXACT = 10**15

# Equal jobs write equal bytes, so the workbook has a fixed time of creation.
_CREATED = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def write_csv(table: Table, on_row: OnRow, file: BinaryIO) -> None:
    """Write a table as UTF-8 CSV with a header line."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow([inert(column) for column in table.columns])
    for number, row in enumerate(table.rows, start=1):
        writer.writerow([_csv_cell(cell) for cell in row])
        on_row(number)
    text.detach()


def write_xlsx(table: Table, on_row: OnRow, file: BinaryIO) -> None:
    """Write a table as a workbook with one sheet and a header row. Raises: Dead, beyond what a sheet can hold."""
    if len(table.rows) >= XLSX_MAX_ROWS or len(table.columns) > XLSX_MAX_COLUMNS:
        raise Dead(f"a sheet holds {XLSX_MAX_ROWS - 1} rows under the header, and {XLSX_MAX_COLUMNS} columns")
    workbook = xlsxwriter.Workbook(file, {"in_memory": True})
    workbook.set_properties({"created": _CREATED})
    sheet = workbook.add_worksheet("Report")
    bold = workbook.add_format({"bold": True})
    for index, column in enumerate(table.columns):
        sheet.write_string(0, index, _fitting(column), bold)
    sheet.freeze_panes(1, 0)
    for number, row in enumerate(table.rows, start=1):
        for index, cell in enumerate(row):
            _write_cell(sheet, number, index, cell)
        on_row(number)
    workbook.close()


def inert(text: str) -> str:
    """Return a text as a cell of CSV that no program takes for a formula."""
    harmless = not text.startswith(_FORMULA_STARTS) or _NUMBER.fullmatch(text)
    return text if harmless else f"'{text}"


def _csv_cell(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case str():
            return inert(cell)
    return str(cell)


def _write_cell(sheet: xlsxwriter.worksheet.Worksheet, row: int, column: int, cell: Cell) -> None:
    # Each type has a method of its own: `write` would take a string that starts with `=` for a formula.
    match cell:
        case None:
            return
        case bool():
            sheet.write_boolean(row, column, cell)
        case int() | float() if math.isfinite(cell) and abs(cell) < _XLSX_EXACT:
            sheet.write_number(row, column, cell)
        case _:
            sheet.write_string(row, column, _fitting(str(cell)))


def _fitting(text: str) -> str:
    if len(text) > XLSX_MAX_CHARS:
        raise Dead(f"a cell of a sheet holds {XLSX_MAX_CHARS} characters, not {len(text)}")
    return text
