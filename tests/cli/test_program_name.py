"""Commands that are printed to be typed name the program as it was called."""

import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from millstream_cli.program_name import command_line


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Return an installed program."""
    path = tmp_path / "bin folder" / "millstream"
    path.parent.mkdir()
    path.touch(mode=0o755)
    return path


def said(monkeypatch: pytest.MonkeyPatch, called: str, on_path: Path, *words: str, name: str = "millstream") -> str:
    """Return the command line that a program prints when it was called so, with this folder on the PATH."""
    monkeypatch.setattr(sys, "argv", [called])
    monkeypatch.setenv("PATH", str(on_path))

    @click.command()
    def tell() -> None:
        click.echo(command_line(*words))

    return CliRunner().invoke(tell, prog_name=name).stdout.removesuffix("\n")


def test_a_program_that_the_shell_finds_is_named_alone(program, monkeypatch):
    """The kernel gives it the whole path then, which its user has not typed."""
    assert said(monkeypatch, str(program), program.parent, "jobs") == "millstream jobs"


def test_a_program_that_the_shell_does_not_find_is_named_by_its_path(program, monkeypatch, tmp_path):
    """`make up` calls `.venv/bin/millstream`, and the hints that follow work in the same folder."""
    monkeypatch.chdir(tmp_path)
    assert said(monkeypatch, "bin folder/millstream", tmp_path, "jobs") == "'bin folder/millstream' jobs"


def test_another_program_of_the_same_name_is_not_mistaken_for_this_one(program, monkeypatch, tmp_path):
    """The one on the PATH may be of another release."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "millstream").touch(mode=0o755)
    assert said(monkeypatch, str(program), other).endswith("/bin folder/millstream'")


def test_a_module_is_named_as_python_runs_it(monkeypatch, tmp_path):
    """There is no program to name then."""
    name = "python -m millstream_cli.main"
    assert said(monkeypatch, "/x/main.py", tmp_path, "types", name=name) == f"{name} types"


def test_words_are_quoted_for_the_shell(program, monkeypatch):
    """A payload has blanks and quotes."""
    assert said(monkeypatch, str(program), program.parent, "submit", '{"a": "b\'c"}') == (
        """millstream submit '{"a": "b'"'"'c"}'"""
    )
