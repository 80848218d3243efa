"""`report.generate` writes files that the tests read back."""

import csv
import hashlib
import os
import stat
from contextlib import nullcontext
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import openpyxl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sdk.contexts import make_context

from millstream import Context, Dead, Discard
from millstream.handlers import (
    Report,
    ReportFile,
    ReportSettings,
    Shared,
    SmtpSettings,
    generate_report,
    table_writer,
)
from millstream.handlers.file_keeper import file_name, keep
from millstream.handlers.mailer import Mailer
from millstream.handlers.table import Table
from millstream_contracts import JobId, Progress


class ReportContext(NamedTuple):
    """A context whose reports go to a folder that does not exist yet, and that records the progress."""

    ctx: Context
    folder: Path
    noted: list[Progress]


@pytest.fixture
def reporting(tmp_path: Path) -> ReportContext:
    """Return a context as a worker makes it."""
    folder = tmp_path / "out" / "reports"
    state = Shared(mailer=Mailer(SmtpSettings()), reports=ReportSettings(folder=str(folder)))
    noted: list[Progress] = []
    return ReportContext(make_context("report.generate", state, noted.append), folder, noted)


@pytest.fixture
def ctx(reporting: ReportContext) -> Context:
    """Return the context of `reporting`."""
    return reporting.ctx


def read_csv(file: ReportFile) -> list[list[str]]:
    """Return the lines of a CSV report."""
    with Path(file.path).open(newline="", encoding="utf-8") as lines:
        return list(csv.reader(lines))


def read_xlsx(file: ReportFile) -> list[list[Any]]:
    """Return the rows of an XLSX report."""
    book = openpyxl.load_workbook(file.path)
    rows = [[cell.value for cell in row] for row in book["Report"].iter_rows()]
    book.close()
    return rows


def test_report_writes_both_formats_when_asked_for(ctx: Context) -> None:
    """One job may write several files, and the result describes each."""
    report = Report(name="Q1", rows=[{"a": 1, "b": "x"}, {"b": None, "c": 2.5}], formats=["csv", "xlsx", "csv"])
    as_csv, as_xlsx = generate_report(report, ctx)
    assert read_csv(as_csv) == [["a", "b", "c"], ["1", "x", ""], ["", "", "2.5"]]
    assert read_xlsx(as_xlsx) == [["a", "b", "c"], [1, "x", None], [None, None, 2.5]]
    for file, ending in ((as_csv, "csv"), (as_xlsx, "xlsx")):
        content = Path(file.path).read_bytes()
        assert Path(file.path).name == f"Q1-{ctx.job_id}.{ending}"
        assert (file.format, file.rows, file.bytes) == (ending, 2, len(content))
        assert file.sha256 == hashlib.sha256(content).hexdigest()


def test_report_writes_equal_files_when_redelivered(ctx: Context) -> None:
    """A redelivered job writes the same bytes to the same files, and leaves no others."""
    report = Report(rows=[{"a": 1}], formats=["csv", "xlsx"])
    first, second = generate_report(report, ctx), generate_report(report, ctx)
    assert first == second
    # The time of writing would differ only where the clock does between the two.
    assert openpyxl.load_workbook(first[1].path).properties.created == datetime(2000, 1, 1)  # noqa: DTZ001 - as stored
    folder = Path(first[0].path).parent
    assert sorted(path.name for path in folder.iterdir()) == sorted(Path(file.path).name for file in first)


def test_report_takes_lists_in_the_order_of_the_columns(ctx: Context) -> None:
    """A row may be a list with one cell for each column."""
    (file,) = generate_report(Report(columns=["a", "b"], rows=[[1, True], ["ü", False]]), ctx)
    assert read_csv(file) == [["a", "b"], ["1", "true"], ["ü", "false"]]


def test_report_picks_and_orders_columns_of_objects(ctx: Context) -> None:
    """`columns` selects and orders the keys of objects."""
    (file,) = generate_report(Report(columns=["c", "a"], rows=[{"a": 1, "b": 2, "c": 3}]), ctx)
    assert read_csv(file) == [["c", "a"], ["3", "1"]]


def test_report_writes_the_header_alone_when_there_are_no_rows(ctx: Context) -> None:
    """A report without rows has its header."""
    files = generate_report(Report(columns=["a"], rows=[], formats=["csv", "xlsx"]), ctx)
    assert read_csv(files[0]) == read_xlsx(files[1]) == [["a"]]


HOSTILE = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("http://x")']


@pytest.mark.parametrize("text", HOSTILE)
def test_report_makes_no_formula_when_text_looks_like_one(ctx: Context, text: str) -> None:
    """A text that looks like a formula stays a text, with an apostrophe in CSV and as a string cell in XLSX."""
    as_csv, as_xlsx = generate_report(Report(rows=[{text: text}], formats=["csv", "xlsx"]), ctx)
    assert read_csv(as_csv) == [[f"'{text}"], [f"'{text}"]]
    book = openpyxl.load_workbook(as_xlsx.path)
    cells = [cell for row in book["Report"].iter_rows() for cell in row]
    assert {cell.data_type for cell in cells} == {"s"}
    assert [cell.hyperlink for cell in cells] == [None, None]
    book.close()


def test_report_leaves_numbers_alone_when_signed(ctx: Context) -> None:
    """A negative number is written unchanged, also when it is a text."""
    (file,) = generate_report(Report(rows=[{"a": -1, "b": "-1.5", "c": "+33", "d": "-1e3"}]), ctx)
    assert read_csv(file)[1] == ["-1", "-1.5", "+33", "-1e3"]


@given(st.text(st.characters(codec="utf-8")))
def test_csv_cell_never_starts_a_formula(text: str) -> None:
    """A CSV cell of any text starts no formula, unless it is a number."""
    cell = table_writer._csv_cell(text)
    assert cell in {text, f"'{text}"}
    if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        float(cell.replace(",", ""))


def test_xlsx_keeps_all_digits_when_a_number_is_long(ctx: Context) -> None:
    """A number beyond 15 digits is written to a sheet as text."""
    rows = [{"a": 12345678901234567, "b": 999, "c": float("inf"), "d": 1e300}]
    (file,) = generate_report(Report(rows=rows, format="xlsx"), ctx)
    assert read_xlsx(file)[1] == ["12345678901234567", 999, "inf", "1e+300"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rows": [[1]]}, "`columns` is needed"),
        ({"rows": [[1, 2]], "columns": ["a"]}, r"`rows\[0\]` has 2 cells for 1 columns"),
        ({"rows": [[1], {"a": 1}], "columns": ["a"]}, "all objects or all lists"),
        ({"rows": [], "columns": ["a", "a"]}, "twice"),
        ({"rows": [{"a": "x" * 40_000}], "format": "xlsx"}, "32767 characters, not 40000"),
        ({"rows": [], "columns": [str(n) for n in range(16_385)], "format": "xlsx"}, "16384 columns"),
    ],
)
def test_report_is_dead_when_rows_make_no_table(ctx: Context, fields: dict[str, Any], message: str) -> None:
    """Rows that make no table are dead at once, and leave no file."""
    with pytest.raises(Dead, match=message):
        generate_report(Report(**fields), ctx)
    folder = Path(ctx.state.reports.folder)
    assert not folder.exists() or not list(folder.iterdir())


def test_report_says_how_far_it_is(reporting: ReportContext) -> None:
    """Progress grows through all formats up to 100."""
    generate_report(Report(rows=[{"a": n} for n in range(1200)], formats=["csv", "xlsx"]), reporting.ctx)
    percents = [progress.percent for progress in reporting.noted]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert 50 in percents
    assert len(percents) == 7


def test_report_stops_and_leaves_nothing_when_cancelled(ctx: Context) -> None:
    """A cancelled report stops by itself and leaves no file."""
    ctx.cancelled = True
    with pytest.raises(Discard, match="cancelled"):
        generate_report(Report(rows=[{"a": 1}], format="xlsx"), ctx)
    assert not list(Path(ctx.state.reports.folder).iterdir())


@given(st.text(st.characters(codec="utf-8")))
@example("é" * 300)
def test_file_name_stays_in_its_folder(name: str) -> None:
    """A file name is one visible path component that every file system accepts."""
    made = file_name(name, JobId("report.generate_0001890000000000000000000000"), "csv")
    assert Path(made).name == made
    assert not made.startswith((".", "-"))
    assert "\x00" not in made
    assert len(made.encode()) <= 255
    assert made.endswith("-report.generate_0001890000000000000000000000.csv")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "a/../b", "..\\..\\x"])
def test_report_stays_in_its_folder_when_the_name_climbs(ctx: Context, name: str) -> None:
    """A name cannot lead out of the folder."""
    (file,) = generate_report(Report(name=name, rows=[{"a": 1}]), ctx)
    assert Path(file.path).parent == Path(ctx.state.reports.folder)


def test_keep_leaves_the_old_file_when_writing_fails(tmp_path: Path) -> None:
    """A file is replaced whole or not at all, and no draft is left."""
    keep(str(tmp_path), "a", lambda file: file.write(b"old") and None)

    def fail(file: Any) -> None:
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        keep(str(tmp_path), "a", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_keep_makes_files_that_others_may_read(tmp_path: Path) -> None:
    """A report has the permissions of any new file."""
    keep(str(tmp_path), "a", lambda file: file.write(b"x") and None)
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~umask


def test_keep_takes_two_drafts_of_one_file_at_the_same_time(tmp_path: Path) -> None:
    """Of two deliveries that write the same file at once, the last to end is kept whole."""

    def write_beside_another(file: BinaryIO) -> None:
        file.write(b"outer ")
        keep(str(tmp_path), "a", lambda other: other.write(b"inner") and None)
        file.write(b"end")

    kept = keep(str(tmp_path), "a", write_beside_another)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"outer end"
    assert (kept.bytes, kept.sha256) == (9, hashlib.sha256(b"outer end").hexdigest())


def open_descriptors() -> int:
    """Return the number of open files of this process, where the system reports it."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_keep_moves_a_file_only_when_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is synced before the file is renamed, and the folder after it."""
    steps: list[tuple[str, bool, int]] = []
    place = tmp_path / "a"

    def note(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append((kind, place.exists(), os.fstat(descriptor).st_size if kind == "file" else 0))

    monkeypatch.setattr(os, "fsync", note)
    before = open_descriptors()
    keep(str(tmp_path), "a", lambda file: file.write(b"content") and None)
    assert steps == [("file", False, 7), ("folder", True, 0)]
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("name", "start"),
    [("Q1 2026", "Q1-2026"), ("", "report"), ("..", "report"), ("-a-", "a"), (".hidden", "hidden"), ("ü/ö", "ü-ö")],
)
def test_file_name_keeps_what_it_may(name: str, start: str) -> None:
    """A character that a file name cannot have becomes a dash, and a name of nothing else is `report`."""
    assert file_name(name, JobId("r_1"), "csv") == f"{start}-r_1.csv"


def test_report_writes_one_file_for_a_format_that_is_named_alone_or_twice(ctx: Context) -> None:
    """Each format of `format` or `formats` makes one file, also when it is named twice."""
    one = generate_report(Report(rows=[{"a": 1}], format="xlsx"), ctx)
    several = generate_report(Report(rows=[{"a": 1}], format="xlsx", formats=["csv", "csv"]), ctx)
    assert [file.format for file in (*one, *several)] == ["xlsx", "csv"]


def test_report_is_done_at_a_hundred_when_it_has_no_rows(reporting: ReportContext) -> None:
    """A report without rows ends at a progress of 100."""
    generate_report(Report(columns=["a"], rows=[]), reporting.ctx)
    assert reporting.noted == [Progress(100, "done")]


@pytest.mark.parametrize("cells", [1, 3])
def test_report_is_dead_when_a_row_has_too_few_or_too_many_cells(ctx: Context, cells: int) -> None:
    """A row with too few or too many cells is dead."""
    with pytest.raises(Dead, match=rf"`rows\[1\]` has {cells} cells for 2 columns"):
        generate_report(Report(columns=["a", "b"], rows=[[1, 2], [1] * cells]), ctx)


def test_workbook_has_its_header_frozen(ctx: Context) -> None:
    """The header of a sheet stays visible while it is scrolled."""
    (file,) = generate_report(Report(rows=[{"a": 1}], format="xlsx"), ctx)
    book = openpyxl.load_workbook(file.path)
    assert book["Report"].freeze_panes == "A2"
    book.close()


@pytest.mark.parametrize(("columns", "rows", "fits"), [(1, 1_048_576, False), (16_385, 0, False), (16_384, 0, True)])
def test_workbook_is_dead_beyond_what_a_sheet_can_hold(columns: int, rows: int, fits: bool) -> None:
    """A report beyond 1,048,576 rows with the header, or 16,384 columns, is dead."""
    table = Table([f"c{number}" for number in range(columns)], [[None] * columns] * rows)
    with nullcontext() if fits else pytest.raises(Dead, match="a sheet holds 1048575 rows"):
        table_writer.write_xlsx(table, lambda _: None, BytesIO())


def test_workbook_refuses_one_row_too_many_and_no_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """The header counts as a row, so that a sheet of three rows holds two below it."""
    monkeypatch.setattr(table_writer, "XLSX_MAX_ROWS", 3)
    table_writer.write_xlsx(Table(["a"], [[1], [2]]), lambda _: None, BytesIO())
    with pytest.raises(Dead, match="a sheet holds 2 rows"):
        table_writer.write_xlsx(Table(["a"], [[1], [2], [3]]), lambda _: None, BytesIO())
