"""The commands that run a service: settings from the environment and options, logs, traces, then the service."""

import os
import sys
import threading
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from typing import Any

import anyio
import click

from millstream import Discard, MillstreamError, Snooze
from millstream_cli.apps import BUILTIN, load_apps
from millstream_cli.output import one_line_errors
from millstream_cli.redis_access import address_of
from millstream_cli.settings import (
    DispatcherSettings,
    IngestSettings,
    ReaperSettings,
    ServiceSettings,
    WorkerSettings,
    load,
)
from millstream_cli.worker_pool import run_worker_pool
from millstream_dispatcher.config import DispatcherConfig
from millstream_dispatcher.service import run_dispatcher
from millstream_history import HistoryError
from millstream_ingest.config import IngestConfig
from millstream_ingest.http.errors import BindError, IngestError
from millstream_ingest.service import run as run_ingest
from millstream_reaper.config import ReaperConfig
from millstream_reaper.service import run_reaper
from millstream_runtime import hold_standard_streams, ignore_late_signals, prepare_signals
from millstream_streams import StoreError
from millstream_telemetry import JobTracer, TelemetryError, configure_logs, configure_tracing, end_tracing
from millstream_workers.config import WorkerConfig
from millstream_workers.errors import WorkerError
from millstream_workers.service import run_worker

service_errors = one_line_errors(
    StoreError, HistoryError, TelemetryError, WorkerError, IngestError, BindError, MillstreamError, OSError
)


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on.")
@service_errors
def ingest(host: str | None, port: int | None) -> None:
    """Serve the HTTP API."""
    _begin()
    settings = load(IngestSettings, os.environ, host=host, port=port)
    run_ingest(
        IngestConfig(
            redis=address_of(settings),
            namespace=settings.namespace,
            host=settings.host,
            port=settings.port,
            admin_host=settings.admin_host,
            admin_port=settings.admin_port,
            log_level=settings.log_level,
            trace_propagation=settings.trace_propagation,
            max_body_bytes=settings.max_body_bytes,
            max_batch_body_bytes=settings.max_batch_body_bytes,
            max_backlog_jobs=settings.max_backlog_jobs,
            unknown_types=settings.unknown_types,
            drain_s=settings.drain_s,
        )
    )


@click.command()
@click.argument("apps", nargs=-1)
@click.option("--types", multiple=True, help="Job types to take, such as 'invoice.*'; may be given again.")
@click.option("--concurrency", type=int, help="Jobs that one process runs at a time.")
@click.option("--processes", type=int, help="Processes to run.")
@service_errors
def worker(apps: tuple[str, ...], types: tuple[str, ...], concurrency: int | None, processes: int | None) -> None:
    """Run the handlers of APPS, each `module:name`; the built-in handlers when none is named."""
    _begin()
    settings = load(
        WorkerSettings,
        os.environ,
        apps=apps or None,
        types=types or None,
        concurrency=concurrency,
        processes=processes,
    )
    redis = address_of(settings)
    if settings.processes > 1:
        anyio.run(run_worker_pool, settings)
        ignore_late_signals()
        return
    app = load_apps(settings.apps, settings)
    config = WorkerConfig(
        redis=redis,
        namespace=settings.namespace,
        app_refs=tuple(ref for ref in settings.apps if ref != BUILTIN),
        types=settings.types or ("*",),
        concurrency=settings.concurrency,
        lease_s=settings.lease_s,
        max_crashes=settings.max_crashes,
        stalled_loop_s=settings.stalled_loop_s,
        renew_every_s=settings.renew_every_s,
        unknown_types=settings.unknown_types,
        grace_s=settings.grace_s,
        cleanup_s=settings.cleanup_s,
        weights=settings.weights,
        admin_host=settings.admin_host,
        admin_port=settings.admin_port,
        code_version=settings.code_version,
    )

    def run(tracer: JobTracer, leave: Callable[[], None]) -> Coroutine[Any, Any, None]:
        return run_worker(config, app, tracer=tracer, release=version("millstream"), abandon=leave)

    _run("workers", settings, run)


@click.command()
@service_errors
def dispatcher() -> None:
    """Release due jobs, expire late ones, publish the gauges of the queues, write history."""
    _begin()
    settings = load(DispatcherSettings, os.environ)
    config = DispatcherConfig(
        redis=address_of(settings),
        namespace=settings.namespace,
        measure_every_s=settings.gauges_every_s,
        history_url=settings.history_url,
        admin_host=settings.admin_host,
        admin_port=settings.admin_port,
    )
    _run("dispatcher", settings, lambda *_: run_dispatcher(config))


@click.command()
@service_errors
def reaper() -> None:
    """Recover what got stuck, bury what is beyond help, sweep up."""
    _begin()
    settings = load(ReaperSettings, os.environ)
    config = ReaperConfig(
        redis=address_of(settings),
        namespace=settings.namespace,
        lease_s=settings.lease_s,
        max_crashes=settings.max_crashes,
        recover_every_s=settings.interval_s,
        events_cap=settings.events_kept,
        consumer_idle_s=settings.consumer_idle_s,
        admin_host=settings.admin_host,
        admin_port=settings.admin_port,
    )
    _run("reaper", settings, lambda tracer, _: run_reaper(config, tracer=tracer))


def _begin() -> None:
    """Be a service from here on: neither a stray signal nor a terminal that closes ends it."""
    hold_standard_streams()
    prepare_signals()


Main = Callable[[JobTracer, Callable[[], None]], Coroutine[Any, Any, None]]
"""A service, given its tracer and how to end the process at once."""


def _run(service: str, settings: ServiceSettings, main: Main) -> None:
    """Run a service on uvloop, with logs and traces set up."""
    configure_logs(service, settings.log_level, sys.stderr)
    provider = configure_tracing(service)
    tracer = JobTracer(provider, propagation=settings.trace_propagation, not_errors=(Snooze, Discard))

    def leave() -> None:
        end_tracing(provider)
        sys.stderr.flush()
        os._exit(0)

    async def unwrapped() -> None:
        try:
            await main(tracer, leave)
        except BaseExceptionGroup as group:
            raise _single(group) from None

    anyio.run(unwrapped, backend_options={"use_uvloop": True})
    ignore_late_signals()
    if _has_threads_left():
        leave()


def _has_threads_left() -> bool:
    """Whether a handler that was given up still runs in a thread, for which Python would wait."""
    return any(thread is not threading.main_thread() and not thread.daemon for thread in threading.enumerate())


def _single(error: BaseException) -> BaseException:
    """Return the one error out of the groups that structured concurrency puts it in."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
