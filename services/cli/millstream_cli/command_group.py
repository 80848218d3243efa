"""A group of commands whose help says of each, in a whole sentence, what it does."""

import click


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


_WHOLE = 10_000
