"""Runs several processes of one worker, `millstream worker --processes N`, or one that `--reload` restarts."""

import os
import sys
from collections.abc import Mapping, Sequence

import anyio

from millstream_cli.child import ChildSpec
from millstream_cli.reloading.reloader import reloadable, reloader_of
from millstream_cli.rendering.choosing import environ_for, printer_for, show_until_cancelled
from millstream_cli.supervisor import supervise
from millstream_workers.settings import BUILTIN, WorkerSettings

LONGER_THAN_GRACE_S = 5.0


async def run_worker_pool(settings: WorkerSettings, reload_include: Sequence[str] | None = None) -> None:
    """Run the processes until the order to stop, and restart those that end. Raises: ChildEndedError.

    With `reload_include`, names of files besides Python's, also when the source of the apps changes.
    """
    environ = environ_for(sys.stderr, os.environ)
    if reload_include is not None:
        environ = reloadable(environ)
    specs = pool_specs(settings, environ)
    names = [spec.name for spec in specs]
    printer = printer_for(sys.stderr, names)
    async with (
        supervise(specs, printer, grace_s=stop_within_s(settings)) as supervisor,
        anyio.create_task_group() as tasks,
    ):
        if reload_include is not None:
            reloader = reloader_of(settings.apps or (BUILTIN,), names, environ, include=reload_include)
            tasks.start_soon(reloader.run, supervisor)
        await show_until_cancelled(printer)


def stop_within_s(settings: WorkerSettings) -> float:
    """Return how long worker processes with these settings may take to end by themselves."""
    return settings.grace_s + settings.cleanup_s + LONGER_THAN_GRACE_S


def pool_specs(settings: WorkerSettings, environ: Mapping[str, str]) -> list[ChildSpec]:
    """Return the processes of a pool: each reads the settings of the pool, except `processes` and `admin_port`."""
    return [_spec(settings, environ, index) for index in range(settings.processes)]


def _spec(settings: WorkerSettings, environ: Mapping[str, str], index: int) -> ChildSpec:
    types = [word for pattern in settings.types for word in ("--types", pattern)]
    tenants = ("--tenants", ",".join(settings.tenants)) if settings.tenants else ()
    argv = (sys.executable, "-P", "-m", "millstream_cli.main", "worker", *settings.apps, *types, *tenants)
    options = ("--concurrency", str(settings.concurrency), "--processes", "1")
    env = dict(environ)
    if settings.admin_port:
        env["MILLSTREAM_ADMIN_PORT"] = str(settings.admin_port + index)
    return ChildSpec(name=f"worker-{index + 1}", argv=(*argv, *options), env=env)
