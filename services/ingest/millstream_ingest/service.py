"""Runs ingest: opens its parts, serves until it is told to stop, leaves in order. The command line calls `run`."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import structlog
import uvloop

from millstream_ingest.api.app import create_asgi
from millstream_ingest.assembly import Parts
from millstream_ingest.config import IngestConfig
from millstream_ingest.garbage_collection import pace_collector
from millstream_ingest.http.body_reader import BodyReader
from millstream_ingest.http.refusal_log import RefusalLog
from millstream_ingest.http.server import HttpServer
from millstream_ingest.inspection.dead_letters import DeadDesk
from millstream_ingest.inspection.jobs import JobLister
from millstream_ingest.inspection.queues import QueueSurveyor
from millstream_ingest.inspection.waiting import SettledWaiter
from millstream_ingest.redis_watch import RedisWatch
from millstream_ingest.submission.batch import BatchIntake
from millstream_ingest.submission.group_commit import ANSWER_WITHIN_S, Appender
from millstream_ingest.submission.single import Intake
from millstream_runtime import HealthReport, heed_stop_signals, ignore_late_signals, serve_admin
from millstream_streams import Broker, open_broker
from millstream_submission import Admission, TypeCatalogue
from millstream_telemetry import (
    IngestMetrics,
    JobTracer,
    MetricRegistry,
    RedisMetrics,
    configure_logs,
    configure_tracing,
)

MAX_CONNECTIONS = 16
"""To Redis. Group commit needs a few; reads, waits and lists share the rest."""

Listening = Callable[[str, int], None]


def run(config: IngestConfig) -> None:
    """Run ingest until it is told to stop: set up logs and traces of the process, then serve.

    Raises: BindError, AdminBindError, RedisTlsError, UnsuitableRedisError, TracingConfigError.
    """
    configure_logs("ingest", config.log_level, sys.stderr)
    tracer = JobTracer(configure_tracing("ingest"), propagation=config.trace_propagation)
    uvloop.run(serve(config, tracer=tracer, on_listening=lambda *_: pace_collector()))
    ignore_late_signals()


async def serve(config: IngestConfig, *, tracer: JobTracer, on_listening: Listening | None = None) -> None:
    """Serve until it is told to stop; run it in the main thread, where signals are heard.

    `on_listening` is called with host and port once requests are answered. A second signal cuts the leaving short.
    Raises: BindError, AdminBindError, RedisTlsError, UnsuitableRedisError.
    """
    async with _unwrapped(), heed_stop_signals() as orders, open_parts(config, tracer=tracer) as parts:
        await serve_parts(parts, orders.stop, orders.hurry, on_listening=on_listening)


async def serve_parts(
    parts: Parts, stop: anyio.Event, hurry: anyio.Event, *, on_listening: Listening | None = None
) -> None:
    """Serve opened parts until `stop` is set. Raises: BindError, AdminBindError."""
    config, log = parts.config, structlog.get_logger()
    server = HttpServer(create_asgi(parts), config.host, config.port)
    async with _unwrapped(), anyio.create_task_group() as tasks:
        with serve_admin(config.admin_host, config.admin_port, registry=parts.registry, report=parts.health):
            tasks.start_soon(_run_until_stopped, server, stop)
            await server.wait_listening()
            log.info("listening", host=server.host, port=server.port)
            if on_listening:
                on_listening(server.host, server.port)
            await stop.wait()
            log.info("draining", drain_s=config.drain_s, grace_s=config.grace_s)
            # First everybody who routes requests here has to learn that it ends; until then they are answered.
            parts.watch.leave()
            with anyio.move_on_after(config.drain_s):
                await hurry.wait()
            parts.waiter.close()
            server.stop()
            await server.wait_ended(config.grace_s)
            tasks.cancel_scope.cancel()
    log.info("stopped")


@asynccontextmanager
async def open_parts(config: IngestConfig, *, tracer: JobTracer) -> AsyncIterator[Parts]:
    """Open what the routes work with, and what runs behind them. Redis may be away; then all is refused.

    Raises: RedisTlsError, UnsuitableRedisError.
    """
    registry = MetricRegistry()
    metrics = IngestMetrics(registry)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_unwrapped())
        broker = await stack.enter_async_context(
            open_broker(
                config.redis,
                namespace=config.namespace,
                patience_s=config.patience_s,
                max_connections=MAX_CONNECTIONS,
                answer_within_s=ANSWER_WITHIN_S,
                observer=RedisMetrics(registry),
            )
        )
        background = await stack.enter_async_context(anyio.create_task_group())
        watch = RedisWatch(broker)
        appender = Appender(broker, metrics, max_backlog_jobs=config.max_backlog_jobs, is_away=lambda: watch.is_away)
        await stack.enter_async_context(appender)
        parts = _put_together(config, broker, appender, watch, tracer, registry=registry, metrics=metrics)
        await parts.watch.look()
        background.start_soon(parts.watch.run)
        background.start_soon(parts.waiter.run)
        # Before the broker is closed and after the last submission is stored.
        stack.callback(background.cancel_scope.cancel)
        yield parts


def _put_together(
    config: IngestConfig,
    broker: Broker,
    appender: Appender,
    watch: RedisWatch,
    tracer: JobTracer,
    *,
    registry: MetricRegistry,
    metrics: IngestMetrics,
) -> Parts:
    catalogue = TypeCatalogue(broker.registry, registry)
    admission = Admission(config.unknown_types)
    lister, refusals = JobLister(broker), RefusalLog()
    return Parts(
        config=config,
        broker=broker,
        body_reader=BodyReader(config.max_batch_body_bytes),
        intake=Intake(catalogue, admission, tracer, appender, broker.views, metrics, clock=broker.clock),
        batches=BatchIntake(catalogue, admission, tracer, appender, metrics, refusals, clock=broker.clock),
        lister=lister,
        dead=DeadDesk(broker, lister, tracer, metrics, refusals),
        surveyor=QueueSurveyor(broker, catalogue),
        catalogue=catalogue,
        waiter=SettledWaiter(broker),
        watch=watch,
        refusals=refusals,
        tracer=tracer,
        metrics=metrics,
        registry=registry,
        health=HealthReport("ingest", live=watch.live, ready=watch.ready),
    )


async def _run_until_stopped(server: HttpServer, stop: anyio.Event) -> None:
    await server.run()
    # A server that ends by itself leaves nothing to wait for.
    stop.set()


@asynccontextmanager
async def _unwrapped() -> AsyncIterator[None]:
    """Let a single error out of the groups that structured concurrency puts it in."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from None
