"""The options of commands that show a page of a list, and with which command the list goes on."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from millstream_cli.program_name import command_line

Command = TypeVar("Command", bound=Callable[..., Any])


def page_options(limit: int = 50, *, of: str = "") -> Callable[[Command], Command]:
    """Return what adds `--cursor` and `--limit` to a command; `of` names what the list has, where it shows more."""
    what = f" {of}" if of else ""

    def add(command: Command) -> Command:
        most = click.option("--limit", type=int, default=limit, show_default=True, help=f"How many{what} at most.")
        where = f" with the {of}" if of else ""
        return click.option("--cursor", help=f"Go on{where} where the last page ended.")(most(command))

    return add


def tell_next_page(cursor: str | None) -> None:
    """Print the command for the next page, if there is one: the one that was called, with all that it was given."""
    if cursor:
        click.echo(f"more: {command_line(*_called_with(click.get_current_context()), '--cursor', cursor)}")


def _called_with(context: click.Context) -> list[str]:
    """Return the words by which this command was called, without `--cursor`."""
    command = context.command_path.removeprefix(context.find_root().command_path).split()
    options = [
        word
        for option in context.command.params
        if option.name and _is_given(context, option.name) and option.name != "cursor"
        for word in _words(option, context.params[option.name])
    ]
    return [*command, *options]


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _words(option: click.Parameter, value: object) -> list[str]:
    if not isinstance(option, click.Option):
        return [str(value)]
    if option.is_flag:
        return [option.opts[0]]
    values = value if option.multiple and isinstance(value, tuple) else (value,)
    return [word for one in values for word in (option.opts[0], str(one))]
