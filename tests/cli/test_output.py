"""Commands print what users wrote as plain text."""

import errno
import json
from datetime import UTC, datetime

import click
import pytest
from click.testing import CliRunner

from millstream_cli.output import one_line_errors, print_json, print_table
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
    assert [line.rstrip() for line in lines[-2:]] == ["a          5", "b     12,345"]


JOB_ID = "report.generate_0001JD3YQ8Z7M4T6V0RXKBN5C2WA"
ROWS = [(JOB_ID, "x" * 90), ("a", "y")]


def printed_at(monkeypatch, columns: int, is_terminal: bool, rows=ROWS) -> list[str]:
    """Return the lines of a table that is printed on a terminal of so many columns, or in a pipe."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    if is_terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    else:
        monkeypatch.delenv("FORCE_COLOR", raising=False)

    @click.command()
    def show() -> None:
        print_table("letters", ("id", "error"), rows, "none")

    lines = [click.unstyle(line).rstrip() for line in CliRunner().invoke(show).stdout.splitlines()]
    return lines[-len(rows) :]


def test_table_on_a_terminal_cuts_its_last_column_and_no_id(monkeypatch):
    """A table on a terminal cuts its last column where the line ends, and no id."""
    long, short = printed_at(monkeypatch, 80, is_terminal=True)
    assert long == f"{JOB_ID}  {'x' * (80 - len(JOB_ID) - 3)}…"
    assert short.split() == ["a", "y"]


def test_table_that_cannot_fit_runs_over_and_keeps_its_ids_whole(monkeypatch):
    """A table that is wider than the terminal runs over, so that its ids stay whole."""
    long, _ = printed_at(monkeypatch, 40, is_terminal=True)
    assert long == f"{JOB_ID}  {'x' * 15}…"


def test_table_in_a_pipe_is_not_cut(monkeypatch):
    """A table in a pipe is not cut, however narrow the terminal is."""
    assert printed_at(monkeypatch, 40, is_terminal=False)[0] == f"{JOB_ID}  {'x' * 90}"


def test_table_prints_one_line_for_a_row_and_no_control_characters(monkeypatch):
    """A table prints one line for a row, without line breaks and control characters of users."""
    assert printed_at(monkeypatch, 80, is_terminal=False, rows=[("a", "one\ntwo\x1b[31m\x07")]) == [
        "a   one two\ufffd[31m\ufffd"
    ]


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


def test_a_reader_that_has_left_is_not_told_of_as_an_error():
    """A command whose reader has left, as in `millstream jobs | head -1`, ends without an error message."""

    @click.command()
    @one_line_errors(OSError)
    def tell() -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    assert CliRunner().invoke(tell).stderr == ""


def test_errors_that_nobody_foresaw_keep_their_traceback():
    """An unknown error keeps its traceback."""

    @click.command()
    @one_line_errors(OSError)
    def fail() -> None:
        raise LookupError("a bug")

    assert isinstance(CliRunner().invoke(fail).exception, LookupError)
