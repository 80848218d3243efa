"""`data.export` reads a search page by page and writes a whole file, or none."""

import csv
import hashlib
import json
from datetime import timedelta
from pathlib import Path

import pytest
from pyarrow import parquet
from sdk.client.scripted_api import Reply, ScriptedApi, problem
from sdk.contexts import make_context
from sdk.handlers.exporting import BEGAN, job, page

from millstream import Context, Dead, Discard
from millstream.handlers import Export, ExportSettings, ReportSettings, Shared, SmtpSettings, export_data
from millstream.handlers.export.job_rows import COLUMNS
from millstream.handlers.mailer import Mailer


@pytest.fixture
def ctx(tmp_path: Path, api: ScriptedApi) -> Context:
    """Return the context of a worker whose API is scripted."""
    settings = ExportSettings(folder=str(tmp_path / "out"), api_url=api.url)
    return make_context("data.export", Shared(Mailer(SmtpSettings()), ReportSettings(), exports=settings))


def test_export_follows_the_pages_to_their_end(ctx: Context, api: ScriptedApi) -> None:
    """All pages are read, also those whose time was over before they were full, and the result says what is there."""
    api.script += (
        page([job(0), job(1)], "c1"),
        page([], "c2", complete=False, searched_until=BEGAN.isoformat()),
        page([job(9)]),
    )
    done = export_data(Export(query="state:dead since:7d", name="dead jobs"), ctx)
    content = Path(done.path).read_bytes()
    assert [json.loads(line)["id"] for line in content.splitlines()] == ["a_0", "a_1", "a_9"]
    assert (done.rows, done.bytes, done.sha256) == (3, len(content), hashlib.sha256(content).hexdigest())
    assert (done.newest, done.oldest, done.whole) == (BEGAN, BEGAN - timedelta(minutes=9), True)
    assert done.history_lag_s == 0.5
    assert Path(done.path).name == f"dead-jobs-{ctx.job_id}.jsonl"
    assert [one.query.get("cursor") for one in api.received if one.path == "/v1/jobs"] == [None, ["c1"], ["c2"]]
    assert api.received[0].query["q"] == ["state:dead since:7d"]


def test_export_writes_csv_without_formulas(ctx: Context, api: ScriptedApi) -> None:
    """Cells are plain: nested values are JSON, and a text that looks like a formula stays a text."""
    api.script.append(page([job(0)]))
    done = export_data(Export(query="", format="csv"), ctx)
    with Path(done.path).open(newline="", encoding="utf-8") as file:
        (row,) = list(csv.DictReader(file))
    assert list(row) == list(COLUMNS)
    assert (row["id"], row["attempts"], row["error_message"], row["tags"]) == ("a_0", "2", "'=1+1", '{"k":"v"}')


def test_export_writes_parquet_in_groups(ctx: Context, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet has groups of rows, numbers as numbers and absent values as null."""
    monkeypatch.setattr("millstream.handlers.export.export_writers.ROWS_AT_ONCE", 2)
    api.script.append(page([job(number) for number in range(5)]))
    done = export_data(Export(query="", format="parquet"), ctx)
    file = parquet.ParquetFile(done.path)
    table = file.read()
    assert (file.num_row_groups, table.num_rows, table.column_names) == (3, 5, list(COLUMNS))
    assert table.column("attempts").to_pylist() == [2] * 5
    assert table.column("worker").to_pylist() == [None] * 5


def test_export_reads_each_job_for_its_payload(ctx: Context, api: ScriptedApi) -> None:
    """Payload and result are not in lists, so each job is read; one that was forgotten meanwhile stays as it is."""
    api.script += (
        page([job(0), job(1)]),
        Reply(200, job(0, payload={"n": 1}, result=[2])),
        problem(404, "There is no such job"),
    )
    done = export_data(Export(query="", payloads=True), ctx)
    first, second = (json.loads(line) for line in Path(done.path).read_text().splitlines())
    assert (first["payload"], first["result"]) == ({"n": 1}, [2])
    assert second["payload"] is None


def test_export_ends_at_its_limit_and_says_that_there_is_more(ctx: Context, api: ScriptedApi) -> None:
    """A file with as many jobs as were asked for says that it is not all."""
    api.script.append(page([job(0), job(1), job(2)], "c"))
    done = export_data(Export(query="", limit=2), ctx)
    assert (done.rows, done.whole) == (2, False)


def test_export_of_a_wrong_query_is_dead_and_leaves_no_file(ctx: Context, api: ScriptedApi, tmp_path: Path) -> None:
    """A query that the API refuses is not tried again, and no file is there, nor a part of one."""
    api.script.append(problem(422, "The query cannot be read"))
    with pytest.raises(Dead, match="cannot be searched"):
        export_data(Export(query="state:failed"), ctx)
    assert list((tmp_path / "out").iterdir()) == []


def test_export_that_is_cancelled_leaves_no_file(ctx: Context, api: ScriptedApi, tmp_path: Path) -> None:
    """A job that is cancelled between two pages leaves nothing behind."""
    api.script.append(page([job(0)], "c"))
    ctx.cancelled = True
    with pytest.raises(Discard):
        export_data(Export(query=""), ctx)
    assert list((tmp_path / "out").iterdir()) == []


def test_export_searches_as_at_a_time_and_names_the_gaps_since_its_oldest_job(ctx: Context, api: ScriptedApi) -> None:
    """Each page is of the search as at the given time, and the result has the times of which events were lost."""
    gap = {"from": BEGAN.isoformat(), "to": (BEGAN + timedelta(minutes=1)).isoformat()}
    stats = {"from": BEGAN.isoformat(), "to": BEGAN.isoformat(), "step_s": 60, "points": [], "gaps": [gap]}
    api.script += (page([job(0)], "c"), page([job(7)]), Reply(200, stats))
    done = export_data(Export(query="state:dead", as_of=BEGAN), ctx)
    assert done.gaps is not None
    assert [(one.begin, one.end) for one in done.gaps] == [(BEGAN, BEGAN + timedelta(minutes=1))]
    *pages, asked = api.received
    assert [one.query["as_of"] for one in pages] == [[BEGAN.isoformat()]] * 2
    assert asked.query["from"] == [(BEGAN - timedelta(minutes=7)).isoformat()]


def test_export_without_an_answer_about_gaps_does_not_know_them(ctx: Context, api: ScriptedApi) -> None:
    """A whole file is not thrown away because the gaps cannot be told."""
    api.script += (page([job(0)]), problem(400, "Statistics are kept for 400 days"))
    done = export_data(Export(query=""), ctx)
    assert (done.rows, done.gaps) == (1, None)


def test_export_by_ids_reads_each_job_and_names_those_that_are_missing(ctx: Context, api: ScriptedApi) -> None:
    """Jobs of ids are written in their order; an erased one, and one that there is not, are named."""
    api.script += (
        Reply(200, job(3, payload=1)),
        problem(410, "The job has been erased", type="/problems/erased"),
        problem(404, "There is no such job"),
        Reply(200, job(1)),
    )
    done = export_data(Export(ids=["a_3", "a_8", "a_9", "a_1"]), ctx)
    assert [json.loads(line)["id"] for line in Path(done.path).read_text().splitlines()] == ["a_3", "a_1"]
    assert (done.rows, done.missing, done.whole) == (2, ["a_8", "a_9"], False)
    assert (done.newest, done.oldest) == (BEGAN - timedelta(minutes=1), BEGAN - timedelta(minutes=3))
