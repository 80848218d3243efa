"""Composes a dispatcher: a list of duties, and the ear for hints."""

from contextlib import AsyncExitStack

from millstream_dispatcher.config import DispatcherConfig
from millstream_dispatcher.gauger import Gauger
from millstream_dispatcher.promoter import Promoter
from millstream_streams import StoreUnavailableError, open_broker
from millstream_telemetry import (
    DispatcherMetrics,
    DutyMetrics,
    DutyRunner,
    FailureLog,
    HealthReport,
    MetricRegistry,
    RedisMetrics,
    heed_stop_signals,
    run_duties,
    serve_admin,
)

PATIENCE_S = 1.0
"""A duty comes again by itself, so no call has to last: on a cluster the other nodes wait for it."""


async def run_dispatcher(config: DispatcherConfig) -> None:
    """Run a dispatcher until SIGTERM or SIGINT. Raises: UnsuitableRedisError, RedisUrlError, AdminBindError."""
    metrics = MetricRegistry()
    failures = FailureLog("connection to Redis")
    report = HealthReport.waiting_for("dispatcher", "redis")
    async with AsyncExitStack() as stack:
        stack.enter_context(serve_admin(config.admin_host, config.admin_port, registry=metrics, report=report))
        orders = await stack.enter_async_context(heed_stop_signals())
        broker = await stack.enter_async_context(
            open_broker(
                config.redis_url, namespace=config.namespace, patience_s=PATIENCE_S, observer=RedisMetrics(metrics)
            )
        )
        if await orders.unless_stopped(lambda: broker.wait_suitable(failures.failed)) is None:
            return
        failures.succeeded()
        promoter = Promoter(broker.store, broker.registry, interval_s=config.release_every_s)
        gauger = Gauger(
            broker.store,
            broker.registry,
            DispatcherMetrics(metrics),
            metrics,
            interval_s=config.measure_every_s,
        )
        duties = DutyMetrics(metrics, "dispatcher")
        runner = DutyRunner([promoter, gauger], duties, needs={"redis": StoreUnavailableError})
        report.take_over(live=runner.live, ready=runner.ready)
        await run_duties(runner, orders, beside=lambda: broker.listen_due(promoter.look_at, promoter.look_at_all))
