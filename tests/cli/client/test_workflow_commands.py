"""`workflows` and its commands run, show and steer workflows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli.commands import run
from sdk.client.scripted_api import Reply, ScriptedApi, problem

from millstream_cli.exit_codes import ExitCode

ID = "WF_0001KBCSZ4000ABCDEFGHJKMNP"
STATUS: dict[str, Any] = {
    "id": ID, "name": "month-end", "state": "running", "counts": {"succeeded": 1, "dead": 1, "waiting": 1},
    "created_at": "2026-03-27T03:04:05Z",
}  # fmt: skip
NODE: dict[str, Any] = {
    "name": "mail",
    "type": "email.send",
    "state": "dead",
    "after": ["report"],
    "job": "email.send_1",
}
DOCUMENT = {"name": "month-end", "nodes": {"mail": {"type": "email.send", "payload": {"$literal": 1}}}}


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Serve a scripted API."""
    server = ScriptedApi()
    yield server
    server.close()


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Return the path of a file with a workflow."""
    path = tmp_path / "workflow.json"
    path.write_text(json.dumps(DOCUMENT))
    return str(path)


def page(**fields: Any) -> Reply:
    """Return a workflow with a node as the API shows it."""
    return Reply(200, {"workflow": {**STATUS, **fields}, "nodes": [NODE], "next_cursor": None})


def test_a_file_is_run_as_it_is_written(api: ScriptedApi, file: str) -> None:
    """The file is the body of the API, and the answer is the id alone."""
    api.script.append(Reply(202, {"id": ID, "state": "running", "counts": {}, "nodes": {}}))
    result = run("workflows", "run", file, "--idempotency-key", "k", "--url", api.url)
    assert (result.exit_code, result.output) == (0, f"{ID}\n")
    assert msgspec.msgpack.decode(api.received[-1].content) == DOCUMENT
    assert api.received[-1].headers["idempotency-key"] == "k"


@pytest.mark.parametrize(
    ("state", "status"), [("succeeded", ExitCode.DONE), ("stalled", ExitCode.FAILED), ("running", ExitCode.UNFINISHED)]
)
def test_a_wait_ends_with_the_workflow(api: ScriptedApi, file: str, state: str, status: ExitCode) -> None:
    """`--wait` tells by its status how the workflow has ended, or that it goes on; its result is printed."""
    api.script.append(Reply(202, {"id": ID, "state": "running", "counts": {}, "nodes": {}}))
    api.script.extend([page(state=state, result=[1, "a"])] * 4)
    result = run("workflows", "run", file, "--wait", "0.1", "--url", api.url)
    assert result.exit_code == status, result.output
    assert ID in result.output
    if state == "succeeded":
        assert 'result  [1,"a"]' in result.output


def test_workflow_shows_who_has_submitted_it(api: ScriptedApi) -> None:
    """A workflow of which that is known says who has submitted it."""
    api.script.append(page(submitted_by="7Kq2vXbA"))
    assert "submitter  7Kq2vXbA" in run("workflows", "show", ID, "--url", api.url).output


def test_a_file_that_is_no_workflow_is_refused(api: ScriptedApi, tmp_path: Path) -> None:
    """What is no JSON, and JSON that is no workflow, is told before anything is sent."""
    for text in ("{", "[]", '{"name": "a"}', '{"nodes": {}}'):
        path = tmp_path / "workflow.json"
        path.write_text(text)
        assert run("workflows", "run", str(path), "--url", api.url).exit_code == ExitCode.USAGE
    assert run("workflows", "run", str(tmp_path / "none.json"), "--url", api.url).exit_code == ExitCode.USAGE
    assert api.received == []


def test_workflows_are_listed(api: ScriptedApi) -> None:
    """A row has name, state, how many nodes are done and how many are dead; without a command it is the same list."""
    for words in ((), ("list",)):
        api.script.append(Reply(200, {"items": [STATUS], "next_cursor": "more"}))
        result = run("workflows", *words, "--state", "running", "--limit", "3", "--url", api.url)
        assert result.exit_code == 0, result.output
        assert f"{ID}  month-end  running  1/3" in result.output
        assert "more" in result.output
        assert api.received[-1].query == {"state": ["running"], "limit": ["3"]}


def test_a_workflow_is_shown_with_its_nodes(api: ScriptedApi) -> None:
    """The report has the counts of nodes, and each node with its job and those before it."""
    api.script.append(page(state="stalled", reason="a\nb"))
    result = run("workflows", "show", ID, "--nodes", "failed", "--url", api.url)
    assert result.exit_code == 0, result.output
    assert "1 succeeded, 1 dead, 1 waiting" in result.output
    assert "stalled (a\ufffdb)" in result.output
    assert "mail  dead   email.send  email.send_1  report" in result.output
    assert api.received[-1].query["nodes"] == ["failed"]


def test_results_are_shown_on_request(api: ScriptedApi) -> None:
    """With `--results` a row has whose results its node takes, and the bytes of those that there are."""
    inputs = [{"node": "list", "result_bytes": 1204}, {"node": "sum", "result_bytes": None}]
    shown = {"workflow": STATUS, "nodes": [{**NODE, "inputs": inputs}], "next_cursor": None}
    api.script.append(Reply(200, shown))
    result = run("workflows", "show", ID, "--results", "--url", api.url)
    assert result.exit_code == 0, result.output
    assert "list (1,204 B), sum" in result.output
    assert "takes" in result.output
    assert api.received[-1].query["results"] == ["1"]


def test_a_workflow_is_cancelled_and_rerun(api: ScriptedApi) -> None:
    """A rerun begins with the nodes that are named, or with those that failed; never with both or neither."""
    api.script.append(Reply(200, {**STATUS, "state": "cancelling"}))
    assert "cancelling" in run("workflows", "cancel", ID, "--url", api.url).output
    api.script.append(Reply(200, {**STATUS, "run": 2}))
    assert "run  2" in run("workflows", "rerun", ID, "mail", "report", "--url", api.url).output
    assert api.received[-1].body["from"] == ["mail", "report"]
    api.script.append(Reply(200, STATUS))
    assert run("workflows", "rerun", ID, "--failed", "--url", api.url).exit_code == 0
    assert api.received[-1].body["failed"] is True
    for words in ((), ("mail", "--failed")):
        assert run("workflows", "rerun", ID, *words, "--url", api.url).exit_code == ExitCode.USAGE
    api.script.append(problem(409, "The state forbids this"))
    assert run("workflows", "rerun", ID, "--failed", "--url", api.url).exit_code == ExitCode.REFUSED
