"""Builds the services that the routes use, and the tasks that run behind them."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import anyio
from msgspec import Struct

from millstream_history import History, open_history
from millstream_ingest.access.audit_recorder import AuditRecorder
from millstream_ingest.access.client_address import ClientAddresses
from millstream_ingest.access.gate import Gate, KeyGate, OpenGate
from millstream_ingest.access.key_cache import KeyCache
from millstream_ingest.access.key_desk import KeyDesk
from millstream_ingest.access.session_desk import SessionDesk
from millstream_ingest.access.tokens.verifier import TokenVerifier
from millstream_ingest.batches.batch_desk import BatchDesk
from millstream_ingest.control.queue_desk import QueueDesk
from millstream_ingest.events.hub import EventHub
from millstream_ingest.http.body_reader import BodyReader
from millstream_ingest.http.refusal_log import RefusalLog
from millstream_ingest.inspection.bulk_operations import BulkOperations
from millstream_ingest.inspection.dead_letters import DeadLetters
from millstream_ingest.inspection.dependency_reader import DependencyReader
from millstream_ingest.inspection.explainer import Explainer
from millstream_ingest.inspection.history_lag import HistoryLag
from millstream_ingest.inspection.job_searcher import JobSearcher
from millstream_ingest.inspection.jobs import JobLister
from millstream_ingest.inspection.past_jobs import PastJobs
from millstream_ingest.inspection.queues import QueueStats
from millstream_ingest.inspection.stacks import StackReader
from millstream_ingest.inspection.step_reader import StepReader
from millstream_ingest.inspection.system import SystemDesk
from millstream_ingest.inspection.waiting import SettledWaiter
from millstream_ingest.inspection.worker_drain import WorkerDrain
from millstream_ingest.limiting.door import Door
from millstream_ingest.redis_watch import RedisWatch
from millstream_ingest.schedules.backfill_desk import BackfillDesk
from millstream_ingest.schedules.schedule_desk import ScheduleDesk
from millstream_ingest.settings import IngestSettings
from millstream_ingest.submission.batch import BatchSubmitter
from millstream_ingest.submission.signal_sender import SignalSender
from millstream_ingest.submission.single import Submitter
from millstream_ingest.templates.template_desk import TemplateDesk
from millstream_ingest.tenants.held_tenants import HeldTenants
from millstream_ingest.tenants.quotas import QuotaIntake, Quotas
from millstream_ingest.tenants.tenant_desk import TenantDesk
from millstream_ingest.webhooks.endpoint_desk import EndpointDesk
from millstream_ingest.workflows.checked_workflow import WorkflowChecker
from millstream_ingest.workflows.workflow_desk import WorkflowDesk
from millstream_runtime import HealthReport, codec_of, unwrapped
from millstream_streams import Broker, open_broker
from millstream_submission import Admission, Dependencies, GroupCommitter, KnownQueues, Members, TypeCatalogue
from millstream_telemetry import CodecMetrics, IngestMetrics, JobTracer, MetricRegistry, RedisMetrics

MAX_CONNECTIONS = 32
"""The number of connections to Redis, on a cluster to each node. Group commit needs a few, a list of queues sixteen on
a cluster; reads and waits share the rest."""

PATIENCE_S = 0.5
"""How long a call is repeated that Redis has refused or cut off, so that a client has a response within a second."""


HISTORY_CONNECTIONS = 8
"""The number of connections to the history database: searches take some of them, and reads of one job the rest."""


class Services(Struct, frozen=True, kw_only=True):
    """The services that the routes of one ingest process use."""

    settings: IngestSettings
    gate: Gate
    addresses: ClientAddresses
    key_cache: KeyCache
    tokens: TokenVerifier
    key_desk: KeyDesk
    tenant_desk: TenantDesk
    audit_recorder: AuditRecorder
    door: Door
    session_desk: SessionDesk
    broker: Broker
    history: History | None
    """None where the settings name no database."""
    body_reader: BodyReader
    submitter: Submitter
    batch_submitter: BatchSubmitter
    committer: GroupCommitter
    lister: JobLister
    past_jobs: PastJobs
    dependency_reader: DependencyReader
    explainer: Explainer
    step_reader: StepReader
    signal_sender: SignalSender
    searcher: JobSearcher
    history_lag: HistoryLag
    dead_letters: DeadLetters
    bulk_operations: BulkOperations
    endpoints: EndpointDesk
    schedule_desk: ScheduleDesk
    template_desk: TemplateDesk
    backfill_desk: BackfillDesk
    workflow_desk: WorkflowDesk
    batch_desk: BatchDesk
    queue_stats: QueueStats
    queue_desk: QueueDesk
    catalogue: TypeCatalogue
    waiter: SettledWaiter
    events: EventHub
    stacks: StackReader
    worker_drain: WorkerDrain
    system: SystemDesk
    watch: RedisWatch
    refusals: RefusalLog
    tracer: JobTracer
    metrics: IngestMetrics
    registry: MetricRegistry
    health: HealthReport


@asynccontextmanager
async def open_services(
    settings: IngestSettings, *, tracer: JobTracer, registry: MetricRegistry | None = None
) -> AsyncIterator[Services]:
    """Open the services, and the tasks behind them. Redis may be away; then every request is refused.

    Raises: HistoryUrlError, RedisTlsError, UnsuitableRedisError.
    """
    registry = registry or MetricRegistry()
    metrics = IngestMetrics(registry)
    async with AsyncExitStack() as stack:
        stack.enter_context(unwrapped())
        url = settings.history_url
        history = await stack.enter_async_context(_open_history(settings, url)) if url else None
        broker = await stack.enter_async_context(
            open_broker(
                settings.redis,
                namespace=settings.namespace,
                patience_s=PATIENCE_S,
                max_connections=MAX_CONNECTIONS,
                answer_within_s=settings.redis_timeout_s,
                observer=RedisMetrics(registry),
                codec=codec_of(settings, CodecMetrics(registry, "ingest")),
            )
        )
        background = await stack.enter_async_context(anyio.create_task_group())
        key_cache = KeyCache(broker)
        quotas = Quotas(broker, lambda: key_cache.tenants)
        if settings.asks_for_keys:
            broker.codec.tenants = HeldTenants(lambda: key_cache.tenants)
        watch = RedisWatch(broker, answer_within_s=settings.redis_timeout_s)
        committer = GroupCommitter(
            broker.store,
            KnownQueues(broker.registry),
            max_backlog_jobs=settings.max_backlog_jobs,
            answer_within_s=settings.redis_timeout_s,
            is_away=lambda: watch.is_away,
            admit=quotas.take,
            observe=metrics.observe_enqueue,
        )
        await stack.enter_async_context(committer)
        services = _assemble(
            settings,
            broker,
            committer,
            watch,
            tracer,
            key_cache=key_cache,
            quotas=quotas,
            history=history,
            registry=registry,
            metrics=metrics,
        )
        await watch.look(settings.redis_timeout_s)
        background.start_soon(watch.run)
        background.start_soon(services.waiter.run)
        background.start_soon(services.events.run)
        if settings.asks_for_keys:
            background.start_soon(services.key_cache.run)
            background.start_soon(quotas.run)
            background.start_soon(services.door.run)
            background.start_soon(services.tokens.run)
        # Before the broker is closed and after the last submission is stored.
        stack.callback(background.cancel_scope.cancel)
        yield services


def _open_history(settings: IngestSettings, url: str) -> AbstractAsyncContextManager[History]:
    return open_history(url, connections=HISTORY_CONNECTIONS, read_within_s=settings.history_timeout_s)


def _assemble(
    settings: IngestSettings,
    broker: Broker,
    committer: GroupCommitter,
    watch: RedisWatch,
    tracer: JobTracer,
    *,
    key_cache: KeyCache,
    quotas: Quotas,
    history: History | None,
    registry: MetricRegistry,
    metrics: IngestMetrics,
) -> Services:
    # Half, because the submission that waits for the types needs the rest.
    catalogue = TypeCatalogue(broker.registry, registry, answer_within_s=settings.redis_timeout_s / 2)
    intake = QuotaIntake(catalogue, Admission(settings.unknown_types), broker.templates, clock=broker.clock.now_s)
    intake.quotas = quotas
    lag = HistoryLag(broker)
    lister, refusals, clock = JobLister(broker), RefusalLog(), broker.clock
    past_jobs = PastJobs(broker, history)
    dependencies = Dependencies(broker.dependencies, broker.views, recall=past_jobs.ended_as)
    submitter = Submitter(intake, tracer, committer, broker.views, metrics, clock=clock, dependencies=dependencies)
    batch_submitter = BatchSubmitter(
        intake,
        tracer,
        committer,
        metrics,
        refusals,
        clock=clock,
        dependencies=dependencies,
        views=broker.views,
        members=Members(broker.batches),
    )
    queue_stats = QueueStats(broker, catalogue, due_soon_s=settings.due_soon_s)
    reader = DependencyReader(broker, dependencies)
    addresses = ClientAddresses(settings.proxies, settings.proxy_header)
    tokens = TokenVerifier(settings.issuers, clock, metrics)
    return Services(
        settings=settings,
        gate=KeyGate(key_cache, clock, metrics, tokens, addresses) if settings.asks_for_keys else OpenGate(),
        addresses=addresses,
        key_cache=key_cache,
        key_desk=KeyDesk(broker.api_keys, broker.tenants, clock),
        tenant_desk=TenantDesk(broker),
        tokens=tokens,
        audit_recorder=AuditRecorder(broker.audit_trail, metrics, is_stored=history is not None),
        door=Door(broker.rate_tokens, metrics, settings.key_limits, quotas.limits_of),
        session_desk=SessionDesk(broker.sessions, key_cache, clock),
        broker=broker,
        history=history,
        body_reader=BodyReader(settings.max_batch_body_bytes),
        submitter=submitter,
        batch_submitter=batch_submitter,
        committer=committer,
        lister=lister,
        past_jobs=past_jobs,
        dependency_reader=reader,
        explainer=Explainer(broker, reader, queue_stats),
        step_reader=StepReader(broker.views),
        signal_sender=SignalSender(broker.steps, metrics),
        searcher=JobSearcher(broker, lag, tracer, metrics),
        history_lag=lag,
        bulk_operations=BulkOperations(broker),
        dead_letters=DeadLetters(broker, lister, tracer, metrics, refusals),
        endpoints=EndpointDesk(submitter, settings.webhook_keys, settings.networks, quotas),
        schedule_desk=ScheduleDesk(broker, intake, submitter, quotas),
        template_desk=TemplateDesk(broker.templates, clock),
        backfill_desk=BackfillDesk(broker),
        queue_desk=QueueDesk(broker, catalogue),
        workflow_desk=WorkflowDesk(broker, WorkflowChecker(intake, clock=broker.clock.now_s), tracer, history),
        batch_desk=BatchDesk(broker, intake, batch_submitter, tracer),
        queue_stats=queue_stats,
        catalogue=catalogue,
        waiter=SettledWaiter(broker),
        events=EventHub(broker, broker.live_feed(), metrics, max_listeners=settings.max_listeners),
        stacks=StackReader(broker),
        worker_drain=WorkerDrain(broker.registry),
        system=SystemDesk(broker, history, lag),
        watch=watch,
        refusals=refusals,
        tracer=tracer,
        metrics=metrics,
        registry=registry,
        health=HealthReport("ingest", live=watch.live, ready=watch.ready),
    )
