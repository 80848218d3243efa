"""How commands print: tables for people, JSON for programs, one clear line for an error."""

from collections.abc import Callable, Collection, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click
import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from millstream_cli.errors import CliError
from millstream_cli.exit_codes import exit_code_of
from millstream_contracts import one_line
from millstream_runtime import ServiceStartError

P = ParamSpec("P")
R = TypeVar("R")

_ENDLESS = 100_000
"""Columns of a line that nothing cuts."""
_LEAST_SHOWN = 16
"""Columns of a cell that is cut."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def print_json(value: Any) -> None:
    """Print a value as JSON on one line."""
    click.echo(msgspec.json.encode(value).decode())


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    empty: str,
    *,
    numbers: Collection[str] = (),
) -> None:
    """Print rows under a heading, numbers and the columns `numbers` aligned to the right; without rows, print `empty`.

    A row is one line, and a cell is whole, so that an id can be copied. Only the last column is cut where the terminal
    ends; in a pipe nothing is.
    """
    if not rows:
        click.echo(empty)
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for index, column in enumerate(columns):
        is_number = column in numbers or all(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, justify="right" if is_number else "left", no_wrap=True)
    for row in rows:
        # As Text: rich would read brackets in the text of users as markup.
        table.add_row(*(Text(_cell(value)) for value in row))
    console = Console()
    _fit(table, console)
    console.print(table, soft_wrap=True)


def _fit(table: Table, console: Console) -> None:
    """Cut the last column where the terminal ends, and let a table that is too wide all the same run over."""
    last = table.columns[-1]
    widest = max(cell_len(str(cell)) for cell in [last.header, *last.cells])
    natural = table.__rich_measure__(console, console.options.update_width(_ENDLESS)).maximum
    if console.is_terminal and natural > console.width:
        last.overflow = "ellipsis"
        last.max_width = max(_LEAST_SHOWN, widest - (natural - console.width))
    console.width = max(console.width, natural)


def one_line_errors(
    *kinds: type[Exception], code_of: Callable[[Exception], int] = exit_code_of
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Turn errors of a command into one line and the exit status that `code_of` gives.

    Of these kinds, and of those that every command has: CliError, ServiceStartError.
    """
    foreseen: tuple[type[Exception], ...] = (CliError, ServiceStartError, *kinds)

    def decorate(command: Callable[P, R]) -> Callable[P, R]:
        @wraps(command)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return command(*args, **kwargs)
            except BrokenPipeError:  # the reader has left, as in `millstream jobs | head`: click ends quietly
                raise
            except foreseen as error:
                tell_error(str(error))
                raise click.exceptions.Exit(code_of(error)) from None

        return run

    return decorate


def tell_error(text: str) -> None:
    """Print each line of an error under the name of the program."""
    for line in text.splitlines():
        click.echo(f"millstream: {line}", err=True)


def _cell(value: object) -> str:
    # Nothing that users wrote moves the cursor or changes the terminal.
    return f"{value:,}" if isinstance(value, int) else one_line(value, _ENDLESS)
