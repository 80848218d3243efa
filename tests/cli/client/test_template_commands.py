"""`templates` and its commands make and show templates."""

from collections.abc import Iterator

import msgspec
import pytest
from cli.commands import run
from sdk.client.scripted_api import Reply, ScriptedApi

from millstream_cli.exit_codes import ExitCode

TEMPLATE = {
    "name": "nightly-report",
    "type": "report.generate",
    "payload": {"format": "pdf"},
    "priority": "low",
    "description": "For the \x1b[31moffice",
    "updated_at": "2026-03-27T03:04:05Z",
}


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Serve a scripted API."""
    server = ScriptedApi()
    yield server
    server.close()


def test_a_template_is_put_as_its_options_say(api: ScriptedApi) -> None:
    """Options that are given are sent under the names of the API, and the others are left out."""
    api.script.append(Reply(201, TEMPLATE))
    words = (
        "--priority",
        "low",
        "--key",
        "acme",
        "--timeout",
        "1.5",
        "--tag",
        "a=b",
        "--description",
        "For the office",
    )
    arguments = ("nightly-report", "report.generate", '{"format": "pdf"}')
    result = run("templates", "put", *arguments, *words, "--url", api.url)
    assert result.exit_code == 0, result.output
    assert (api.received[-1].method, api.received[-1].path) == ("PUT", "/v1/templates/nightly-report")
    assert msgspec.msgpack.decode(api.received[-1].content) == {
        "type": "report.generate",
        "payload": {"format": "pdf"},
        "priority": "low",
        "key": "acme",
        "timeout_s": 1.5,
        "tags": {"a": "b"},
        "description": "For the office",
    }


def test_a_template_makes_its_jobs_unique(api: ScriptedApi) -> None:
    """The options of `submit` say which key its jobs hold, and what becomes of those whose key is held."""
    api.script.append(Reply(201, TEMPLATE))
    words = ("--unique", "office", "--unique-window", "60", "--on-conflict", "reject")
    result = run("templates", "put", "nightly-report", "report.generate", *words, "--url", api.url)
    assert result.exit_code == 0, result.output
    unique = msgspec.msgpack.decode(api.received[-1].content)["unique"]
    assert unique == {"key": "office", "scope": "window", "window_s": 60.0, "on_conflict": "reject"}
    result = run("templates", "put", "nightly-report", "report.generate", "--on-conflict", "reject", "--url", api.url)
    assert result.exit_code == ExitCode.USAGE
    assert "go with --unique" in result.output


def test_a_template_is_shown_without_control_characters(api: ScriptedApi) -> None:
    """What is said of a template stands behind its name, and what it does not say is not there."""
    api.script.append(Reply(200, TEMPLATE))
    result = run("templates", "show", "nightly-report", "--url", api.url)
    assert result.exit_code == 0, result.output
    lines = [line.split(maxsplit=1) for line in result.output.splitlines()]
    assert ["payload", '{"format":"pdf"}'] in lines
    assert ["priority", "low"] in lines
    assert "\x1b" not in result.output
    assert "timeout" not in result.output


def test_templates_are_listed(api: ScriptedApi) -> None:
    """The list has a line for each template, and says how to go on."""
    api.script.append(Reply(200, {"items": [TEMPLATE], "next_cursor": "abc"}))
    result = run("templates", "--name", "night", "--limit", "1", "--url", api.url)
    assert "report.generate" in result.output
    assert "--cursor abc" in result.output + result.stderr
    assert api.received[-1].query == {"name": ["night"], "limit": ["1"]}


def test_a_template_that_is_not_there_is_told(api: ScriptedApi) -> None:
    """A refusal of the API is told, and the exit code says so."""
    problem = {"type": "https://example.org/problems/template-not-found", "title": "There is no such template"}
    api.script.append(Reply(404, {**problem, "status": 404, "detail": "there is no template `a`"}))
    result = run("templates", "remove", "a", "--url", api.url)
    assert result.exit_code == ExitCode.REFUSED
    assert "there is no template `a`" in result.stderr


def test_a_submission_names_its_template(api: ScriptedApi) -> None:
    """`submit --template` leaves a payload that is not given to the template."""
    api.script.append(Reply(202, {"id": "a_00", "type": "report.generate", "state": "queued", "version": 1}))
    run("submit", "report.generate", "--template", "nightly-report", "--url", api.url)
    assert msgspec.msgpack.decode(api.received[-1].content) == {"type": "report.generate", "template": "nightly-report"}
