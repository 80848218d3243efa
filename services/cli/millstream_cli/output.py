"""How commands print: tables for people, JSON for programs, one clear line for an error."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click
import msgspec
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from millstream_cli.errors import CliError
from millstream_runtime import ServiceStartError

P = ParamSpec("P")
R = TypeVar("R")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def print_json(value: Any) -> None:
    """Print a value as JSON on one line."""
    click.echo(msgspec.json.encode(value).decode())


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Print rows under a heading, numbers aligned to the right; without rows, print `empty`."""
    if not rows:
        click.echo(empty)
        return
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE, pad_edge=False)
    for index, column in enumerate(columns):
        is_number = all(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        # As Text: rich would read brackets in the text of users as markup.
        table.add_row(*(Text(_cell(value)) for value in row))
    Console().print(table)


def print_fields(value: msgspec.Struct) -> None:
    """Print a Struct field by field, leaving out what has its default."""
    for field in msgspec.structs.fields(value):
        shown = getattr(value, field.name)
        if shown != field.default:
            text = shown if isinstance(shown, str) else msgspec.json.encode(shown).decode().strip('"')
            click.echo(f"{field.name:>16}  {text}")


def one_line_errors(*kinds: type[Exception]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Turn errors of a command into one line and the exit status that the error names, or 1.

    Of these kinds, and of those that every command has: CliError, ServiceStartError.
    """
    one_line: tuple[type[Exception], ...] = (CliError, ServiceStartError, *kinds)

    def decorate(command: Callable[P, R]) -> Callable[P, R]:
        @wraps(command)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return command(*args, **kwargs)
            except one_line as error:
                for line in str(error).splitlines():
                    click.echo(f"millstream: {line}", err=True)
                raise click.exceptions.Exit(getattr(error, "exit_code", 1)) from None

        return run

    return decorate


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
