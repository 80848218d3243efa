"""Writes tables as PDF, on as many pages as they need, each with the header.

Source: ReportLab user guide, chapter "Platypus".
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO
from xml.sax.saxutils import escape

from millstream.errors import HandlerError
from millstream.handlers.table import Cell, Table
from millstream.handlers.table_writer import OnRow
from millstream.steering import Dead

PDF_MAX_ROWS = 20_000
"""A table is laid out as a whole, which takes some 20 KB of memory a row."""
PDF_MAX_COLUMNS = 20
PDF_MAX_CHARS = 2_000
"""The most characters of a cell, so that a row fits on a page."""

_ROWS_AT_ONCE = 500
_FONT_POINTS = 7


def write_pdf(table: Table, on_row: OnRow, file: BinaryIO, *, title: str = "Report", font: str | None = None) -> None:
    """Write a table as a PDF of landscape pages. `font` is a TrueType file for scripts that the usual one lacks.

    Raises: Dead, beyond what a PDF is good for; HandlerError, without ReportLab.
    """
    if len(table.rows) > PDF_MAX_ROWS or len(table.columns) > PDF_MAX_COLUMNS:
        raise Dead(f"a PDF takes {PDF_MAX_ROWS:,} rows and {PDF_MAX_COLUMNS} columns; CSV takes more")
    platypus, style = _reportlab(font)
    page = BytesIO()
    document = _document(page, title)
    if table.columns:
        cells = [[_cell(platypus, style, name) for name in table.columns]]
        for number, row in enumerate(table.rows, start=1):
            cells.append([_cell(platypus, style, cell) for cell in row])
            on_row(number)
        document.build([_laid_out(platypus, cells, document.width / len(table.columns))])
    else:
        document.build([platypus.Paragraph("no rows", style)])
    file.write(page.getvalue())


def _cell(platypus: Any, style: Any, cell: Cell) -> Any:
    text = "" if cell is None else str(cell)
    # Markup of users stays text; a NUL or another control character would end the document.
    plain = "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text[:PDF_MAX_CHARS])
    return platypus.Paragraph(escape(plain).replace("\n", "<br/>"), style)


def _laid_out(platypus: Any, cells: Sequence[Sequence[Any]], width: float) -> Any:
    grey, light = (0.8, 0.8, 0.8), (0.93, 0.93, 0.93)
    look = [
        ("GRID", (0, 0), (-1, -1), 0.25, grey),
        ("BACKGROUND", (0, 0), (-1, 0), light),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ]
    return platypus.LongTable(cells, colWidths=[width] * len(cells[0]), repeatRows=1, style=platypus.TableStyle(look))


def _document(page: BytesIO, title: str) -> Any:
    from reportlab.lib.pagesizes import A4, landscape  # noqa: PLC0415 - an extra of its own
    from reportlab.platypus import SimpleDocTemplate  # noqa: PLC0415 - as above

    # Equal jobs write equal bytes, so the document has no time and no random id.
    return SimpleDocTemplate(
        page, pagesize=landscape(A4), title=title, author="Millstream", leftMargin=36, rightMargin=36, topMargin=36,
        bottomMargin=36, invariant=True,
    )  # fmt: skip


def _reportlab(font: str | None) -> tuple[Any, Any]:
    try:
        from reportlab import platypus  # noqa: PLC0415 - an extra of its own
        from reportlab.lib.styles import ParagraphStyle  # noqa: PLC0415 - as above
        from reportlab.pdfbase import pdfmetrics, ttfonts  # noqa: PLC0415 - as above
    except ModuleNotFoundError:
        raise HandlerError("a PDF needs ReportLab: pip install 'millstream[pdf]'") from None
    path = font or "Vera.ttf"
    name = Path(path).stem
    try:
        pdfmetrics.registerFont(ttfonts.TTFont(name, path))
    except ttfonts.TTFError as error:
        raise HandlerError(f"the font of reports cannot be read: {error}") from error
    return platypus, ParagraphStyle(
        "cell", fontName=name, fontSize=_FONT_POINTS, leading=_FONT_POINTS * 1.2, wordWrap="CJK"
    )
