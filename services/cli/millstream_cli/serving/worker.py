"""`millstream worker`: runs handlers, in one process or in several."""

from importlib.metadata import version

import anyio
import click

from millstream import MillstreamError
from millstream_cli.apps import load_apps
from millstream_cli.reloading.options import reload_options
from millstream_cli.serving.starting import load_settings, service_command
from millstream_cli.worker_pool import run_worker_pool
from millstream_runtime import ignore_late_signals
from millstream_workers.errors import WorkerError
from millstream_workers.service import run_worker
from millstream_workers.settings import WorkerSettings


@click.command()
@click.argument("apps", nargs=-1)
@click.option("--types", multiple=True, help="Job types to take, such as 'invoice.*'; may be given again.")
@click.option("--concurrency", type=int, help="Jobs that one process runs at a time.")
@click.option("--processes", type=int, help="How many processes to run; 1 by default.")
@reload_options
@service_command(WorkerError, MillstreamError)
def worker(
    apps: tuple[str, ...],
    *,
    types: tuple[str, ...],
    concurrency: int | None,
    processes: int | None,
    reload: bool,
    reload_include: tuple[str, ...],
) -> None:
    """Run the handlers of APPS.

    Each is `module:name`. Without APPS these are the built-in handlers.
    """
    settings = load_settings(
        WorkerSettings,
        apps=apps or None,
        types=types or None,
        concurrency=concurrency,
        processes=processes,
    )
    if reload:
        # Its processes load the apps: a mistake is told, and mended in the next moment.
        anyio.run(run_worker_pool, settings, reload_include)
        ignore_late_signals()
        return
    app = load_apps(settings.apps, settings)
    if settings.processes > 1:
        # Loaded here too: a mistake is told once, and not by each process of the pool.
        anyio.run(run_worker_pool, settings)
        ignore_late_signals()
        return
    run_worker(settings, app, release=version("millstream"))
