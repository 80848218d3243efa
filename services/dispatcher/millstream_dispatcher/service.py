"""Composes a dispatcher: a list of duties, and the ear for hints."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from millstream_dispatcher.agenda import Agenda
from millstream_dispatcher.expirer import Expirer
from millstream_dispatcher.gauger import Gauger
from millstream_dispatcher.historian import GROUP, Historian
from millstream_dispatcher.promoter import Promoter
from millstream_dispatcher.settings import DispatcherSettings
from millstream_history import History, open_history
from millstream_runtime import Duty, DutyRunner, Service, run_duties, run_service, suitable_redis
from millstream_streams import NEEDS, Broker, StoreUnavailableError, consumer_name
from millstream_telemetry import DispatcherMetrics, DutyMetrics, HistoryMetrics, MetricRegistry

PATIENCE_S = 1.0
"""A duty comes again by itself, so no call has to last: on a cluster the other nodes wait for it."""


def run_dispatcher(settings: DispatcherSettings) -> None:
    """Run a dispatcher until it is told to stop.

    Raises: UnsuitableRedisError, RedisTlsError, HistoryUrlError, AdminBindError, TracingConfigError.
    """
    run_service("dispatcher", settings, _dispatch)


async def _dispatch(service: Service[DispatcherSettings]) -> None:
    settings, metrics = service.settings, service.metrics
    async with AsyncExitStack() as stack:
        # Before anything is waited for: nothing mends a URL that cannot be read.
        history = await stack.enter_async_context(open_history(settings.history_url)) if settings.history_url else None
        redis = await stack.enter_async_context(suitable_redis(service, NEEDS["dispatcher"], patience_s=PATIENCE_S))
        broker = redis.broker
        due = Agenda(broker.registry, settings.release_every_s)
        duties, checks = duties_of(settings, broker, metrics, due), []
        if history:
            projection = await stack.enter_async_context(historian(history, broker, metrics))
            duties.append(projection)
            checks.append(projection.check)
        runner = DutyRunner(
            duties, DutyMetrics(metrics, "dispatcher"), needs={"redis": StoreUnavailableError}, checks=checks
        )
        service.report.take_over(live=runner.live, ready=runner.ready)
        await run_duties(runner, service.orders, beside=lambda: broker.listen_due(due.look_at, due.look_at_all))


def duties_of(settings: DispatcherSettings, broker: Broker, metrics: MetricRegistry, due: Agenda) -> list[Duty]:
    """Return what a dispatcher does. Whoever hears of jobs that wait for a time notes them in `due`."""
    store, registry = broker.store, broker.registry
    expiring = Agenda(registry, settings.expire_every_s)
    shown = DispatcherMetrics(metrics)
    return [
        Promoter(store, due, interval_s=settings.release_every_s),
        Expirer(store, expiring, shown, interval_s=settings.expire_every_s),
        Gauger(store, registry, shown, metrics, due=due, expiring=expiring, interval_s=settings.gauges_every_s),
    ]


@asynccontextmanager
async def historian(history: History, broker: Broker, metrics: MetricRegistry) -> AsyncIterator[Historian]:
    """Yield the duty that remembers, and close what it has opened."""
    async with aclosing(broker.feed(group=GROUP, consumer=consumer_name())) as feed:
        yield Historian(feed, broker, history, HistoryMetrics(metrics))
