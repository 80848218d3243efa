"""`millstream worker`: runs handlers, in one process or in several."""

from collections.abc import Mapping
from importlib.metadata import version

import anyio
import click

from millstream import MillstreamError
from millstream_cli.apps import load_apps
from millstream_cli.reloading.options import reload_options
from millstream_cli.serving.starting import load_settings, service_command
from millstream_cli.worker_pool import run_worker_pool
from millstream_runtime import HOUR_S, ignore_late_signals
from millstream_workers.errors import WorkerError
from millstream_workers.service import run_worker
from millstream_workers.settings import WorkerSettings

DEBUGGING = {"concurrency": 1, "processes": 1, "stalled_loop_s": HOUR_S, "blocked_loop_s": 0.0}
"""Settings of a worker whose handlers may stop in a debugger: it keeps the lease of such a job, and says nothing of a
loop that stands still."""


def for_debugging(given: Mapping[str, object]) -> dict[str, object]:
    """Return the options of a worker on whose terminal handlers are debugged; what is given wins."""
    return {**DEBUGGING, **{name: value for name, value in given.items() if value is not None}}


@click.command()
@click.argument("apps", nargs=-1)
@click.option("--types", multiple=True, help="Job types to take, such as 'invoice.*'; may be given again.")
@click.option("--tenants", help="The tenants whose jobs to take, with commas between them; `all` by default.")
@click.option("--concurrency", type=int, help="Jobs that one process runs at a time.")
@click.option("--processes", type=int, help="How many processes to run; 1 by default.")
@click.option(
    "--debug",
    is_flag=True,
    help="Stop at `breakpoint()` on this terminal: one job at a time, which may block the worker for an hour.",
)
@reload_options
@service_command(WorkerError, MillstreamError)
def worker(
    apps: tuple[str, ...],
    *,
    types: tuple[str, ...],
    tenants: str | None,
    concurrency: int | None,
    processes: int | None,
    debug: bool,
    reload: bool,
    reload_include: tuple[str, ...],
) -> None:
    """Run the handlers of APPS.

    Each is `module:name`. Without APPS these are the built-in handlers.
    """
    if debug and (reload or processes):
        raise click.UsageError("`--debug` has one process on the terminal: leave `--reload` and `--processes` out")
    given = {
        "apps": apps or None,
        "types": types or None,
        "tenants": None if tenants is None else tuple(name.strip() for name in tenants.split(",")),
        "concurrency": concurrency,
        "processes": processes,
    }
    settings = load_settings(WorkerSettings, **(for_debugging(given) if debug else given))
    if reload:
        # Its processes load the apps: they print a mistake, and load the apps again after the next change.
        anyio.run(run_worker_pool, settings, reload_include)
        ignore_late_signals()
        return
    app = load_apps(settings.apps, settings)
    if settings.processes > 1:
        # Loaded here too: a mistake is printed once, and not by each process of the pool.
        anyio.run(run_worker_pool, settings)
        ignore_late_signals()
        return
    run_worker(settings, app, release=version("millstream"))
