"""Composes a reaper: a list of duties."""

from millstream_reaper.config import ReaperConfig
from millstream_reaper.event_trimmer import EventTrimmer
from millstream_reaper.expirer import Expirer
from millstream_reaper.recoverer import Recoverer
from millstream_reaper.sweeper import Sweeper
from millstream_streams import Broker, open_broker
from millstream_telemetry import (
    Duty,
    DutyMetrics,
    DutyRunner,
    FailureLog,
    JobTracer,
    MetricRegistry,
    ReaperMetrics,
    RedisMetrics,
    run_duties,
)


async def run_reaper(config: ReaperConfig, *, tracer: JobTracer) -> None:
    """Run a reaper until SIGTERM or SIGINT. Raises: UnsuitableRedisError, RedisUrlError, AdminBindError."""
    metrics = MetricRegistry()
    failures = FailureLog("connection to Redis")
    async with open_broker(config.redis_url, namespace=config.namespace, observer=RedisMetrics(metrics)) as broker:
        await broker.wait_suitable(failures.failed)
        failures.succeeded()
        duties = duties_of(config, broker, ReaperMetrics(metrics), tracer)
        await run_duties(
            "reaper",
            DutyRunner(duties, DutyMetrics(metrics, "reaper")),
            registry=metrics,
            admin_host=config.admin_host,
            admin_port=config.admin_port,
        )


def duties_of(config: ReaperConfig, broker: Broker, metrics: ReaperMetrics, tracer: JobTracer) -> list[Duty]:
    """Return what a reaper does."""
    store, registry = broker.store, broker.registry
    return [
        Recoverer(
            store,
            registry,
            metrics,
            tracer,
            lease_s=config.lease_s,
            max_crashes=config.max_crashes,
            interval_s=config.recover_every_s,
        ),
        Expirer(store, registry, metrics, interval_s=config.expire_every_s),
        EventTrimmer(
            store,
            registry,
            metrics,
            keep=config.events_kept,
            cap=config.events_cap,
            interval_s=config.trim_every_s,
        ),
        Sweeper(
            store,
            registry,
            consumer_idle_s=config.consumer_idle_s,
            worker_silent_s=config.worker_silent_s,
            interval_s=config.sweep_every_s,
        ),
    ]
