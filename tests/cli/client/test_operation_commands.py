"""`operations` and its commands say what an operation is about, and what it has done and refused."""

import json
from collections.abc import Iterator

import msgspec
import pytest
from cli.commands import run
from cli.terminals import run_on_terminal
from sdk.client.scripted_api import Reply, ScriptedApi

from millstream_cli.exit_codes import ExitCode

MOMENT = "2026-01-02T03:04:05Z"


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Serve a scripted API."""
    server = ScriptedApi()
    yield server
    server.close()


def operation(**fields: object) -> dict[str, object]:
    """Return an operation as the API shows it."""
    times = {"created_at": MOMENT, "updated_at": MOMENT}
    return {"id": "op_1", "kind": "redrive", "state": "pending", "rate": 50.0, **times, **fields}


def test_a_patch_sends_the_document_and_shows_what_it_would_change(api: ScriptedApi) -> None:
    """The patch is sent as it was written, and the changes and refusals of an answer have a line each."""
    changes = [
        {"pointer": "/region", "kind": "changed", "before": "europe", "after": "eu"},
        {"pointer": "/old", "kind": "removed", "before": 1, "after": None},
    ]
    answer = operation(
        kind="patch",
        dry_run=True,
        samples=[{"id": "x_1", "changes": changes}],
        refusals=[{"id": "x_2", "reason": "it is not dead"}],
    )
    api.script.append(Reply(202, answer))
    words = ("operations", "patch", "x_1", "x_2", "-p", '{"region": "eu", "old": null}', "--dry-run")
    result = run(*words, "--url", api.url)
    assert result.exit_code == 0, result.output
    sent = msgspec.msgpack.decode(api.received[-1].content)
    assert (sent["kind"], sent["patch"], sent["ids"]) == ("patch", {"region": "eu", "old": None}, ["x_1", "x_2"])
    assert 'would  x_1: /region "europe" → "eu"; /old removed 1' in result.output
    assert "refused  x_2: it is not dead" in result.output


@pytest.mark.parametrize("text", ["[1]", "{", "eu", json.dumps("x")])
def test_a_patch_that_is_no_object_is_refused_before_anything_is_sent(api: ScriptedApi, text: str) -> None:
    """What is no JSON object is named as the value of --patch."""
    result = run("operations", "patch", "x_1", "-p", text, "--yes", "--url", api.url)
    assert result.exit_code == ExitCode.USAGE
    assert "--patch" in result.output
    assert api.received == []


def test_without_a_terminal_nothing_is_done_unasked(api: ScriptedApi) -> None:
    """An operation that acts asks first, and where no answer can come it names the option in its place."""
    result = run("operations", "redrive", "x_1", "--url", api.url)
    assert result.exit_code == ExitCode.USAGE
    assert "--yes" in result.output
    assert api.received == []


@pytest.mark.parametrize(
    ("words", "question"),
    [
        (("redrive", "x_1", "x_2"), "Run these 2 dead jobs again?"),
        (("discard", "--group", "a.b", "f00d"), "Cancel every dead job of this group for good?"),
        (("erase", "-q", "tag.a:b"), "Erase every job of `tag.a:b` for good, also those that wait?"),
        (("cancel-jobs", "-q", "type:a"), "Cancel every job that waits or runs of `type:a`?"),
        (("run-now", "-q", "type:a"), "Run every job that waits for a time of `type:a` now?"),
    ],
)
def test_an_operation_says_what_it_is_about_and_does_nothing_without_a_yes(
    api: ScriptedApi, words: tuple[str, ...], question: str
) -> None:
    """An operation asks about its jobs by their number or their choice, and any answer but yes ends it."""
    seen = run_on_terminal("operations", *words, "--url", api.url, answer="\n", columns=200)
    assert seen.code == ExitCode.FAILED
    assert any(question in line for line in seen.lines), seen.lines
    assert api.received == []


def test_an_operation_that_is_agreed_to_is_started(api: ScriptedApi) -> None:
    """After a yes the operation is started and shown."""
    api.script.append(Reply(202, operation()))
    seen = run_on_terminal("operations", "redrive", "x_1", "--url", api.url, answer="y\n", columns=200)
    assert (seen.code, len(api.received)) == (ExitCode.DONE, 1), seen.lines
    assert any("op_1" in line for line in seen.lines)
