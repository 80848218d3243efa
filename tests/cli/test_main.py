"""The program lists its commands, and imports only what a command needs."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from cli.commands import NO_API, refused, run

from millstream_cli.main import Commands

FOREIGN = {
    "ingest": {"millstream_workers.service", "millstream_dispatcher.service"},
    "worker": {"millstream_ingest.service", "millstream_dispatcher.service", "sqlalchemy", "litestar", "granian"},
    "dispatcher": {"millstream_ingest.service", "millstream_workers.service", "litestar"},
    "reaper": {"millstream_ingest.service", "millstream_workers.service", "sqlalchemy", "litestar"},
}
"""The modules that a service does not need and that take long to import."""


def test_every_command_is_listed_with_what_it_does() -> None:
    """The help lists every command with its description."""
    said = run("--help").stdout
    assert [name for name in Commands() if f"  {name} " not in said] == []


def all_helps() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield the words of every command, those of groups too, and the command."""
    for name, command in Commands().items():
        yield (name,), command
        below = command.commands if isinstance(command, click.Group) else {}
        yield from (((name, word), one) for word, one in below.items())


@pytest.mark.parametrize("words", [(), ("dead",)], ids=["all", "dead"])
def test_a_list_of_commands_says_in_whole_sentences_what_each_does(words: tuple[str, ...]) -> None:
    """The list of commands has the whole first sentence of each, folded where the terminal is narrow."""
    said = " ".join(run(*words, "--help", COLUMNS="80").stdout.split())
    for found, command in all_helps():
        if found[:-1] == words:
            assert f" {found[-1]} {command.get_short_help_str(limit=10_000)}" in said
    assert "..." not in said.partition("Commands:")[2]


@pytest.mark.parametrize(
    ("words", "command"), list(all_helps()), ids=lambda value: " ".join(value) if type(value) is tuple else ""
)
def test_every_option_of_every_command_has_a_help_line(words: tuple[str, ...], command: click.Command) -> None:
    """Every option of every command has a help line."""
    assert [one.name for one in command.params if isinstance(one, click.Option) and not one.help] == []
    assert run(*words, "--help").exit_code == 0


def groups_that_list() -> list[str]:
    """Return the names of the groups that print a list by themselves, and so have options of their own."""
    found = [(name, command) for name, command in Commands().items() if isinstance(command, click.Group)]
    return [name for name, command in found if command.invoke_without_command]


@pytest.mark.parametrize("name", groups_that_list())
def test_an_option_before_a_subcommand_is_refused_and_not_ignored(name: str) -> None:
    """An option of a list that stands before a subcommand is refused by every group: `--url` would be another API."""
    group = Commands()[name]
    assert isinstance(group, click.Group)
    for subcommand in group.commands:
        refused(run(name, "--url", NO_API, subcommand, "x", "y"), f"write --url after `{subcommand}`", code=2)
        refused(run(name, "--json", subcommand, "x", "y"), f"write --json after `{subcommand}`", code=2)


def test_a_command_that_does_not_exist_is_refused_with_the_one_that_was_meant() -> None:
    """An unknown command is refused with the one that was probably meant."""
    assert "Did you mean 'submit'?" in run("submitt").stderr


@pytest.mark.parametrize("words", [("queues",), ("dead",), ("dead", "discard", "x")], ids=" ".join)
def test_ctrl_c_ends_a_command_in_one_line(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    """Ctrl-C ends a command with one line and the status of shells, which is not that of a job that died."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for module in ("queue_commands", "dead_commands"):
        monkeypatch.setattr(f"millstream_cli.client.{module}.connect", interrupt)
    result = run(*words)
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "millstream: interrupted\n")


@pytest.mark.parametrize("service", FOREIGN)
def test_a_service_does_not_import_the_others(service: str) -> None:
    """A service imports no other service."""
    code = f"import sys; from millstream_cli.main import Commands; Commands()[{service!r}]; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert FOREIGN[service] & set(told.stdout.split()) == set()


def test_a_command_of_which_a_package_is_missing_says_so_in_one_line_and_hides_no_other(monkeypatch) -> None:
    """In the image for services `demo` names what it lacks, and the help lists all commands."""
    monkeypatch.setitem(sys.modules, "aiosmtpd", None)
    monkeypatch.setitem(sys.modules, "aiosmtpd.smtp", None)
    for module in [name for name in sys.modules if name.startswith("millstream_cli.demo")]:
        monkeypatch.delitem(sys.modules, module)
    refused(run("demo", "--stay"), "needs the package aiosmtpd", "millstream[all]", code=1)
    said = run("--help").stdout
    assert "Not installed: it needs aiosmtpd" in said
    assert "  doctor " in said
