"""`check` looks at handlers without Redis; `doctor` looks at Redis and the services."""

import os
from collections.abc import Sequence

import anyio
import click
from msgspec.structs import asdict

from millstream import MillstreamError
from millstream_cli.apps import load_apps
from millstream_cli.output import json_option, one_line_errors, print_json, print_table
from millstream_cli.settings import load
from millstream_runtime import RedisSettings
from millstream_streams import ANY_SERVICE, NEEDS, StoreError, StoreUnavailableError, Topology, open_broker
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


@click.command()
@click.option("--for", "service", type=click.Choice(list(NEEDS)), help="Try all that this service does on Redis.")
@json_option
@one_line_errors(StoreError)
def doctor(service: str | None, *, as_json: bool) -> None:
    """Look at Redis: whether jobs are safe on it and may be moved, and what could be better. Exits 1 when not."""
    settings = load(RedisSettings, os.environ)
    found, lacking, extras = anyio.run(_examine, settings, service)
    objections, advice = [*found.objections(), *lacking], [*found.advice(), *extras]
    if as_json:
        worst = {**asdict(found.worst), "mode": found.mode}
        print_json({"redis": worst, "nodes": found.servers, "objections": objections, "advice": advice})
    else:
        _tell(found, objections, advice)
    if objections:
        raise click.exceptions.Exit(1)


def _tell(found: Topology, objections: Sequence[str], advice: Sequence[str]) -> None:
    worst, verdict = found.worst, "safe for jobs"
    if objections:
        verdict = "not safe" if found.objections() else "jobs cannot be moved"
    click.echo(f"{worst.server} {worst.version_text} ({found.mode}): {verdict}")
    for line in objections:
        click.echo(f"  must change: {line}")
    for line in advice:
        click.echo(f"  could be better: {line}")


async def _examine(settings: RedisSettings, service: str | None) -> tuple[Topology, list[str], list[str]]:
    """Return the servers, the rights that must be granted, and the rights that could be."""
    async with open_broker(settings.redis, namespace=settings.namespace, patience_s=0.5) as broker:
        # The Redis user of a service may lack the right to read the configuration.
        found = await broker.probe(thorough=service is None)
        try:
            rights = await broker.try_rights(NEEDS[service] if service else ANY_SERVICE, found, thorough=True)
        except StoreUnavailableError as error:
            if not any(server.unseen for server in found.servers):
                raise
            # The report names the server that was not seen.
            return found, [f"what jobs need could not be tried: {error}"], []
    return found, [line for line in (rights.objection, rights.warning) if line], rights.advice
