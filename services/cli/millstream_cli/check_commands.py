"""`check` looks at handlers without Redis; `doctor` looks at Redis and the services."""

import os

import anyio
import click

from millstream import MillstreamError
from millstream_cli.apps import load_apps
from millstream_cli.errors import CliError
from millstream_cli.output import json_option, one_line_errors, print_json, print_table
from millstream_cli.redis_access import address_of
from millstream_cli.settings import RedisSettings, WorkerSettings, load
from millstream_streams import Capabilities, StoreError, open_broker
from millstream_workers.errors import WorkerError


@click.command()
@click.argument("apps", nargs=-1, required=True)
@json_option
@one_line_errors(CliError, WorkerError, MillstreamError)
def check(apps: tuple[str, ...], *, as_json: bool) -> None:
    """Check the handlers of APPS, each `module:name`, without Redis."""
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


@click.command()
@json_option
@one_line_errors(CliError, StoreError)
def doctor(*, as_json: bool) -> None:
    """Look at Redis: whether jobs are safe on it, and what could be better. Exits 1 when they are not safe."""
    settings = load(RedisSettings, os.environ)
    found = anyio.run(_examine, settings)
    objections, advice = found.objections(), found.advice()
    if as_json:
        print_json({"redis": found, "objections": objections, "advice": advice})
    else:
        click.echo(
            f"{found.server} {found.version_text} ({found.mode}): {'not safe' if objections else 'safe for jobs'}"
        )
        for line in objections:
            click.echo(f"  must change: {line}")
        for line in advice:
            click.echo(f"  could be better: {line}")
    if objections:
        raise click.exceptions.Exit(1)


async def _examine(settings: RedisSettings) -> Capabilities:
    async with open_broker(address_of(settings), namespace=settings.namespace, patience_s=0.5) as broker:
        return await broker.probe()
