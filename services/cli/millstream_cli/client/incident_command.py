"""The command `incidents`: what has been wrong for long enough that notices are sent."""

from datetime import UTC, datetime

import click

from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.output import json_option, print_json, print_table
from millstream_cli.wording import ago


@click.command()
@url_option
@json_option
@client_errors
def incidents(*, url: str | None, as_json: bool) -> None:
    """List what has been wrong for long enough that notices are sent."""
    with connect(url) as client:
        found = client.incidents()
    if as_json:
        print_json(found)
        return
    now = datetime.now(UTC)
    rows = [(one.rule, ago(one.opened_at, now), one.notices, one.summary) for one in found]
    print_table("incidents", ("rule", "opened", "notices", "what is wrong"), rows, "no incidents")
