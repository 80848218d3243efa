"""Composes a dispatcher: a list of duties, and the ear for hints."""

from millstream_dispatcher.config import DispatcherConfig
from millstream_dispatcher.gauger import Gauger
from millstream_dispatcher.promoter import Promoter
from millstream_streams import open_broker
from millstream_telemetry import (
    DispatcherMetrics,
    DutyMetrics,
    DutyRunner,
    FailureLog,
    MetricRegistry,
    RedisMetrics,
    run_duties,
)


async def run_dispatcher(config: DispatcherConfig) -> None:
    """Run a dispatcher until SIGTERM or SIGINT. Raises: UnsuitableRedisError, RedisUrlError, AdminBindError."""
    metrics = MetricRegistry()
    failures = FailureLog("connection to Redis")
    async with open_broker(config.redis_url, namespace=config.namespace, observer=RedisMetrics(metrics)) as broker:
        await broker.wait_suitable(failures.failed)
        failures.succeeded()
        promoter = Promoter(broker.store, broker.registry, interval_s=config.release_every_s)
        gauger = Gauger(
            broker.store,
            broker.registry,
            DispatcherMetrics(metrics),
            metrics,
            interval_s=config.measure_every_s,
        )
        await run_duties(
            "dispatcher",
            DutyRunner([promoter, gauger], DutyMetrics(metrics, "dispatcher")),
            registry=metrics,
            admin_host=config.admin_host,
            admin_port=config.admin_port,
            beside=lambda: broker.listen_due(promoter.look_at, promoter.look_at_all),
        )
