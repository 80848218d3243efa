"""Composes a reaper: a list of duties."""

from contextlib import AsyncExitStack

from millstream_reaper.config import ReaperConfig
from millstream_reaper.event_trimmer import EventTrimmer
from millstream_reaper.recoverer import Recoverer
from millstream_reaper.sweeper import Sweeper
from millstream_runtime import Duty, DutyRunner, FailureLog, HealthReport, heed_stop_signals, run_duties, serve_admin
from millstream_streams import NEEDS, Broker, StoreUnavailableError, open_broker
from millstream_telemetry import DutyMetrics, JobTracer, MetricRegistry, ReaperMetrics, RedisMetrics

PATIENCE_S = 1.0
"""A duty comes again by itself, so no call has to last: on a cluster the other nodes wait for it."""


async def run_reaper(config: ReaperConfig, *, tracer: JobTracer) -> None:
    """Run a reaper until SIGTERM or SIGINT. Raises: UnsuitableRedisError, RedisTlsError, AdminBindError."""
    metrics = MetricRegistry()
    failures = FailureLog("connection to Redis")
    report = HealthReport.waiting_for("reaper", "redis", lambda: failures.last_error)
    async with AsyncExitStack() as stack:
        stack.enter_context(serve_admin(config.admin_host, config.admin_port, registry=metrics, report=report))
        orders = await stack.enter_async_context(heed_stop_signals())
        broker = await stack.enter_async_context(
            open_broker(config.redis, namespace=config.namespace, patience_s=PATIENCE_S, observer=RedisMetrics(metrics))
        )
        redis = await orders.unless_stopped(lambda: broker.wait_suitable(failures.failed, NEEDS["reaper"]))
        if redis is None:
            return
        was_away = failures.failures > 0 or redis.uptime_s < config.lease_s
        failures.succeeded()
        duties = duties_of(config, broker, ReaperMetrics(metrics), tracer, was_away=was_away)
        runner = DutyRunner(duties, DutyMetrics(metrics, "reaper"), needs={"redis": StoreUnavailableError})
        report.take_over(live=runner.live, ready=runner.ready)
        await run_duties(runner, orders)


def duties_of(
    config: ReaperConfig, broker: Broker, metrics: ReaperMetrics, tracer: JobTracer, *, was_away: bool = False
) -> list[Duty]:
    """Return what a reaper does. `was_away` says that workers may not have been able to renew until just now."""
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
            was_away=was_away,
        ),
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
