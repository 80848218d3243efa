"""Builds the duties of a dispatcher from its settings."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from msgspec import Struct

from millstream_contracts import DEFAULT_TENANT
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_dispatcher.expirer import Expirer
from millstream_dispatcher.notices.channels import Channel, EmailChannel, NotifyChannel, WebhookChannel
from millstream_dispatcher.notices.conditions import Limits
from millstream_dispatcher.notices.notice_desk import NoticeDesk
from millstream_dispatcher.notices.queue_board import QueueBoard
from millstream_dispatcher.notices.watchman import HistoryView, Watchman
from millstream_dispatcher.operations.operator import Operator
from millstream_dispatcher.partitioner import Partitioner
from millstream_dispatcher.projector import GROUP, Projector
from millstream_dispatcher.promoter import Promoter
from millstream_dispatcher.queue_metrics import QueueMetrics
from millstream_dispatcher.resyncer import Resyncer
from millstream_dispatcher.schedules.scheduler import Scheduler
from millstream_dispatcher.schedules.starter import Starter
from millstream_dispatcher.schedules.surveyor import ScheduleSurveyor
from millstream_dispatcher.settings import DispatcherSettings
from millstream_dispatcher.webhooks.delivery_maker import DeliveryMaker
from millstream_dispatcher.webhooks.delivery_watch import DeliveryWatch
from millstream_dispatcher.webhooks.endpoint_book import EndpointBook
from millstream_dispatcher.webhooks.herald import Herald
from millstream_history import History
from millstream_runtime import Duty, HealthCheck, Service, Wake
from millstream_streams import WEBHOOKS_GROUP, Broker, consumer_name
from millstream_submission import KnownQueues, SystemSubmitter, TypeCatalogue
from millstream_telemetry import (
    DispatcherMetrics,
    HistoryMetrics,
    MetricRegistry,
    NoticeMetrics,
    OperationMetrics,
    ScheduleMetrics,
    WebhookMetrics,
)


class Duties(Struct, frozen=True):
    """The duties of a dispatcher, and what else says whether it is ready."""

    duties: list[Duty]
    checks: list[Callable[[], HealthCheck]]
    schedule_wakes: tuple[Wake, ...] = ()
    """What a hint about schedules wakes."""


@asynccontextmanager
async def open_duties(
    service: Service[DispatcherSettings], broker: Broker, history: History | None, due: CheckSchedule
) -> AsyncIterator[Duties]:
    """Yield all duties, and close what they have opened. Those of the history are there only with one."""
    settings, metrics = service.settings, service.metrics
    board, shown = QueueBoard(), HistoryMetrics(metrics) if history else None
    submitter = submitter_of(service, broker)
    scheduler, starter, surveyor = schedule_duties(service, broker, submitter)
    own = [*duties_of(settings, broker, metrics, due, board), scheduler, starter, surveyor]
    made = Duties(own, [], (scheduler.wake, starter.wake))
    book = EndpointBook(history.webhooks.every if history else None)
    view: HistoryView | None = None
    async with AsyncExitStack() as stack:
        if history and shown:
            projector = await stack.enter_async_context(open_projector(history, broker, shown))
            made.duties.extend((projector, *history_duties(service, broker, submitter, history, shown)))
            made.checks.append(projector.check)
            view = HistoryView(lambda: shown.lag_s, history, book)
        made.duties.append(await stack.enter_async_context(open_herald(service, broker, submitter, book, history)))
        made.duties.append(watchman_of(service, broker, submitter, board, view))
        yield made


def history_duties(
    service: Service[DispatcherSettings],
    broker: Broker,
    submitter: SystemSubmitter,
    history: History,
    shown: HistoryMetrics,
) -> list[Duty]:
    """Return the duties that keep a history whole and act on it; it is written by another."""
    catalogue = TypeCatalogue(broker.registry, service.metrics)
    return [
        Partitioner(history, broker, shown, kept_days=service.settings.history_days),
        Resyncer(history, broker, shown),
        Operator(
            history,
            broker,
            OperationMetrics(service.metrics),
            catalogue=catalogue,
            submitter=submitter,
            tracer=service.tracer,
        ),
    ]


def schedule_duties(
    service: Service[DispatcherSettings], broker: Broker, submitter: SystemSubmitter
) -> tuple[Scheduler, Starter, ScheduleSurveyor]:
    """Return the duties of schedules: they decide, store the jobs, and count."""
    settings, shown, starts = service.settings, ScheduleMetrics(service.metrics), Wake()
    catalogue = TypeCatalogue(broker.registry, service.metrics)
    return (
        Scheduler(broker, catalogue, shown, interval_s=settings.release_every_s, starts=starts),
        Starter(broker, submitter, service.tracer, shown, interval_s=settings.release_every_s, wake=starts),
        ScheduleSurveyor(broker, shown, interval_s=settings.gauges_every_s),
    )


def submitter_of(service: Service[DispatcherSettings], broker: Broker) -> SystemSubmitter:
    """Return what submits the jobs of a dispatcher itself: deliveries and notices."""
    return SystemSubmitter(
        broker.store,
        KnownQueues(broker.registry),
        TypeCatalogue(broker.registry, service.metrics),
        service.tracer,
        clock=broker.clock.now_s,
    )


def duties_of(
    settings: DispatcherSettings,
    broker: Broker,
    metrics: MetricRegistry,
    due: CheckSchedule,
    board: QueueBoard | None = None,
) -> list[Duty]:
    """Return the duties of a dispatcher. Hints of scheduled jobs go to `due`, and what was measured to `board`."""
    store, registry = broker.store, broker.registry
    expiring = CheckSchedule(registry, settings.expire_every_s)
    shown = DispatcherMetrics(metrics)
    return [
        Promoter(store, due, shown, interval_s=settings.release_every_s),
        Expirer(store, expiring, shown, interval_s=settings.expire_every_s),
        QueueMetrics(
            store,
            registry,
            broker.clock,
            shown,
            due=due,
            expiring=expiring,
            due_soon_s=settings.due_soon_s,
            interval_s=settings.gauges_every_s,
            board=board,
        ),
    ]


@asynccontextmanager
async def open_projector(history: History, broker: Broker, metrics: HistoryMetrics) -> AsyncIterator[Projector]:
    """Yield the duty that writes the history, and close what it has opened."""
    async with aclosing(broker.feed(group=GROUP, consumer=consumer_name())) as feed:
        yield Projector(feed, broker, history, metrics)


@asynccontextmanager
async def open_herald(
    service: Service[DispatcherSettings],
    broker: Broker,
    submitter: SystemSubmitter,
    book: EndpointBook,
    history: History | None,
) -> AsyncIterator[Herald]:
    """Yield the duty that submits deliveries of webhooks, and close what it has opened."""
    maker = DeliveryMaker(submitter, service.settings.webhook_keys)
    watch = DeliveryWatch(broker, book, history.webhooks.note if history else None)
    async with aclosing(broker.feed(group=WEBHOOKS_GROUP, consumer=consumer_name())) as feed:
        yield Herald(feed, broker, book, maker, watch, WebhookMetrics(service.metrics))


def watchman_of(
    service: Service[DispatcherSettings],
    broker: Broker,
    submitter: SystemSubmitter,
    board: QueueBoard,
    view: HistoryView | None,
) -> Watchman:
    """Return the duty that has people told what is wrong for too long."""
    settings, metrics = service.settings, NoticeMetrics(service.metrics)
    limits = Limits(
        dead_after_s=settings.notices_dead_after_s,
        no_worker_after_s=settings.notices_no_worker_after_s,
        history_behind_s=settings.notices_history_behind_s,
    )
    desk = NoticeDesk(broker.registry, submitter, channels_of(settings), metrics)
    return Watchman(broker, board, desk, metrics, limits=limits, history=view.conditions if view else None)


def channels_of(settings: DispatcherSettings) -> list[Channel]:
    """Return the channels that are set."""
    channels: list[Channel] = []
    if settings.notices_email:
        channels.append(EmailChannel(settings.notices_email))
    if settings.notices_webhook:
        channels.append(WebhookChannel(settings.notices_webhook, settings.webhook_keys, DEFAULT_TENANT))
    if settings.notices_notify:
        channels.append(NotifyChannel())
    return channels
