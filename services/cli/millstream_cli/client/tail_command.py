"""The command `tail`: what happens to jobs, as it happens."""

import click

from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.output import json_option, print_json, tell_error
from millstream_cli.wording import printable
from millstream_contracts import LiveEvent

RETRY_FOR_S = 60.0
"""Long, so that a command that follows events outlasts a restart of the API."""


@click.command()
@click.option("--type", help="Only jobs of this type.")
@click.option("--job", help="Only the job with this id.")
@url_option
@json_option
@client_errors
def tail(*, type: str | None, job: str | None, url: str | None, as_json: bool) -> None:
    """Show what happens to jobs, as it happens, until Ctrl-C.

    It goes on by itself when the API was away for a moment.
    """
    with connect(url, retry_for_s=RETRY_FOR_S) as client:
        for event in client.events(type=type, job=job, on_gap=_tell_gap):
            if as_json:
                print_json(event)
            else:
                click.echo(line_of(event))


def line_of(event: LiveEvent) -> str:
    """Return an event as a line: when, which job, what happened, and where or why."""
    more = ": ".join(printable(text) for text in (event.worker, event.detail) if text)
    what = event.kind if event.kind == event.state else f"{event.kind}, {event.state}"
    return f"{event.at:%H:%M:%S}.{event.at.microsecond // 1000:03d}  {event.id}  {printable(what)}" + (
        f"  {more}" if more else ""
    )


def _tell_gap() -> None:
    tell_error("events are missing here")
