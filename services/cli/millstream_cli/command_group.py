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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the subcommand that was asked for. Raises: click.UsageError, for options of the group before it.

        They are those of the list that a group prints by itself, and the subcommand would ignore them silently.
        """
        found = super().resolve_command(ctx, args)
        given = [one for one in self.params if _is_given(ctx, one)]
        if self.invoke_without_command and given and not ctx.resilient_parsing:
            raise click.UsageError(f"write {given[0].opts[0]} after `{found[0]}`", ctx)
        return found

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for, its import included."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("millstream: interrupted", err=True)
            raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None


def _is_given(ctx: click.Context, option: click.Parameter) -> bool:
    return option.name is not None and ctx.get_parameter_source(option.name) is click.core.ParameterSource.COMMANDLINE
