"""The options of lists, and the command with which a list goes on."""

import click
import pytest
from click.testing import CliRunner

from millstream_cli.client.paging import page_options, tell_next_page


@click.group()
def root() -> None:
    """Have a list."""


@root.command("list")
@click.argument("kind", required=False)
@click.option("--type", "type_")
@click.option("--only-new", is_flag=True)
@page_options(50, of="things")
def listing(**_: object) -> None:
    """List."""
    tell_next_page("c 2")


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        ([], ""),
        (["--limit", "50"], " --limit 50"),
        (["--cursor", "c1", "--type", "a b"], " --type 'a b'"),
        (["x", "--only-new", "--limit=3"], " x --only-new --limit 3"),
    ],
)
def test_the_next_page_is_asked_for_with_all_that_the_first_was(words: list[str], printed: str) -> None:
    """A page of other jobs would be worse than none; only the cursor is another."""
    result = CliRunner().invoke(root, ["list", *words], prog_name="millstream")
    assert result.stdout == f"more: millstream list{printed} --cursor 'c 2'\n"


def test_the_options_say_what_they_count_and_how_many_there_are_by_default() -> None:
    """A command that shows more than a list says of what a page is."""
    shown = CliRunner().invoke(root, ["list", "--help"]).output
    assert all(words in shown for words in ("How many things at most", "default: 50", "Go on with the things where"))


def test_the_last_page_names_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing more to ask for."""
    tell_next_page(None)
    assert capsys.readouterr().out == ""
