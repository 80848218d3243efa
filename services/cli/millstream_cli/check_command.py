"""`check` looks at handlers without Redis."""

import os

import click

from millstream import MillstreamError
from millstream_cli.apps import load_apps
from millstream_cli.output import json_option, one_line_errors, print_json, print_table
from millstream_cli.settings import load
from millstream_workers.errors import WorkerError
from millstream_workers.settings import WorkerSettings


@click.command()
@click.argument("apps", nargs=-1, required=True)
@json_option
@one_line_errors(WorkerError, MillstreamError)
def check(apps: tuple[str, ...], *, as_json: bool) -> None:
    """Check the handlers of APPS, each `module:name`."""
    app = load_apps(apps, load(WorkerSettings, os.environ))
    registrations = [handler.registration() for handler in app]
    if as_json:
        print_json(registrations)
        return
    rows = [
        (
            one.type,
            one.handler,
            app.handlers[one.type].isolation,
            one.policy.max_attempts,
            one.policy.timeout_s or "none",
        )
        for one in registrations
    ]
    print_table("handlers", ("type", "handler", "runs in", "attempts", "timeout s"), rows, "no handlers")
    if not rows:
        raise click.exceptions.Exit(1)
