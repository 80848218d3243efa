"""Composes a reaper: a list of duties."""

from millstream_reaper.event_trimmer import EventTrimmer
from millstream_reaper.recoverer import Recoverer
from millstream_reaper.settings import ReaperSettings
from millstream_reaper.sweeper import Sweeper
from millstream_runtime import Duty, DutyRunner, Service, run_duties, run_service, suitable_redis
from millstream_streams import NEEDS, Broker, StoreUnavailableError
from millstream_telemetry import DutyMetrics, JobTracer, ReaperMetrics

PATIENCE_S = 1.0
"""A duty comes again by itself, so no call has to last: on a cluster the other nodes wait for it."""

EVENTS_KEPT_UNREAD = 1_000
"""Entries of a queue's event stream that are kept when no consumer group reads it. One may tell of a hundred jobs and
take 5 KB."""


def run_reaper(settings: ReaperSettings) -> None:
    """Run a reaper until it is told to stop.

    Raises: UnsuitableRedisError, RedisTlsError, AdminBindError, TracingConfigError.
    """
    run_service("reaper", settings, reap)


async def reap(service: Service[ReaperSettings]) -> None:
    """Wait for Redis, and reap until the orders of the service say so."""
    settings, metrics = service.settings, service.metrics
    async with suitable_redis(service, NEEDS["reaper"], patience_s=PATIENCE_S) as redis:
        was_away = redis.was_waited_for or redis.uptime_s < settings.lease_s
        duties = duties_of(settings, redis.broker, ReaperMetrics(metrics), service.tracer, was_away=was_away)
        runner = DutyRunner(duties, DutyMetrics(metrics, "reaper"), needs={"redis": StoreUnavailableError})
        service.report.take_over(live=runner.live, ready=runner.ready)
        await run_duties(runner, service.orders)


def duties_of(
    settings: ReaperSettings,
    broker: Broker,
    metrics: ReaperMetrics,
    tracer: JobTracer,
    *,
    was_away: bool = False,
    events_kept_unread: int = EVENTS_KEPT_UNREAD,
) -> list[Duty]:
    """Return what a reaper does. `was_away` says that workers may not have been able to renew until just now."""
    store, registry = broker.store, broker.registry
    return [
        Recoverer(
            store,
            registry,
            metrics,
            tracer,
            lease_s=settings.lease_s,
            max_crashes=settings.max_crashes,
            interval_s=settings.interval_s,
            was_away=was_away,
        ),
        EventTrimmer(
            store,
            registry,
            metrics,
            keep=events_kept_unread,
            cap=settings.events_kept,
            interval_s=settings.trim_every_s,
        ),
        Sweeper(
            store,
            registry,
            consumer_idle_s=settings.consumer_idle_s,
            worker_silent_s=settings.worker_silent_s,
            interval_s=settings.sweep_every_s,
        ),
    ]
