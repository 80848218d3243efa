"""`millstream up`: the whole system on this machine, on an embedded Redis, until Ctrl-C."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import anyio
import click

from millstream import MillstreamError
from millstream_cli.apps import load_apps
from millstream_cli.line_printer import LinePrinter
from millstream_cli.output import one_line_errors
from millstream_cli.settings import load
from millstream_cli.system import SystemPlan, run_system
from millstream_ingest.settings import IngestSettings
from millstream_runtime import variables_of
from millstream_streams import NEEDS, MissingRightError, RedisAddress, StoreError, StoreUnavailableError, open_broker
from millstream_workers.errors import WorkerError
from millstream_workers.settings import BUILTIN, WorkerSettings

DEFAULT_FOLDER = Path(".millstream")


@click.command()
@click.argument("apps", nargs=-1)
@click.option("--port", type=int, help="Port of the HTTP API; 8080 unless MILLSTREAM_PORT says otherwise.")
@click.option("--workers", type=click.IntRange(0, 64), default=2, show_default=True, help="Worker processes.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=DEFAULT_FOLDER,
    show_default=True,
    help="Folder of the embedded Redis.",
)
@one_line_errors(StoreError, WorkerError, MillstreamError, OSError)
def up(apps: tuple[str, ...], *, port: int | None, workers: int, data: Path) -> None:
    """Run the whole system here until Ctrl-C.

    Its workers have the handlers of APPS, each `module:name`. Without APPS they have the built-in handlers and those
    of the demo, to try things with.

    Redis is embedded, with its data in the folder, unless MILLSTREAM_REDIS_URL names another.
    """
    settings = load(IngestSettings, os.environ, port=port)
    worker_settings = load(WorkerSettings, os.environ, apps=apps or None)
    load_apps(
        worker_settings.apps, worker_settings
    )  # loaded here first: a mistake is one line, and not the failure of six processes
    plan = SystemPlan(
        folder=data / "redis",
        redis=settings.redis if _names_redis(os.environ) else None,
        port=settings.port,
        workers=workers,
        apps=worker_settings.apps or (BUILTIN, "millstream_cli.demo.jobs:app"),
        environ=os.environ,
    )
    anyio.run(_stay, plan, settings.namespace)


def _names_redis(environ: Mapping[str, str]) -> bool:
    return any(environ.get(variable) for variable in variables_of("redis_url"))


async def _look_at(redis: RedisAddress, namespace: str) -> None:
    """Check Redis once, before six processes report the same error. Raises: StoreError, unless Redis is only away."""
    try:
        async with open_broker(redis, namespace=namespace, patience_s=0.0) as broker:
            found = await broker.require_suitable()
            for needs in NEEDS.values():
                rights = await broker.try_rights(needs, found)
                if rights.objection:
                    raise MissingRightError(rights.objection)
    except StoreUnavailableError as error:
        if error.reason != "away":
            raise
        click.echo(f"millstream: {error}; waiting for it", err=True)


async def _stay(plan: SystemPlan, namespace: str) -> None:
    if plan.redis is not None:
        await _look_at(plan.redis, namespace)
    names = ["ingest", "dispatcher", "reaper", *(f"worker-{index + 1}" for index in range(plan.workers))]
    printer = LinePrinter(sys.stderr, names)
    async with run_system(plan, printer) as system:
        click.echo(f"\nMillstream is up at {system.url}")
        click.echo(f"  API and its documentation   {system.url}/docs")
        click.echo(f"  health                      {system.url}/health")
        for name, url in system.admin_urls.items():
            click.echo(f"  metrics of {name:<16} {url}/metrics")
        click.echo(f"  Redis                       {system.redis_url}")
        click.echo('Try: millstream submit report.generate \'{"rows": [{"n": 1}], "format": "csv"}\' --wait 5\n')
        await anyio.sleep_forever()
