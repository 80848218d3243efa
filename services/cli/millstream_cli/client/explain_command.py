"""The command `jobs explain`: why a job does not run."""

from datetime import UTC, datetime

import click

from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.output import json_option, print_json
from millstream_cli.wording import ago, printable, stamp


@click.command()
@click.argument("job_id")
@url_option
@json_option
@client_errors
def explain(job_id: str, *, url: str | None, as_json: bool) -> None:
    """Say why a job is where it is, and what would have it go on."""
    with connect(url) as client:
        found = client.explain(job_id)
    if as_json:
        print_json(found)
        return
    click.echo(f"{printable(found.id)} is {found.state}")
    for reason in found.reasons:
        at = f" ({stamp(reason.at)}, {ago(reason.at, datetime.now(UTC))})" if reason.at else ""
        click.echo(f"  {printable(reason.detail)}{at}")
