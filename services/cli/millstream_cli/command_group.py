"""A group of commands: its help says in a whole sentence what each does, and Ctrl-C ends any of them in one line."""

from typing import Any

import click

from millstream_cli.exit_codes import ExitCode

_WHOLE = 10_000


class CommandGroup(click.Group):
    """A group of commands. Unlike click's own, it folds a long line of its list, and does not cut it."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands: the first sentence of each."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, one.get_short_help_str(limit=_WHOLE))
                    for name, one in commands.items()
                    if one and not one.hidden
                ]
            )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for, its import included."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("millstream: interrupted", err=True)
            raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None


def refuse_options_before(context: click.Context) -> None:
    """Refuse options before a subcommand, which would be ignored silently."""
    given = [
        name for name in context.params if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        option = given[0].rstrip("_").replace("as_json", "json")
        raise click.UsageError(f"write --{option} after `{context.invoked_subcommand}`")
