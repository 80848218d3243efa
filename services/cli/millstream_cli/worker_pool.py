"""Runs several processes of one worker: `millstream worker --processes N`."""

import os
import sys
from collections.abc import Mapping

from millstream_cli.child import ChildSpec
from millstream_cli.console.choosing import printer_for, show_until_cancelled
from millstream_cli.supervisor import supervise
from millstream_workers.settings import WorkerSettings

LONGER_THAN_GRACE_S = 5.0


async def run_worker_pool(settings: WorkerSettings) -> None:
    """Run the processes until the order to stop, and restart those that end. Raises: ChildEndedError."""
    specs = pool_specs(settings, os.environ)
    printer = printer_for(sys.stderr, [spec.name for spec in specs])
    async with supervise(specs, printer, grace_s=settings.grace_s + settings.cleanup_s + LONGER_THAN_GRACE_S):
        await show_until_cancelled(printer)


def pool_specs(settings: WorkerSettings, environ: Mapping[str, str]) -> list[ChildSpec]:
    """Return the processes of a pool: each reads the settings of the pool, except `processes` and `admin_port`."""
    return [_spec(settings, environ, index) for index in range(settings.processes)]


def _spec(settings: WorkerSettings, environ: Mapping[str, str], index: int) -> ChildSpec:
    types = [word for pattern in settings.types for word in ("--types", pattern)]
    argv = (sys.executable, "-P", "-m", "millstream_cli.main", "worker", *settings.apps, *types)
    options = ("--concurrency", str(settings.concurrency), "--processes", "1")
    env = dict(environ)
    if settings.admin_port:
        env["MILLSTREAM_ADMIN_PORT"] = str(settings.admin_port + index)
    return ChildSpec(name=f"worker-{index + 1}", argv=(*argv, *options), env=env)
