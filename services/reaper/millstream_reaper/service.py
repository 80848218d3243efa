"""Composes a reaper: a list of duties."""

from millstream_reaper.event_trimmer import EventTrimmer
from millstream_reaper.recoverer import Recoverer
from millstream_reaper.settings import ReaperSettings
from millstream_reaper.sweeper import Sweeper
from millstream_runtime import Duty, DutyRunner, Service, run_duties, run_service, suitable_redis
from millstream_streams import LIVE_KEPT_S, NEEDS, Broker, StoreUnavailableError
from millstream_telemetry import DutyMetrics, JobTracer, ReaperMetrics

PATIENCE_S = 1.0
"""How long a call is repeated: shortly, because a duty returns by itself, and on a cluster the other nodes wait for it.
"""

EVENTS_KEPT_UNREAD = 1_000
"""Entries of a queue's event stream that are kept when no consumer group reads it. One entry may have a hundred jobs
and take 5 KB.
"""


def run_reaper(settings: ReaperSettings) -> None:
    """Run a reaper until it is told to stop.

    Raises: UnsuitableRedisError, RedisTlsError, AdminBindError, TracingConfigError.
    """
    run_service("reaper", settings, reap)


async def reap(service: Service[ReaperSettings]) -> None:
    """Wait for Redis, and reap until the orders of the service say so."""
    settings, metrics = service.settings, service.metrics
    async with suitable_redis(service, NEEDS["reaper"], patience_s=PATIENCE_S) as redis:
        duties = duties_of(
            settings,
            redis.broker,
            ReaperMetrics(metrics),
            service.tracer,
            was_away=redis.was_waited_for,
            has_just_started=redis.uptime_s < settings.lease_s,
        )
        runner = DutyRunner(duties, DutyMetrics(metrics, "reaper"), needs={"redis": StoreUnavailableError})
        service.report.take_over(live=runner.live, ready=runner.ready, duties=runner.duties)
        await run_duties(runner, service.orders)


def duties_of(
    settings: ReaperSettings,
    broker: Broker,
    metrics: ReaperMetrics,
    tracer: JobTracer,
    *,
    was_away: bool = False,
    has_just_started: bool = False,
    events_kept_unread: int = EVENTS_KEPT_UNREAD,
) -> list[Duty]:
    """Return what a reaper does.

    Workers may not have been able to renew until just now when Redis `was_away` or `has_just_started`.
    """
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
            has_just_started=has_just_started,
        ),
        EventTrimmer(
            store,
            registry,
            metrics,
            keep=events_kept_unread,
            cap=settings.events_kept,
            interval_s=settings.trim_every_s,
            kept_s=LIVE_KEPT_S,
        ),
        Sweeper(
            store,
            registry,
            consumer_idle_s=settings.consumer_idle_s,
            worker_silent_s=settings.worker_silent_s,
            interval_s=settings.sweep_every_s,
        ),
    ]
