"""`millstream up`: the whole system on this machine, on an embedded Redis, until Ctrl-C."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
import click

from millstream import App, MillstreamError
from millstream_cli.apps import load_apps
from millstream_cli.errors import StoppedEarlyError
from millstream_cli.output import one_line_errors, tell_error
from millstream_cli.reloading.options import reload_options
from millstream_cli.reloading.reloader import reloadable, reloader_of
from millstream_cli.rendering.banner import banner
from millstream_cli.rendering.choosing import environ_for, printer_for, show_until_cancelled
from millstream_cli.settings import load
from millstream_cli.system import ANNOUNCEMENTS, STOP_GRACE_S, SystemPlan, is_free, run_system
from millstream_cli.worker_pool import stop_within_s
from millstream_console.settings import ConsoleSettings
from millstream_ingest.settings import IngestSettings
from millstream_runtime import variables_of
from millstream_streams import StoreError
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
    help="Folder of the embedded Redis and PostgreSQL.",
)
@click.option("--console-port", type=int, help="Port of the console; a free one if 8090 is taken.")
@click.option("--no-console", is_flag=True, help="Run without the console.")
@click.option("--no-history", is_flag=True, help="Run without a history of jobs.")
@reload_options
@one_line_errors(StoreError, WorkerError, MillstreamError, OSError)
def up(
    apps: tuple[str, ...],
    *,
    port: int | None,
    workers: int,
    data: Path,
    console_port: int | None,
    no_console: bool,
    no_history: bool,
    reload: bool,
    reload_include: tuple[str, ...],
) -> None:
    """Run the whole system here until Ctrl-C.

    Its workers have the handlers of APPS, each `module:name`. Without APPS they have the built-in handlers and those
    of the demo, to try things with.

    Redis is embedded, with its data in the folder, unless MILLSTREAM_REDIS_URL names another.

    The history of jobs is in the PostgreSQL that MILLSTREAM_HISTORY_URL names; without one, and on the embedded Redis,
    in an embedded PostgreSQL, where this machine has its programs.
    """
    settings = load(IngestSettings, os.environ, port=port)
    worker_settings = load(WorkerSettings, os.environ, apps=apps or None)
    refs = worker_settings.apps or (BUILTIN, "millstream_cli.demo.jobs:app")
    # Loaded here first: a mistake is one line, and not the failure of six processes.
    app = load_apps(refs, worker_settings)
    environ = environ_for(sys.stderr, without_history(os.environ) if no_history else os.environ)
    redis = settings.redis if _names(os.environ, "redis_url") else None
    # Dispatchers share the events of a Redis. In a second database those of another's Redis would be missed.
    embeds_history = not (no_history or redis or _names(os.environ, "history_url"))
    plan = SystemPlan(
        folder=data / "redis",
        redis=redis,
        history=data / "postgres" if embeds_history else None,
        namespace=settings.namespace,
        port=settings.port,
        console_port=None if no_console else _console_port(console_port),
        workers=workers,
        grace_s=max(STOP_GRACE_S, stop_within_s(worker_settings)),
        apps=refs,
        environ=reloadable(environ) if reload else environ,
    )
    anyio.run(_stay, plan, app, reload_include if reload else None)


def _console_port(chosen: int | None) -> int:
    """Return the port of the console: the one that was asked for, else the default one, or 0 where that is taken."""
    settings = load(ConsoleSettings, os.environ, console_port=chosen)
    is_chosen = chosen is not None or _names(os.environ, "console_port")
    return settings.console_port if is_chosen or is_free(settings.console_port) else 0


def without_history(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables but those that name the history database."""
    return {name: value for name, value in environ.items() if name not in variables_of("history_url")}


def _names(environ: Mapping[str, str], field: str) -> bool:
    return any(environ.get(variable) for variable in variables_of(field))


async def _stay(plan: SystemPlan, app: App, reload_include: Sequence[str] | None) -> None:
    printer = printer_for(sys.stderr, plan.names, hidden=ANNOUNCEMENTS)
    try:
        async with run_system(plan, printer) as system, anyio.create_task_group() as tasks:
            click.echo("\n" + "\n".join(banner(system, app)) + "\n")
            if reload_include is not None:
                reloader = reloader_of(plan.apps, plan.worker_names, plan.environ, include=reload_include)
                tasks.start_soon(reloader.run, system.supervisor)
            await show_until_cancelled(printer)
    except StoppedEarlyError as stopped:
        # An end in order, as that of a service that is stopped while it waits.
        tell_error(str(stopped))
