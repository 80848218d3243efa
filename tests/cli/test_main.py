"""The program lists its commands, and imports only what a command needs."""

import subprocess
import sys

import pytest
from cli.commands import refused, run

from millstream_cli.main import Commands

FOREIGN = {
    "ingest": {"millstream_workers.service", "millstream_dispatcher.service", "sqlalchemy"},
    "worker": {"millstream_ingest.service", "millstream_dispatcher.service", "sqlalchemy", "litestar", "granian"},
    "dispatcher": {"millstream_ingest.service", "millstream_workers.service", "litestar"},
    "reaper": {"millstream_ingest.service", "millstream_workers.service", "sqlalchemy", "litestar"},
}
"""By service, what it has no use for and takes long to import."""


def test_every_command_is_listed_with_what_it_does() -> None:
    """The help lists every command with its description."""
    said = run("--help").stdout
    assert [name for name, command in Commands().items() if command.get_short_help_str(20).split()[0] not in said] == []
    assert [name for name in Commands() if f"  {name} " not in said] == []


def test_a_command_that_does_not_exist_is_refused_with_the_one_that_was_meant() -> None:
    """An unknown command is refused with the one that was probably meant."""
    assert "Did you mean 'worker'?" in run("workr").stderr


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
