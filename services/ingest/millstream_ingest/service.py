"""Runs ingest: opens its parts, serves until it is told to stop, leaves in order. The command line calls `run`."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import structlog

from millstream_ingest.api.app import create_app
from millstream_ingest.api.fast_path import SubmissionDoor
from millstream_ingest.assembly import Parts
from millstream_ingest.garbage_collection import pace_collector
from millstream_ingest.http.body_reader import BodyReader
from millstream_ingest.http.refusal_log import RefusalLog
from millstream_ingest.http.server import HttpServer
from millstream_ingest.inspection.dead_letters import DeadDesk
from millstream_ingest.inspection.jobs import JobLister
from millstream_ingest.inspection.queues import QueueSurveyor
from millstream_ingest.inspection.waiting import SettledWaiter
from millstream_ingest.redis_watch import RedisWatch
from millstream_ingest.settings import IngestSettings
from millstream_ingest.submission.batch import BatchIntake
from millstream_ingest.submission.group_commit import ANSWER_WITHIN_S, Appender
from millstream_ingest.submission.single import Intake
from millstream_runtime import HealthReport, Service, announce, run_service, unwrapped
from millstream_streams import Broker, open_broker
from millstream_submission import Admission, TypeCatalogue
from millstream_telemetry import (
    IngestMetrics,
    JobTracer,
    MetricRegistry,
    RedisMetrics,
)

MAX_CONNECTIONS = 16
"""To Redis. Group commit needs a few; reads, waits and lists share the rest."""

PATIENCE_S = 0.5
"""For how long a call is repeated that Redis has refused or cut off: within a second a client shall know where it
stands."""

GRACE_S = 20.0
"""Once the port is closed, for how long requests in hand may take to end."""

Listening = Callable[[str, int], None]


def run_ingest(settings: IngestSettings) -> None:
    """Run ingest until it is told to stop.

    It serves from its first moment: while Redis is away it refuses, so that clients know where they stand.
    Raises: BindError, AdminBindError, RedisTlsError, UnsuitableRedisError, TracingConfigError.
    """
    run_service("ingest", settings, _ingest)


async def _ingest(service: Service[IngestSettings]) -> None:
    orders = service.orders
    async with open_parts(service.settings, tracer=service.tracer, registry=service.metrics) as parts:
        service.report.take_over(live=parts.health.live, ready=parts.health.ready)
        await serve_parts(parts, orders.stop, orders.hurry, on_listening=lambda *_: pace_collector())


async def serve_parts(
    parts: Parts,
    stop: anyio.Event,
    hurry: anyio.Event,
    *,
    on_listening: Listening | None = None,
    grace_s: float = GRACE_S,
) -> None:
    """Serve opened parts until `stop` is set; `hurry` cuts the leaving short. Raises: BindError.

    `on_listening` is called with host and port once requests are answered.
    """
    settings, log = parts.config, structlog.get_logger()
    server = HttpServer(SubmissionDoor(create_app(parts), parts), settings.host, settings.port)
    with unwrapped():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_run_until_stopped, server, stop)
            await server.wait_listening()
            announce("listening", server.host, server.port, was_chosen=settings.port == 0)
            if on_listening:
                on_listening(server.host, server.port)
            await stop.wait()
            log.info("draining", drain_s=settings.drain_s, grace_s=grace_s)
            # First everybody who routes requests here has to learn that it ends; until then they are answered.
            parts.watch.leave()
            with anyio.move_on_after(settings.drain_s):
                await hurry.wait()
            parts.waiter.close()
            server.stop()
            await server.wait_ended(grace_s)
            tasks.cancel_scope.cancel()
    log.info("stopped")


@asynccontextmanager
async def open_parts(
    settings: IngestSettings, *, tracer: JobTracer, registry: MetricRegistry | None = None
) -> AsyncIterator[Parts]:
    """Open what the routes work with, and what runs behind them. Redis may be away; then all is refused.

    Raises: RedisTlsError, UnsuitableRedisError.
    """
    registry = registry or MetricRegistry()
    metrics = IngestMetrics(registry)
    async with AsyncExitStack() as stack:
        stack.enter_context(unwrapped())
        broker = await stack.enter_async_context(
            open_broker(
                settings.redis,
                namespace=settings.namespace,
                patience_s=PATIENCE_S,
                max_connections=MAX_CONNECTIONS,
                answer_within_s=ANSWER_WITHIN_S,
                observer=RedisMetrics(registry),
            )
        )
        background = await stack.enter_async_context(anyio.create_task_group())
        watch = RedisWatch(broker)
        appender = Appender(broker, metrics, max_backlog_jobs=settings.max_backlog_jobs, is_away=lambda: watch.is_away)
        await stack.enter_async_context(appender)
        parts = _put_together(settings, broker, appender, watch, tracer, registry=registry, metrics=metrics)
        await parts.watch.look()
        background.start_soon(parts.watch.run)
        background.start_soon(parts.waiter.run)
        # Before the broker is closed and after the last submission is stored.
        stack.callback(background.cancel_scope.cancel)
        yield parts


def _put_together(
    settings: IngestSettings,
    broker: Broker,
    appender: Appender,
    watch: RedisWatch,
    tracer: JobTracer,
    *,
    registry: MetricRegistry,
    metrics: IngestMetrics,
) -> Parts:
    catalogue = TypeCatalogue(broker.registry, registry)
    admission = Admission(settings.unknown_types)
    lister, refusals = JobLister(broker), RefusalLog()
    return Parts(
        config=settings,
        broker=broker,
        body_reader=BodyReader(settings.max_batch_body_bytes),
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
