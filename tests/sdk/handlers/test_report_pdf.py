"""`report.generate` writes PDF, and the jobs that a query finds."""

import csv
from pathlib import Path

import pytest
from pypdf import PdfReader
from sdk.client.scripted_api import ScriptedApi
from sdk.contexts import make_context
from sdk.handlers.exporting import job, page

from millstream import Context, Dead, HandlerError
from millstream.handlers import (
    FoundJobs,
    Report,
    ReportSettings,
    Shared,
    SmtpSettings,
    generate_report,
    pdf_writer,
    report_generate,
)
from millstream.handlers.mailer import Mailer


@pytest.fixture
def ctx(tmp_path: Path, api: ScriptedApi) -> Context:
    """Return the context of a worker whose API is scripted."""
    settings = ReportSettings(folder=str(tmp_path / "out"), api_url=api.url)
    return make_context("report.generate", Shared(Mailer(SmtpSettings()), settings))


def text_of(path: str) -> list[str]:
    """Return the text of each page."""
    return [one.extract_text() for one in PdfReader(path).pages]


def test_pdf_has_the_rows_on_pages_with_the_header_on_each(ctx: Context) -> None:
    """A long table runs over pages, each with the names of the columns."""
    rows = [{"name": f"Zoë {number}", "n": number} for number in range(200)]
    (file,) = generate_report(Report(name="People", rows=rows, format="pdf"), ctx)
    pages = text_of(file.path)
    assert len(pages) > 2
    assert all("name" in one for one in pages)
    assert "Zoë 0" in pages[0]
    assert "Zoë 199" in pages[-1]
    assert file.rows == 200


def test_pdf_is_the_same_when_its_job_runs_again(ctx: Context) -> None:
    """Equal jobs write equal bytes."""
    report = Report(rows=[{"a": 1}], format="pdf")
    contents = [Path(generate_report(report, ctx)[0].path).read_bytes() for _ in range(2)]
    assert contents[0] == contents[1]


def test_pdf_shows_text_of_users_as_text(ctx: Context) -> None:
    """Markup in a cell is shown and not followed, and control characters end nothing."""
    hostile = '<img src="/etc/passwd"/><b>x</b> & <a href="http://x">y</a>\0\x1b[2J'
    (file,) = generate_report(Report(rows=[{"a": hostile, "b": None}], format="pdf"), ctx)
    (text,) = text_of(file.path)
    assert '<img src="/etc/passwd"/>' in text.replace("\n", "")
    assert PdfReader(file.path).pages[0].get("/Annots") is None


def test_pdf_without_rows_has_its_header(ctx: Context) -> None:
    """A report without rows is a page with the header, or one that says so."""
    (file,) = generate_report(Report(columns=["a"], rows=[], format="pdf"), ctx)
    assert [one.strip() for one in text_of(file.path)] == ["a"]
    (file,) = generate_report(Report(rows=[], format="pdf"), ctx)
    assert [one.strip() for one in text_of(file.path)] == ["no rows"]


def test_pdf_breaks_a_word_of_any_length(ctx: Context) -> None:
    """A cell that is longer than a column is broken, and one that is longer than a page is cut."""
    (file,) = generate_report(Report(rows=[{"a": "x" * 5_000, "b": "end"}], format="pdf"), ctx)
    assert sum(one.count("x") for one in text_of(file.path)) == pdf_writer.PDF_MAX_CHARS


@pytest.mark.parametrize(("name", "value"), [("PDF_MAX_ROWS", 1), ("PDF_MAX_COLUMNS", 1)])
def test_pdf_is_dead_beyond_what_it_is_good_for(
    ctx: Context, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    """A table that is too large for a PDF ends as dead, with what takes more."""
    monkeypatch.setattr(pdf_writer, name, value)
    with pytest.raises(Dead, match="CSV takes more"):
        generate_report(Report(rows=[{"a": 1, "b": 2}] * 2, format="pdf"), ctx)


def test_pdf_says_that_its_font_cannot_be_read(tmp_path: Path) -> None:
    """A font that is none is named."""
    settings = ReportSettings(folder=str(tmp_path), font="/nowhere.ttf")
    ctx = make_context("report.generate", Shared(Mailer(SmtpSettings()), settings))
    with pytest.raises(HandlerError, match="font of reports"):
        generate_report(Report(rows=[{"a": 1}], format="pdf"), ctx)


def test_report_of_a_query_has_the_jobs_as_rows(ctx: Context, api: ScriptedApi) -> None:
    """A query takes the place of rows, and `columns` chooses among those of jobs."""
    api.script += (page([job(0)], "c"), page([job(1)]))
    (file,) = generate_report(Report(rows=FoundJobs("state:dead"), columns=["id", "error_type"]), ctx)
    with Path(file.path).open(newline="", encoding="utf-8") as lines:
        assert list(csv.reader(lines)) == [["id", "error_type"], ["a_0", "ValueError"], ["a_1", "ValueError"]]


def test_report_of_too_many_jobs_is_dead(ctx: Context, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report holds its table, so it takes a bounded number of jobs."""
    monkeypatch.setattr(report_generate, "MAX_QUERY_ROWS", 1)
    api.script.append(page([job(0), job(1)]))
    with pytest.raises(Dead, match=r"data\.export"):
        generate_report(Report(rows=FoundJobs("")), ctx)
