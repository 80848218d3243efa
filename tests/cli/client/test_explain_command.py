"""`jobs explain` prints why a job does not run."""

from collections.abc import Iterator

import msgspec
import pytest
from cli.commands import run
from sdk.client.scripted_api import Reply, ScriptedApi, problem

from millstream_cli.exit_codes import ExitCode

BLOCKED = {
    "id": "a_1",
    "state": "blocked",
    "reasons": [{"code": "parent-dead", "detail": "it waits for b_1, which is dead: retry that one", "job": "b_1"}],
}
LATER = {
    "id": "a_1",
    "state": "scheduled",
    "reasons": [{"code": "time", "detail": "it is due then", "at": "2026-03-27T03:04:05Z"}],
}


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Serve a scripted API."""
    server = ScriptedApi()
    yield server
    server.close()


def test_each_reason_is_a_line(api: ScriptedApi) -> None:
    """The state is followed by a line for each reason, with its time where there is one."""
    api.script.extend([Reply(200, BLOCKED), Reply(200, LATER)])
    done = run("jobs", "explain", "a_1", "--url", api.url)
    assert done.output.splitlines() == ["a_1 is blocked", "  it waits for b_1, which is dead: retry that one"]
    assert api.received[-1].path == "/v1/jobs/a_1/explain"
    assert "it is due then (2026-03-27" in run("jobs", "explain", "a_1", "--url", api.url).output


def test_programs_get_json(api: ScriptedApi) -> None:
    """With --json the answer is printed as it came."""
    api.script.append(Reply(200, BLOCKED))
    assert msgspec.json.decode(run("jobs", "explain", "a_1", "--json", "--url", api.url).output) == BLOCKED


def test_an_unknown_job_is_an_error(api: ScriptedApi) -> None:
    """A job that is not there ends the command with the exit code of a refusal."""
    api.script.append(problem(404, "There is no such job"))
    assert run("jobs", "explain", "a_1", "--url", api.url).exit_code == ExitCode.REFUSED
