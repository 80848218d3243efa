"""Each command of the API sends its arguments and each of its options, under the names and in the units of the API."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from cli.client.request_cases import CASES
from cli.commands import run
from sdk.client.scripted_api import ScriptedApi, problem

from millstream_cli.exit_codes import ExitCode
from millstream_cli.main import MODULES, Commands

FILES = {"jobs": '{"type": "row", "payload": 1}', "flow": '{"name": "n", "nodes": {"mail": {"type": "a.b"}}}'}

ELSEWHERE = {"--url", "--json", "--yes", "--wait", "--no-wait", "--file"}
"""Options that say where a request goes, what is asked before, or what is made of the answer."""
WITHOUT_A_REQUEST_OF_ITS_OWN = {("keys", "bootstrap"), ("audit", "verify"), ("top",)}


FIRST_ANSWERED = {"batches show", "schedules next"}
"""Commands whose options are sent with their second request: a test of their own has them."""


@pytest.fixture(scope="module")
def api() -> Iterator[ScriptedApi]:
    """Serve an API that refuses what it is asked."""
    server = ScriptedApi()
    yield server
    server.close()


@pytest.mark.parametrize(("words", "line", "query", "body"), CASES, ids=[case[0] for case in CASES])
def test_a_command_sends_what_its_words_say(
    api: ScriptedApi, tmp_path: Path, words: str, line: str, query: dict[str, Any], body: Any
) -> None:
    """A command sends its arguments and options by the names and in the units of the API, and nothing else."""
    files = {name: str(tmp_path / name) for name in FILES}
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    api.received.clear()
    api.script.append(problem(404, "no such thing"))
    result = run(*shlex.split(words.format(**files)), "--url", api.url)
    assert result.exit_code == ExitCode.REFUSED, result.output
    (sent,) = api.received
    assert f"{sent.method} {sent.path}" == line
    assert sent.query == query
    assert (sent.body if sent.content else None) == body
    if "--idempotency-key" in words:
        assert sent.headers["idempotency-key"] == "k"


def commands_of_the_api() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield the words of each command that asks the API, and the command."""
    for name, command in Commands().items():
        if MODULES[name].startswith("millstream_cli.client"):
            yield from _below((name,), command)


def _below(words: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield words, command
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            yield from _below((*words, name), one)


def test_every_command_and_every_option_is_in_the_table() -> None:
    """A command or an option that is added has a case that shows what it sends."""
    missing = []
    for words, command in commands_of_the_api():
        name = " ".join(words)
        if words in WITHOUT_A_REQUEST_OF_ITS_OWN or name in FIRST_ANSWERED:
            continue
        below = [f"{name} {one}" for one in (command.commands if isinstance(command, click.Group) else ())]
        cases = [
            case[0]
            for case in CASES
            if f"{case[0]} ".startswith(f"{name} ") and not any(f"{case[0]} ".startswith(f"{one} ") for one in below)
        ]
        given = {word for case in cases for word in case.split()}
        options = [one for one in command.params if isinstance(one, click.Option)]
        wanted = [spelling for one in options for spelling in (one.opts, one.secondary_opts) if spelling]
        missing += [name] if not cases else []
        missing += [f"{name} {one[0]}" for one in wanted if not given & set(one) and not ELSEWHERE & set(one)]
    assert missing == []
