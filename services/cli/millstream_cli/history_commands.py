"""The command that migrates the history database."""

import os

import anyio
import click

from millstream_cli.output import json_option, one_line_errors, print_json
from millstream_cli.settings import MigrateSettings, load
from millstream_history import HistoryError, HistoryUnavailableError, Schema
from millstream_history import migrate as migrate_history
from millstream_runtime.errors import SettingsError

ASK_EVERY_S = 1.0


@click.command()
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0.0, 3_600.0),
    default=0.0,
    help="Seconds to wait for a database that is away.",
)
@json_option
@one_line_errors(HistoryError)
def migrate(*, wait_s: float, as_json: bool) -> None:
    """Make or upgrade the tables of the history database.

    Safe to run again, and at every start.

    Tables of a newer release are left as they are: an older one may run beside it, or come back after it.
    """
    settings = load(MigrateSettings, os.environ)
    if settings.history_url is None:
        raise SettingsError(["MILLSTREAM_HISTORY_URL is unset: there is no history database"])
    url = settings.history_url
    schema = anyio.run(_migrate_within, url, settings.history_index_payload, wait_s)
    if as_json:
        print_json(schema)
    elif schema.newer:
        click.echo(f"the history database is at revision {schema.revision}, of a newer release, left as it is")
    else:
        click.echo(f"the history database is at revision {schema.revision}")


async def _migrate_within(url: str, index_payload: bool, wait_s: float) -> Schema:
    """Migrate as soon as the database answers. Raises: HistoryUnavailableError, when it does not within this time."""
    give_up_at = anyio.current_time() + wait_s
    said = ""
    while True:
        try:
            return await migrate_history(url, index_payload=index_payload)
        except HistoryUnavailableError as error:
            if anyio.current_time() + ASK_EVERY_S > give_up_at:
                raise
            if str(error) != said:
                said = str(error)
                click.echo(f"millstream: {said}; waiting for it", err=True)
        await anyio.sleep(ASK_EVERY_S)
