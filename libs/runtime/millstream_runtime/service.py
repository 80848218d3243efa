"""Runs any service: logs, traces, admin server, stop orders, the wait for its Redis, and the end of its process."""

import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Generic, NoReturn, TypeVar

import anyio
from msgspec import Struct

from millstream_runtime.admin import serve_admin
from millstream_runtime.coding import codec_of
from millstream_runtime.failure_log import FailureLog
from millstream_runtime.health import HealthReport
from millstream_runtime.heartbeat import beating
from millstream_runtime.settings.service_settings import ProcessSettings, ServiceSettings
from millstream_runtime.standard_streams import hold_standard_streams
from millstream_runtime.stopping import StopOrders, heed_stop_signals, ignore_late_signals, prepare_signals
from millstream_runtime.unwrapping import unwrapped
from millstream_streams import Broker, Needs, open_broker
from millstream_telemetry import (
    CodecMetrics,
    JobTracer,
    MetricRegistry,
    RedisMetrics,
    ServiceMetrics,
    configure_logs,
    configure_tracing,
    end_tracing,
)

S = TypeVar("S", bound=ProcessSettings)
R = TypeVar("R", bound=ServiceSettings)


class Service(Struct, Generic[S], frozen=True, kw_only=True):
    """What a running service is given."""

    name: str
    """As logs, traces, health and heartbeats call it."""
    settings: S
    tracer: JobTracer
    metrics: MetricRegistry
    """What `/metrics` shows."""
    report: HealthReport
    """What probes are answered. It reports the wait for Redis until the service takes it over."""
    failures: FailureLog
    """Failures of the wait for Redis."""
    orders: StopOrders
    leave: Callable[[], NoReturn]
    """Ends the process at once, also beside threads that do not end. It sends spans and log lines before."""


class SuitableRedis(Struct, frozen=True):
    """A Redis that loses no job and grants this service all rights that it needs."""

    broker: Broker
    was_waited_for: bool
    """Whether the first attempt failed: Redis was away, or refused this service."""
    uptime_s: float


class StoppedEarlyError(Exception):
    """The order to stop came before Redis was there, so nothing has begun that has to end."""


def prepare_process() -> None:
    """Keep stray signals and a terminal that closes from ending this process. Idempotent.

    Call it in the main thread and first of all: before settings are read and user code is imported.
    """
    hold_standard_streams()
    prepare_signals()


def run_service(
    name: str,
    settings: S,
    main: Callable[[Service[S]], Awaitable[None]],
    *,
    not_errors: tuple[type[BaseException], ...] = (),
) -> None:
    """Run a service on uvloop until the order to stop. Call it in the main thread: only that one receives signals.

    `main` returns when its orders say so. Spans that end with an exception of `not_errors` are not marked as failed.
    A single error is raised as itself, not in a group.

    Raises: TracingConfigError, AdminBindError, and the errors of `main`.
    """
    prepare_process()
    configure_logs(name, settings.log_level, sys.stderr)
    provider = configure_tracing(name)
    tracer = JobTracer(provider, propagation=settings.trace_propagation, not_errors=not_errors)

    def leave() -> NoReturn:
        end_tracing(provider)
        sys.stderr.flush()
        os._exit(0)

    async def run() -> None:
        with unwrapped():
            async with open_service(name, settings, tracer, leave) as service:
                await main(service)

    with suppress(StoppedEarlyError):
        anyio.run(run, backend_options={"use_uvloop": True})
    ignore_late_signals()
    if _has_threads_left():
        leave()


@asynccontextmanager
async def open_service(
    name: str, settings: S, tracer: JobTracer, leave: Callable[[], NoReturn]
) -> AsyncIterator[Service[S]]:
    """Serve the admin routes and turn signals into orders while the block lasts. Raises: AdminBindError."""
    metrics, failures = MetricRegistry(), FailureLog("connection to Redis")
    report = HealthReport.waiting_for(name, "redis", lambda: failures.last_error)
    shown = ServiceMetrics(metrics, name, version=version("millstream"))
    shown.watch_checks(lambda: {check.name: check.ok for check in report.ready().checks})
    with serve_admin(settings.admin_host, settings.admin_port, registry=metrics, report=report):
        async with heed_stop_signals() as orders:
            yield Service(
                name=name,
                settings=settings,
                tracer=tracer,
                metrics=metrics,
                report=report,
                failures=failures,
                orders=orders,
                leave=leave,
            )


@asynccontextmanager
async def suitable_redis(service: Service[R], needs: Needs, *, patience_s: float) -> AsyncIterator[SuitableRedis]:
    """Wait without limit for Redis and for the rights to use it, yield it, and close it at the end.

    The order to stop ends the wait and the service. Meanwhile the health report names the last failure. The broker
    repeats a call that Redis does not answer for `patience_s`. Heartbeats are sent while the block lasts.

    Raises: UnsuitableRedisError, RedisTlsError, RedisUrlError, SettingsError; StoppedEarlyError, which `run_service`
    takes for an end in order.
    """
    settings, failures = service.settings, service.failures
    async with open_broker(
        settings.redis,
        namespace=settings.namespace,
        patience_s=patience_s,
        observer=RedisMetrics(service.metrics),
        codec=codec_of(settings, CodecMetrics(service.metrics, service.name)),
    ) as broker:
        found = await service.orders.unless_stopped(lambda: broker.wait_suitable(failures.failed, needs))
        if found is None:
            raise StoppedEarlyError
        was_waited_for = failures.failures > 0
        failures.succeeded()
        async with beating(service.name, settings, broker.registry, duties=service.report.told_duties):
            yield SuitableRedis(broker, was_waited_for, found.uptime_s)


def _has_threads_left() -> bool:
    """Return whether an abandoned handler still runs in a thread, for which Python would wait."""
    return any(thread is not threading.main_thread() and not thread.daemon for thread in threading.enumerate())
