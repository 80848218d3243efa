"""Commands print what users wrote as plain text."""

import json
from datetime import UTC, datetime

import click
import pytest
from click.testing import CliRunner

from millstream_cli.output import one_line_errors, print_fields, print_json, print_table
from millstream_contracts import Job, JobId, JobState, JobType
from millstream_runtime.errors import SettingsError

JOB = Job(id=JobId("a.b_1"), type=JobType("a.b"), state=JobState.SUCCEEDED, created_at=datetime(2026, 1, 2, tzinfo=UTC))


@pytest.mark.parametrize("text", ["no [/b] here", "list[int]", "[a-z]+", "[red]x", "[link=a]b[/link]", ":smile:"])
def test_table_prints_brackets_as_they_are(capsys, text):
    """A table prints brackets as they are, and not as markup."""
    print_table("letters", ("id", "error"), [("a", text)], "none")
    assert text in capsys.readouterr().out


def test_table_of_nothing_says_what_that_means(capsys):
    """An empty table is printed as a sentence."""
    print_table("letters", ("id", "error"), [], "no letters")
    assert capsys.readouterr().out == "no letters\n"


def test_table_puts_numbers_to_the_right_and_groups_their_digits(capsys):
    """Numbers in a table are aligned right, with their digits grouped."""
    print_table("counts", ("type", "jobs"), [("a", 5), ("b", 12_345)], "none")
    lines = capsys.readouterr().out.splitlines()
    assert [line.rstrip() for line in lines if line.startswith((" a", " b"))] == [" a           5", " b      12,345"]


def test_fields_leave_out_what_is_empty(capsys):
    """Empty fields are left out."""
    print_fields(JOB)
    printed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert printed == {
        "id": "a.b_1",
        "type": "a.b",
        "state": "succeeded",
        "created_at": "2026-01-02T00:00:00Z",
    }


def test_json_is_one_line(capsys):
    """JSON is printed as one line."""
    print_json(JOB)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out)["created_at"] == "2026-01-02T00:00:00Z"


def test_errors_become_lines_and_the_exit_code_that_they_name():
    """Each known error becomes one line on standard error, and its exit code that of the command."""

    @click.command()
    @one_line_errors(SettingsError, OSError)
    def fail() -> None:
        raise SettingsError(["first", "second"])

    result = CliRunner().invoke(fail)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", "millstream: first\nmillstream: second\n")


def test_errors_that_nobody_foresaw_keep_their_traceback():
    """An unknown error keeps its traceback."""

    @click.command()
    @one_line_errors(OSError)
    def fail() -> None:
        raise LookupError("a bug")

    assert isinstance(CliRunner().invoke(fail).exception, LookupError)
