"""The command that looks after the history database."""

import os

import anyio
import click

from millstream_cli.errors import CliError, SettingsError
from millstream_cli.output import json_option, one_line_errors, print_json
from millstream_cli.settings import HistorySettings, load
from millstream_history import HistoryError
from millstream_history import migrate as migrate_history


@click.command()
@json_option
@one_line_errors(CliError, HistoryError)
def migrate(*, as_json: bool) -> None:
    """Make the tables of the history database, or bring them to this release. Safe to run again, and at every start."""
    settings = load(HistorySettings, os.environ)
    if settings.history_url is None:
        raise SettingsError(["MILLSTREAM_HISTORY_URL is unset: there is no history database"])
    revision = anyio.run(migrate_history, settings.history_url)
    if as_json:
        print_json({"revision": revision})
    else:
        click.echo(f"the history database is at revision {revision}")
