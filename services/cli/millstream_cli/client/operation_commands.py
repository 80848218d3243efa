"""The commands about operations on many jobs: `operations`, and below it those that steer one.

Those that start one are in `operation_starts.py`.
"""

from datetime import UTC, datetime

import click

from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.client.operation_report import print_operation, print_operations
from millstream_cli.client.operation_starts import STARTS
from millstream_cli.command_group import CommandGroup
from millstream_cli.output import json_option, print_json


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.option("--limit", type=int, default=20, show_default=True, help="How many at most.")
@url_option
@json_option
@click.pass_context
@client_errors
def operations(context: click.Context, *, limit: int, url: str | None, as_json: bool) -> None:
    """List the operations on many dead jobs, start and steer them."""
    if context.invoked_subcommand:
        return
    with connect(url) as client:
        found = client.operations(limit=limit)
    if as_json:
        print_json(found)
        return
    print_operations(found, datetime.now(UTC))


for start in STARTS:
    operations.add_command(start)


@operations.command()
@click.argument("operation_id")
@url_option
@json_option
@client_errors
def show(operation_id: str, *, url: str | None, as_json: bool) -> None:
    """Show an operation."""
    with connect(url) as client:
        print_operation(client.operation(operation_id), as_json=as_json)


@operations.command()
@click.argument("operation_id")
@url_option
@json_option
@client_errors
def pause(operation_id: str, *, url: str | None, as_json: bool) -> None:
    """Pause an operation."""
    with connect(url) as client:
        print_operation(client.pause_operation(operation_id), as_json=as_json)


@operations.command()
@click.argument("operation_id")
@url_option
@json_option
@client_errors
def resume(operation_id: str, *, url: str | None, as_json: bool) -> None:
    """Let a paused operation go on."""
    with connect(url) as client:
        print_operation(client.resume_operation(operation_id), as_json=as_json)


@operations.command()
@click.argument("operation_id")
@url_option
@json_option
@client_errors
def cancel(operation_id: str, *, url: str | None, as_json: bool) -> None:
    """End an operation; what it has done stays done."""
    with connect(url) as client:
        print_operation(client.cancel_operation(operation_id), as_json=as_json)
