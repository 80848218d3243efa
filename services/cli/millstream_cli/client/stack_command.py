"""The command `stack`: where the handler of a running job is."""

import click

from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.output import json_option, print_json
from millstream_cli.wording import printable


@click.command()
@click.argument("job_id")
@url_option
@json_option
@client_errors
def stack(job_id: str, *, url: str | None, as_json: bool) -> None:
    """Show where the handler of a running job is."""
    with connect(url) as client:
        found = client.stack(job_id)
    if as_json:
        print_json(found)
        return
    click.echo(f"{found.id}, attempt {found.attempt}, on {printable(found.worker)}")
    for line in (found.stack or "  no code of a handler now: it may be starting, or ending").splitlines():
        click.echo(printable(line))
