"""Says with which command a list goes on."""

import click

from millstream_cli.program_name import command_line


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
