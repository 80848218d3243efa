"""Composes a dispatcher: a list of duties, and the ear for hints."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from millstream_dispatcher.agenda import Agenda
from millstream_dispatcher.config import DispatcherConfig
from millstream_dispatcher.expirer import Expirer
from millstream_dispatcher.gauger import Gauger
from millstream_dispatcher.historian import GROUP, Historian
from millstream_dispatcher.promoter import Promoter
from millstream_history import History, open_history
from millstream_runtime import Duty, DutyRunner, FailureLog, HealthReport, heed_stop_signals, run_duties, serve_admin
from millstream_streams import NEEDS, Broker, StoreUnavailableError, consumer_name, open_broker
from millstream_telemetry import DispatcherMetrics, DutyMetrics, HistoryMetrics, MetricRegistry, RedisMetrics

PATIENCE_S = 1.0
"""A duty comes again by itself, so no call has to last: on a cluster the other nodes wait for it."""


async def run_dispatcher(config: DispatcherConfig) -> None:
    """Run a dispatcher until SIGTERM or SIGINT.

    Raises: UnsuitableRedisError, RedisTlsError, HistoryUrlError, AdminBindError.
    """
    metrics = MetricRegistry()
    failures = FailureLog("connection to Redis")
    report = HealthReport.waiting_for("dispatcher", "redis", lambda: failures.last_error)
    async with AsyncExitStack() as stack:
        stack.enter_context(serve_admin(config.admin_host, config.admin_port, registry=metrics, report=report))
        orders = await stack.enter_async_context(heed_stop_signals())
        # Before anything is waited for: nothing mends a URL that cannot be read.
        history = await stack.enter_async_context(open_history(config.history_url)) if config.history_url else None
        broker = await stack.enter_async_context(
            open_broker(config.redis, namespace=config.namespace, patience_s=PATIENCE_S, observer=RedisMetrics(metrics))
        )
        if await orders.unless_stopped(lambda: broker.wait_suitable(failures.failed, NEEDS["dispatcher"])) is None:
            return
        failures.succeeded()
        due = Agenda(broker.registry, config.release_every_s)
        duties, checks = duties_of(config, broker, metrics, due), []
        if history:
            projection = await stack.enter_async_context(historian(history, broker, metrics))
            duties.append(projection)
            checks.append(projection.check)
        runner = DutyRunner(
            duties, DutyMetrics(metrics, "dispatcher"), needs={"redis": StoreUnavailableError}, checks=checks
        )
        report.take_over(live=runner.live, ready=runner.ready)
        await run_duties(runner, orders, beside=lambda: broker.listen_due(due.look_at, due.look_at_all))


def duties_of(config: DispatcherConfig, broker: Broker, metrics: MetricRegistry, due: Agenda) -> list[Duty]:
    """Return what a dispatcher does. Whoever hears of jobs that wait for a time notes them in `due`."""
    store, registry = broker.store, broker.registry
    expiring = Agenda(registry, config.expire_every_s)
    shown = DispatcherMetrics(metrics)
    return [
        Promoter(store, due, interval_s=config.release_every_s),
        Expirer(store, expiring, shown, interval_s=config.expire_every_s),
        Gauger(store, registry, shown, metrics, due=due, expiring=expiring, interval_s=config.measure_every_s),
    ]


@asynccontextmanager
async def historian(history: History, broker: Broker, metrics: MetricRegistry) -> AsyncIterator[Historian]:
    """Yield the duty that remembers, and close what it has opened."""
    async with aclosing(broker.feed(group=GROUP, consumer=consumer_name())) as feed:
        yield Historian(feed, broker, history, HistoryMetrics(metrics))
