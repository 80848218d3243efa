"""Runs a service that is nothing but duties, with its probes, until it is told to stop."""

import signal
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any

import anyio
import structlog

from millstream_telemetry.admin import AdminServer
from millstream_telemetry.duties import DutyRunner
from millstream_telemetry.health import HealthReport
from millstream_telemetry.registry import MetricRegistry


async def _nothing() -> None:
    """Stand for a service that has nothing beside its duties."""


async def run_duties(
    service: str,
    runner: DutyRunner,
    *,
    registry: MetricRegistry,
    admin_host: str,
    admin_port: int | None,
    beside: Callable[[], Coroutine[Any, Any, None]] = _nothing,
) -> None:
    """Run duties until SIGTERM or SIGINT; a pass that is under way is finished.

    `beside` runs next to them and is cancelled at the end. Raises: AdminBindError.
    """
    log = structlog.get_logger()
    report = HealthReport(service, live=runner.live, ready=runner.ready)
    stop = anyio.Event()
    with ExitStack() as stack:
        if admin_port is not None:
            admin = stack.enter_context(AdminServer(admin_host, admin_port, registry=registry, report=report))
            log.info("admin", host=admin_host, port=admin.port)
        signals = stack.enter_context(anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT))
        log.info("started")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(beside)
            async with anyio.create_task_group() as duties:
                duties.start_soon(runner.run, stop)
                async for _ in signals:
                    stop.set()
                    break
            tasks.cancel_scope.cancel()
        log.info("stopped")
