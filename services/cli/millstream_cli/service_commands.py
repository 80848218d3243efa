"""The commands that run a service: settings from the environment and options, then the service."""

import os
from collections.abc import Callable
from functools import wraps
from importlib.metadata import version
from typing import ParamSpec, TypeVar

import anyio
import click

from millstream import MillstreamError
from millstream_cli.apps import load_apps
from millstream_cli.output import one_line_errors
from millstream_cli.settings import load
from millstream_cli.worker_pool import run_worker_pool
from millstream_dispatcher.service import run_dispatcher
from millstream_dispatcher.settings import DispatcherSettings
from millstream_history import HistoryError
from millstream_ingest.http.errors import BindError, IngestError
from millstream_ingest.service import run_ingest
from millstream_ingest.settings import IngestSettings
from millstream_reaper.service import run_reaper
from millstream_reaper.settings import ReaperSettings
from millstream_runtime import ServiceSettings, ignore_late_signals, prepare_process
from millstream_streams import StoreError
from millstream_telemetry import TelemetryError
from millstream_workers.errors import WorkerError
from millstream_workers.service import run_worker
from millstream_workers.settings import WorkerSettings

P = ParamSpec("P")
S = TypeVar("S", bound=ServiceSettings)

one_line = one_line_errors(
    StoreError, HistoryError, TelemetryError, WorkerError, IngestError, BindError, MillstreamError, OSError
)


def service_command(run: Callable[P, None]) -> Callable[P, None]:
    """Prepare the process before the command runs, and turn its errors into one line each."""

    @wraps(run)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        prepare_process()
        run(*args, **kwargs)

    return one_line(command)


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one, and the log says which.")
@service_command
def ingest(host: str | None, port: int | None) -> None:
    """Serve the HTTP API."""
    run_ingest(load_settings(IngestSettings, host=host, port=port))


@click.command()
@click.argument("apps", nargs=-1)
@click.option("--types", multiple=True, help="Job types to take, such as 'invoice.*'; may be given again.")
@click.option("--concurrency", type=int, help="Jobs that one process runs at a time.")
@click.option("--processes", type=int, help="Processes to run.")
@service_command
def worker(apps: tuple[str, ...], types: tuple[str, ...], concurrency: int | None, processes: int | None) -> None:
    """Run the handlers of APPS, each `module:name`; the built-in handlers when none is named."""
    settings = load_settings(
        WorkerSettings,
        apps=apps or None,
        types=types or None,
        concurrency=concurrency,
        processes=processes,
    )
    if settings.processes > 1:
        anyio.run(run_worker_pool, settings)
        ignore_late_signals()
        return
    run_worker(settings, load_apps(settings.apps, settings), release=version("millstream"))


@click.command()
@service_command
def dispatcher() -> None:
    """Release due jobs, expire late ones, publish the gauges of the queues, write history."""
    run_dispatcher(load_settings(DispatcherSettings))


@click.command()
@service_command
def reaper() -> None:
    """Recover what got stuck, bury what is beyond help, sweep up."""
    run_reaper(load_settings(ReaperSettings))


def load_settings(kind: type[S], **options: object) -> S:
    """Return the settings of a service, with a valid address of Redis. Raises: SettingsError, RedisUrlError."""
    settings = load(kind, os.environ, **options)
    # Checked before anything starts: so a mistake is one line, and not one from each process of a pool.
    _ = settings.redis
    return settings
