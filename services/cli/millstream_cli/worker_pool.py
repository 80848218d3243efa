"""Runs several processes of one worker: `millstream worker --processes N`."""

import os
import sys

import anyio

from millstream_cli.child import ChildSpec
from millstream_cli.line_printer import LinePrinter
from millstream_cli.supervisor import supervise
from millstream_workers.settings import WorkerSettings

LONGER_THAN_GRACE_S = 5.0


async def run_worker_pool(settings: WorkerSettings) -> None:
    """Run the processes until told to stop; one that ends is started again. Raises: ChildEndedError."""
    specs = [_spec(settings, index) for index in range(settings.processes)]
    printer = LinePrinter(sys.stderr, [spec.name for spec in specs])
    async with supervise(specs, printer, grace_s=settings.grace_s + settings.cleanup_s + LONGER_THAN_GRACE_S):
        await anyio.sleep_forever()


def _spec(settings: WorkerSettings, index: int) -> ChildSpec:
    types = [word for pattern in settings.types for word in ("--types", pattern)]
    argv = (sys.executable, "-P", "-m", "millstream_cli.main", "worker", *settings.apps, *types)
    options = ("--concurrency", str(settings.concurrency), "--processes", "1")
    env = dict(os.environ)
    if settings.admin_port:
        env["MILLSTREAM_ADMIN_PORT"] = str(settings.admin_port + index)
    return ChildSpec(name=f"worker-{index + 1}", argv=(*argv, *options), env=env)
