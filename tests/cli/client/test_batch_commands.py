"""`batches` and its commands make, fill, show and steer batches."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.commands import run
from sdk.client.scripted_api import Reply, ScriptedApi, problem

from millstream_cli.exit_codes import ExitCode

ID = "BA_0001KBCSZ4000ABCDEFGHJKMNP"
STATUS: dict[str, Any] = {
    "id": ID, "name": "import", "state": "stalled", "total": 3, "counts": {"succeeded": 2, "dead": 1},
    "callbacks": {
        "on_complete": {"job": "report_1", "fired": True, "submitted": True},
        "on_death": {"job": "alarm_1", "fired": True, "reason": "no worker"},
        "on_success": {"job": "mail_1", "fired": False},
    },
    "created_at": "2026-03-27T03:04:05Z",
}  # fmt: skip
MEMBERS = {"items": [{"job": "row_1", "state": "dead"}], "next_cursor": None}
JOBS = [{"type": "row", "payload": 1}, {"type": "row", "payload": 2}]


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Serve a scripted API."""
    server = ScriptedApi()
    yield server
    server.close()


@pytest.fixture(params=["lines", "list", "body"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the path of a file with jobs, in each form that there is."""
    path = tmp_path / "jobs"
    texts = {"lines": "\n\n".join(map(json.dumps, JOBS)), "list": json.dumps(JOBS), "body": json.dumps({"jobs": JOBS})}
    path.write_text(texts[request.param])
    return str(path)


def status(code: int = 200, **fields: Any) -> Reply:
    """Return a batch as the API shows it."""
    return Reply(code, {**STATUS, **fields})


def receipt(**fields: Any) -> Reply:
    """Return the answer to jobs that are added."""
    items = [{"index": index, "status": 202, "id": f"row_{index}"} for index in range(2)]
    return Reply(207, {"accepted": 2, "rejected": 0, "items": items, **fields})


def test_a_batch_is_made_of_a_file(api: ScriptedApi, jobs: str) -> None:
    """The jobs of a file are the first members; a callback is a type, or a job as JSON."""
    api.script.append(status(202))
    mail = '{"type": "mail", "payload": {"to": "ann"}}'
    arguments = ("--jobs", jobs, "--on-complete", "report", "--on-death", mail, "--expires-in", "90")
    result = run("batches", "create", "import", *arguments, "--idempotency-key", "k", "--url", api.url)
    assert (result.exit_code, result.output) == (0, f"{ID}\n")
    assert api.received[-1].body == {
        "name": "import", "jobs": JOBS, "open": False, "expires_in_s": 90.0,
        "on_complete": {"type": "report", "payload": None}, "on_death": {"type": "mail", "payload": {"to": "ann"}},
    }  # fmt: skip
    assert api.received[-1].headers["idempotency-key"] == "k"


def test_batch_shows_who_has_submitted_it(api: ScriptedApi) -> None:
    """A batch of which that is known says who has submitted it."""
    api.script += [status(submitted_by="7Kq2vXbA"), Reply(200, MEMBERS)]
    assert "7Kq2vXbA" in run("batches", "show", ID, "--url", api.url).output


def test_a_batch_without_jobs_is_open(api: ScriptedApi) -> None:
    """A name alone makes a batch that takes jobs."""
    api.script.append(status(202, state="open"))
    run("batches", "create", "import", "--url", api.url)
    assert api.received[-1].body == {"name": "import", "open": True}


def test_jobs_are_added(api: ScriptedApi, jobs: str) -> None:
    """A file is added as members, by a member where one is named."""
    api.script.append(receipt())
    result = run("batches", "add", ID, jobs, "--by", "row_0", "--url", api.url)
    assert (result.exit_code, result.output) == (0, "2 accepted, 0 refused\n")
    assert (api.received[-1].body, api.received[-1].query) == ({"jobs": JOBS}, {"by": ["row_0"]})


def test_a_job_that_is_refused_is_told(api: ScriptedApi, jobs: str) -> None:
    """The status says that not all were accepted, the table which were not and why."""
    told = {**problem(422, "wrong").body, "detail": "the payload does not fit"}
    refused = {"index": 1, "status": 422, "problem": told}
    api.script.append(receipt(accepted=1, rejected=1, items=[{"index": 0, "status": 202, "id": "row_1"}, refused]))
    result = run("batches", "add", ID, jobs, "--url", api.url)
    assert result.exit_code == ExitCode.FAILED
    assert result.output.splitlines()[-1].split(maxsplit=1) == ["2", "the payload does not fit"]


def test_a_line_that_is_no_job_is_named(api: ScriptedApi, tmp_path: Path) -> None:
    """A file with a line that is not JSON is not sent."""
    path = tmp_path / "jobs"
    path.write_text(f"{json.dumps(JOBS[0])}\nrow 2\n")
    result = run("batches", "add", ID, str(path), "--url", api.url)
    assert (result.exit_code, not api.received) == (ExitCode.USAGE, True)
    assert "line 2 of the jobs is not JSON" in result.output


def test_an_empty_file_is_no_batch(api: ScriptedApi, tmp_path: Path) -> None:
    """A file without jobs is a mistake: it does not make an open batch."""
    path = tmp_path / "jobs"
    path.write_text("\n")
    result = run("batches", "create", "import", "--jobs", str(path), "--url", api.url)
    assert (result.exit_code, not api.received) == (ExitCode.USAGE, True)
    assert "has no jobs" in result.output


def test_a_batch_is_shown_with_its_members(api: ScriptedApi) -> None:
    """The facts, its callbacks and a table of its members."""
    api.script.extend([status(), Reply(200, MEMBERS)])
    lines = [
        line.split() for line in run("batches", "show", ID, "--state", "dead", "--url", api.url).output.splitlines()
    ]
    assert ["members", "2", "succeeded,", "1", "dead"] in lines
    assert ["on", "complete", "report_1"] in lines
    assert ["on", "death", "alarm_1", "(refused:", "no", "worker)"] in lines
    assert ["on", "success", "mail_1", "(not", "yet)"] in lines
    assert lines[-1] == ["row_1", "dead"]
    assert api.received[-1].query == {"state": ["dead"], "limit": ["50"]}


@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("stalled", ExitCode.FAILED)])
def test_a_wait_ends_as_the_batch_does(api: ScriptedApi, state: str, code: int) -> None:
    """The status is that of the batch: 1 unless every member has succeeded."""
    api.script.extend([status(202, state="open"), status(state="running"), status(state=state)])
    result = run("batches", "create", "import", "--wait", "30", "--url", api.url)
    assert (result.exit_code, ID in result.output) == (code, True)


def test_batches_are_listed(api: ScriptedApi) -> None:
    """A row has id, name, state, how many members are done, and how many are dead."""
    for words in (("batches",), ("batches", "list")):
        api.script.append(Reply(200, {"items": [STATUS], "next_cursor": "next"}))
        lines = run(*words, "--state", "stalled", "--url", api.url).output.splitlines()
        assert lines[2].split()[:5] == [ID, "import", "stalled", "2/3", "1"]
        assert "--cursor next" in lines[-1]
        assert api.received[-1].query == {"state": ["stalled"], "limit": ["50"]}


def test_a_batch_is_closed_and_cancelled(api: ScriptedApi) -> None:
    """Both answer with the batch; one that has ended cannot be cancelled."""
    api.script.extend([status(state="running"), status(state="cancelling"), problem(409, "it has succeeded")])
    assert "running" in run("batches", "close", ID, "--url", api.url).output
    assert "cancelling" in run("batches", "cancel", ID, "--url", api.url).output
    result = run("batches", "cancel", ID, "--url", api.url)
    assert (result.exit_code, "it has succeeded" in result.output) == (ExitCode.REFUSED, True)
    assert [one.path for one in api.received] == [f"/v1/batches/{ID}/{verb}" for verb in ("close", "cancel", "cancel")]


def test_programs_get_json(api: ScriptedApi) -> None:
    """`--json` prints what the API says."""
    api.script.extend([status(), Reply(200, MEMBERS), Reply(200, {"items": [], "next_cursor": None})])
    shown = json.loads(run("batches", "show", ID, "--json", "--url", api.url).output)
    assert (shown["batch"]["id"], shown["members"][0]["job"]) == (ID, "row_1")
    assert json.loads(run("batches", "--json", "--url", api.url).output)["items"] == []
