"""`millstream demand`: how many workers there should be."""

import click

from millstream_cli.client_commands import client_errors, connect, url_option
from millstream_cli.output import json_option, print_fields, print_json


@click.command()
@click.argument("types", nargs=-1)
@url_option
@json_option
@client_errors
def demand(types: tuple[str, ...], *, url: str | None, as_json: bool) -> None:
    """Show how many workers there should be for TYPES, such as 'invoice.*'; without any, for all."""
    with connect(url) as client:
        found = client.demand(types or None)
    print_json(found) if as_json else print_fields(found)
