"""Operations: how far each is, and what steers it."""

import pytest
from console.seeding import HOSTILE, past_job, remember
from console.serving import Browser
from history_databases import execute
from ingest.serving import Ingest

from millstream_console.pages.operations.written import written_of


async def test_an_operation_is_paused_resumed_and_ended(archive: Browser, remembering: Ingest) -> None:
    """Each button does what it says, and one that comes too late is told why."""
    made = (await remembering.http.post("/v1/operations", json={"kind": "redrive", "ids": ["x", "y"]})).json()
    path = f"/operations/{made['id']}"
    assert (await archive.post(f"{path}/pause")).toast.startswith("Paused.")
    page = await archive.get(path)
    assert "It is paused" in page.main
    assert "Resume" in page.the("#live_actions").text
    assert (await archive.post(f"{path}/resume")).toast == "It goes on."
    assert (await archive.post(f"{path}/cancel")).toast == "Ended. What it has done stays done."
    late = await archive.post(f"{path}/pause")
    assert "there is nothing to pause" in late.toast
    assert late.the("#live_actions").text.strip() == ""


async def test_operations_are_listed_newest_first(archive: Browser, remembering: Ingest) -> None:
    """A row says what is done to which jobs."""
    assert "No operation yet" in (await archive.get("/operations")).main
    group = {"type": "a.b", "fingerprint": "<img src=x>"}
    for body in ({"kind": "discard", "q": "state:dead <img>"}, {"kind": "redrive", "group": group}):
        await remembering.http.post("/v1/operations", json=body)
    page = await archive.get("/operations")
    assert ["Redrive a.b, <img src=x>" in row for row in page.rows()] == [True, False]
    assert page.all("main img") == []


async def test_what_was_left_alone_is_told_with_why(archive: Browser, remembering: Ingest, history_url) -> None:
    """The first jobs that were refused are named, each with its reason."""
    made = (await remembering.http.post("/v1/operations", json={"kind": "redrive", "ids": ["x"]})).json()
    refusals = """'[{"id": "a.b_1", "reason": "<b>died</b> later"}]'"""
    await execute(history_url, f"UPDATE operations SET refused = 1, state = 'done', refusals = {refusals}")
    page = await archive.get(f"/operations/{made['id']}")
    assert page.rows() == ["a.b_1 <b>died</b> later"]
    assert "100" in page.the("#live_progress meter, #live_progress .meter")["aria-label"]


async def test_without_a_history_there_are_none(console: Browser) -> None:
    """The page says what operations need, and what works without."""
    assert "There is no history" in (await console.get("/operations")).main


async def test_an_operation_that_there_is_not_is_told(archive: Browser) -> None:
    """A wrong id is answered with 404."""
    await archive.get("/operations/op_none", 404)


async def test_an_export_leads_to_the_job_that_writes_it(archive: Browser, remembering: Ingest, history_url) -> None:
    """An export is one job: it has no rate, and cannot be paused."""
    made = (await remembering.http.post("/v1/operations", json={"kind": "export", "q": "state:dead"})).json()
    await execute(history_url, "UPDATE operations SET state = 'running', job_id = 'data.export_1', detail = 'half'")
    page = await archive.get(f"/operations/{made['id']}")
    assert "A job writes the file. Half. Its job" in page.main
    assert [link["href"] for link in page.all("#live_progress a")] == ["/jobs/data.export_1"]
    assert [button.text.strip() for button in page.all("#live_actions button")] == ["End it…"]
    assert "Rate" not in page.main


async def test_an_export_that_has_ended_says_what_it_has_written(
    archive: Browser, remembering: Ingest, history_url
) -> None:
    """The path, the rows and the digest are those of the job's result, which is linked; a hostile name is text."""
    result = {
        "path": HOSTILE,
        "format": "csv",
        "rows": 4711,
        "bytes": 2048,
        "sha256": "5f1c",
        "whole": False,
        "gaps": [{}],
    }
    job = past_job(result=result)
    await remember(history_url, job)
    made = (await remembering.http.post("/v1/operations", json={"kind": "export", "q": "state:dead"})).json()
    await execute(history_url, f"UPDATE operations SET state = 'done', job_id = '{job.id}'")
    page = await archive.get(f"/operations/{made['id']}")
    said = " ".join(page.the("section[aria-labelledby=written-h]").get_text(" ").split())
    for fact in (
        "U+202E",
        "4,711 not all that was asked for",
        "2.0 KiB, csv",
        "5f1c",
        "1 time of which events were lost",
    ):
        assert fact in said
    assert page.all("main script") == page.all("main img") == []
    assert page.all(f"a[href='/jobs/{job.id}#result-h']")


@pytest.mark.parametrize("result", [None, [], {"path": 1}, {"rows": "x"}])
def test_another_result_is_no_file(result: object) -> None:
    """What is not as `data.export` writes it is not shown as a file."""
    assert written_of(result) is None
