"""Builds the services that the routes use, and the tasks that run behind them."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import anyio
from msgspec import Struct

from millstream_history import History, open_history
from millstream_ingest.events.hub import EventHub
from millstream_ingest.http.body_reader import BodyReader
from millstream_ingest.http.refusal_log import RefusalLog
from millstream_ingest.inspection.bulk_operations import BulkOperations
from millstream_ingest.inspection.dead_letters import DeadLetters
from millstream_ingest.inspection.history_lag import HistoryLag
from millstream_ingest.inspection.job_searcher import JobSearcher
from millstream_ingest.inspection.jobs import JobLister
from millstream_ingest.inspection.past_jobs import PastJobs
from millstream_ingest.inspection.queues import QueueStats
from millstream_ingest.inspection.stacks import StackReader
from millstream_ingest.inspection.system import SystemDesk
from millstream_ingest.inspection.waiting import SettledWaiter
from millstream_ingest.redis_watch import RedisWatch
from millstream_ingest.schedules.backfill_desk import BackfillDesk
from millstream_ingest.schedules.schedule_desk import ScheduleDesk
from millstream_ingest.settings import IngestSettings
from millstream_ingest.submission.batch import BatchSubmitter
from millstream_ingest.submission.single import Submitter
from millstream_ingest.webhooks.endpoint_desk import EndpointDesk
from millstream_runtime import HealthReport, unwrapped
from millstream_streams import Broker, open_broker
from millstream_submission import Admission, GroupCommitter, KnownQueues, TypeCatalogue
from millstream_submission.group_commit import ANSWER_WITHIN_S
from millstream_telemetry import IngestMetrics, JobTracer, MetricRegistry, RedisMetrics

MAX_CONNECTIONS = 32
"""The number of connections to Redis, on a cluster to each node. Group commit needs a few, a list of queues sixteen on
a cluster; reads and waits share the rest."""

PATIENCE_S = 0.5
"""How long a call is repeated that Redis has refused or cut off, so that a client has a response within a second."""


HISTORY_CONNECTIONS = 8
"""The number of connections to the history database: searches take some of them, and reads of one job the rest."""

HISTORY_WITHIN_S = 0.8
"""How long a read of the history may take, so that a client has a response within a second."""


class Services(Struct, frozen=True, kw_only=True):
    """The services that the routes of one ingest process use."""

    settings: IngestSettings
    broker: Broker
    history: History | None
    """None where the settings name no database."""
    body_reader: BodyReader
    submitter: Submitter
    batch_submitter: BatchSubmitter
    committer: GroupCommitter
    lister: JobLister
    past_jobs: PastJobs
    searcher: JobSearcher
    history_lag: HistoryLag
    dead_letters: DeadLetters
    bulk_operations: BulkOperations
    endpoints: EndpointDesk
    schedule_desk: ScheduleDesk
    backfill_desk: BackfillDesk
    queue_stats: QueueStats
    catalogue: TypeCatalogue
    waiter: SettledWaiter
    events: EventHub
    stacks: StackReader
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
        history = await stack.enter_async_context(_open_history(settings.history_url)) if settings.history_url else None
        broker = await stack.enter_async_context(
            open_broker(
                settings.redis,
                namespace=settings.namespace,
                patience_s=PATIENCE_S,
                max_connections=MAX_CONNECTIONS,
                answer_within_s=ANSWER_WITHIN_S,
                observer=RedisMetrics(registry),
            )
        )
        background = await stack.enter_async_context(anyio.create_task_group())
        watch = RedisWatch(broker)
        committer = GroupCommitter(
            broker.store,
            KnownQueues(broker.registry),
            max_backlog_jobs=settings.max_backlog_jobs,
            is_away=lambda: watch.is_away,
            observe=metrics.observe_enqueue,
        )
        await stack.enter_async_context(committer)
        services = _assemble(
            settings, broker, committer, watch, tracer, history=history, registry=registry, metrics=metrics
        )
        await watch.look()
        background.start_soon(watch.run)
        background.start_soon(services.waiter.run)
        background.start_soon(services.events.run)
        # Before the broker is closed and after the last submission is stored.
        stack.callback(background.cancel_scope.cancel)
        yield services


def _open_history(url: str) -> AbstractAsyncContextManager[History]:
    return open_history(url, connections=HISTORY_CONNECTIONS, read_within_s=HISTORY_WITHIN_S)


def _assemble(
    settings: IngestSettings,
    broker: Broker,
    committer: GroupCommitter,
    watch: RedisWatch,
    tracer: JobTracer,
    *,
    history: History | None,
    registry: MetricRegistry,
    metrics: IngestMetrics,
) -> Services:
    catalogue = TypeCatalogue(broker.registry, registry)
    admission = Admission(settings.unknown_types)
    lag = HistoryLag(broker)
    lister, refusals, clock = JobLister(broker), RefusalLog(), broker.clock
    submitter = Submitter(catalogue, admission, tracer, committer, broker.views, metrics, clock=clock)
    return Services(
        settings=settings,
        broker=broker,
        history=history,
        body_reader=BodyReader(settings.max_batch_body_bytes),
        submitter=submitter,
        batch_submitter=BatchSubmitter(catalogue, admission, tracer, committer, metrics, refusals, clock=clock),
        committer=committer,
        lister=lister,
        past_jobs=PastJobs(broker, history),
        searcher=JobSearcher(broker, lag, tracer, metrics),
        history_lag=lag,
        bulk_operations=BulkOperations(broker),
        dead_letters=DeadLetters(broker, lister, tracer, metrics, refusals),
        endpoints=EndpointDesk(submitter, settings.webhook_keys, settings.networks),
        schedule_desk=ScheduleDesk(broker, catalogue, admission, submitter),
        backfill_desk=BackfillDesk(broker),
        queue_stats=QueueStats(broker, catalogue, due_soon_s=settings.due_soon_s),
        catalogue=catalogue,
        waiter=SettledWaiter(broker),
        events=EventHub(broker, broker.live_feed(), metrics, max_listeners=settings.max_listeners),
        stacks=StackReader(broker),
        system=SystemDesk(broker, history, lag),
        watch=watch,
        refusals=refusals,
        tracer=tracer,
        metrics=metrics,
        registry=registry,
        health=HealthReport("ingest", live=watch.live, ready=watch.ready),
    )
