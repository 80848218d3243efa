"""Builds the duties of a dispatcher from its settings."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from msgspec import Struct

from millstream_contracts import DEFAULT_TENANT, JobType
from millstream_dispatcher.audit_historian import AuditHistorian
from millstream_dispatcher.batches.auditor import BatchAuditor
from millstream_dispatcher.batches.starter import BatchStarter
from millstream_dispatcher.budget_keeper import BudgetKeeper
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_dispatcher.dead_counter import DeadCounter
from millstream_dispatcher.dormancy_keeper import DormancyKeeper, QuietQueues
from millstream_dispatcher.expirer import Expirer
from millstream_dispatcher.flow_teller import FlowTeller
from millstream_dispatcher.linker import Linker
from millstream_dispatcher.messenger import Messenger
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
from millstream_dispatcher.schedules.zone_reviser import ZoneReviser
from millstream_dispatcher.settings import DispatcherSettings
from millstream_dispatcher.tenants.tenant_book import TenantBook
from millstream_dispatcher.tenants.tenant_keeper import TenantKeeper
from millstream_dispatcher.webhooks.delivery_maker import DeliveryMaker
from millstream_dispatcher.webhooks.delivery_watch import DeliveryWatch
from millstream_dispatcher.webhooks.endpoint_book import EndpointBook
from millstream_dispatcher.webhooks.herald import Herald
from millstream_dispatcher.workflows.auditor import WorkflowAuditor
from millstream_dispatcher.workflows.closer import WorkflowCloser
from millstream_dispatcher.workflows.recorder import WorkflowRecorder
from millstream_dispatcher.workflows.starter import WorkflowStarter
from millstream_history import History
from millstream_runtime import Duty, HealthCheck, Service, Wake
from millstream_streams import (
    AWAITED_S,
    BATCHES_TYPE,
    SCHEDULES_TYPE,
    WEBHOOKS_GROUP,
    WORKFLOWS_TYPE,
    Broker,
    consumer_name,
)
from millstream_submission import Admission, Dependencies, Intake, KnownQueues, SystemSubmitter, TypeCatalogue
from millstream_telemetry import (
    AuditMetrics,
    BatchMetrics,
    ConflictMetrics,
    DispatcherMetrics,
    HistoryMetrics,
    MetricRegistry,
    NoticeMetrics,
    OperationMetrics,
    ScheduleMetrics,
    TenantMetrics,
    WebhookMetrics,
    WorkflowMetrics,
)


class Duties(Struct, frozen=True):
    """The duties of a dispatcher, and what else says whether it is ready."""

    duties: list[Duty]
    checks: list[Callable[[], HealthCheck]]
    shard_wakes: Mapping[JobType, tuple[Wake, ...]] = {}
    """What a hint about schedules, workflows or batches wakes, by what stands in its tag."""


@asynccontextmanager
async def open_duties(
    service: Service[DispatcherSettings],
    broker: Broker,
    history: History | None,
    due: CheckSchedule,
    outbox: CheckSchedule,
) -> AsyncIterator[Duties]:
    """Yield all duties, and close what they have opened. Those of the history are there only with one."""
    settings, metrics = service.settings, service.metrics
    board, shown = QueueBoard(), HistoryMetrics(metrics) if history else None
    submitter = submitter_of(service, broker)
    tenants = TenantBook(broker.tenants)
    scheduler, starter, surveyor = schedule_duties(service, broker, submitter, tenants)
    closer = WorkflowCloser(broker, service.tracer)
    of_workflows = workflow_duties(service, broker, submitter, closer, awaited_s=AWAITED_S if history else 0.0)
    of_batches = batch_duties(service, broker, submitter)
    own = [*duties_of(settings, broker, metrics, due, outbox, board, closer=closer), scheduler, starter, surveyor]
    own.append(TenantKeeper(broker, tenants, TenantMetrics(metrics), interval_s=settings.gauges_every_s))
    own += [ZoneReviser(broker), BudgetKeeper(broker, tenants)]
    own.append(AuditHistorian(broker, history, AuditMetrics(metrics), kept_days=settings.audit_days))
    wakes = {
        SCHEDULES_TYPE: (scheduler.wake, starter.wake),
        WORKFLOWS_TYPE: (of_workflows[0].wake,),
        BATCHES_TYPE: (of_batches[0].wake,),
    }
    made = Duties([*own, *of_workflows, *of_batches], [], wakes)
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
    return [
        Partitioner(history, broker, shown, kept_days=service.settings.history_days),
        Resyncer(history, broker, shown),
        DeadCounter(history),
        WorkflowRecorder(broker, history, shown),
        Operator(
            history,
            broker,
            OperationMetrics(service.metrics),
            intake=intake_of(service, broker),
            submitter=submitter,
            tracer=service.tracer,
            deletion_settles_s=service.settings.deletion_settles_s,
        ),
    ]


def schedule_duties(
    service: Service[DispatcherSettings], broker: Broker, submitter: SystemSubmitter, tenants: TenantBook
) -> tuple[Scheduler, Starter, ScheduleSurveyor]:
    """Return the duties of schedules: they decide, store the jobs, and count."""
    settings, shown, starts = service.settings, ScheduleMetrics(service.metrics), Wake()
    catalogue = TypeCatalogue(broker.registry, service.metrics)
    return (
        Scheduler(
            broker,
            catalogue,
            submitter,
            shown,
            interval_s=settings.release_every_s,
            starts=starts,
            tenants=tenants,
        ),
        Starter(broker, submitter, service.tracer, shown, interval_s=settings.release_every_s, wake=starts),
        ScheduleSurveyor(broker, shown, interval_s=settings.gauges_every_s),
    )


def workflow_duties(
    service: Service[DispatcherSettings],
    broker: Broker,
    submitter: SystemSubmitter,
    closer: WorkflowCloser,
    *,
    awaited_s: float,
) -> tuple[WorkflowStarter, WorkflowAuditor]:
    """Return the duties of workflows. `awaited_s` is for how long one is kept that the history is to have."""
    settings, shown = service.settings, WorkflowMetrics(service.metrics)
    return (
        WorkflowStarter(broker, submitter, closer, shown, interval_s=settings.release_every_s),
        WorkflowAuditor(broker, shown, interval_s=settings.gauges_every_s, awaited_s=awaited_s),
    )


def batch_duties(
    service: Service[DispatcherSettings], broker: Broker, submitter: SystemSubmitter
) -> tuple[BatchStarter, BatchAuditor]:
    """Return the duties of batches."""
    settings, shown = service.settings, BatchMetrics(service.metrics)
    return (
        BatchStarter(broker, submitter, service.tracer, shown, interval_s=settings.release_every_s),
        BatchAuditor(broker, shown, interval_s=settings.gauges_every_s),
    )


def submitter_of(service: Service[DispatcherSettings], broker: Broker) -> SystemSubmitter:
    """Return what submits the jobs of a dispatcher itself: deliveries and notices."""
    return SystemSubmitter(
        broker.store,
        KnownQueues(broker.registry),
        intake_of(service, broker),
        service.tracer,
        clock=broker.clock.now_s,
        conflicted=ConflictMetrics(service.metrics).count_unique_conflict,
    )


def intake_of(service: Service[DispatcherSettings], broker: Broker) -> Intake:
    """Return what admits the jobs of a dispatcher: also those of a type that no worker has registered yet."""
    catalogue = TypeCatalogue(broker.registry, service.metrics)
    return Intake(catalogue, Admission("accept"), broker.templates, clock=broker.clock.now_s)


def duties_of(
    settings: DispatcherSettings,
    broker: Broker,
    metrics: MetricRegistry,
    due: CheckSchedule,
    outbox: CheckSchedule,
    board: QueueBoard | None = None,
    *,
    closer: WorkflowCloser | None = None,
) -> list[Duty]:
    """Return the duties of a dispatcher.

    Hints of scheduled jobs go to `due`, those of settled ones to `outbox`, and what was measured to `board`. `closer`
    is told of workflows that have ended.
    """
    store, registry = broker.store, broker.registry
    expiring = CheckSchedule(registry, settings.expire_every_s)
    blocked = CheckSchedule(registry, settings.link_every_s)
    shown = DispatcherMetrics(metrics)
    dependencies, quiet = Dependencies(broker.dependencies, broker.views), QuietQueues()
    return [
        Promoter(store, due, shown, interval_s=settings.release_every_s),
        Expirer(store, expiring, shown, interval_s=settings.expire_every_s),
        Messenger(broker.dependencies, FlowTeller(broker, closer), outbox, shown, interval_s=settings.tell_every_s),
        Linker(broker.dependencies, dependencies, blocked, shown, interval_s=settings.link_every_s),
        QueueMetrics(
            store,
            registry,
            broker.clock,
            shown,
            due=due,
            expiring=expiring,
            outbox=outbox,
            blocked=blocked,
            due_soon_s=settings.due_soon_s,
            interval_s=settings.gauges_every_s,
            board=board,
            quiet=quiet,
        ),
        DormancyKeeper(broker, quiet, shown, interval_s=settings.gauges_every_s),
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
    maker = DeliveryMaker(submitter, TypeCatalogue(broker.registry, service.metrics), service.settings.webhook_keys)
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
        schedule_late_after_s=settings.notices_schedule_late_after_s,
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
