"""Builds the parts of a worker from its settings."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, NoReturn

from msgspec import Struct

from millstream.handler import Handler
from millstream.schedules import take_schedules
from millstream_contracts import JobState, JobType, Queue, Tenant
from millstream_runtime import DutyRunner, Pulse
from millstream_streams import Broker, ReadyReader, StoreUnavailableError, consumer_name
from millstream_submission import Admission, Dependencies, Intake, KnownQueues, Members, TypeCatalogue
from millstream_telemetry import DutyMetrics, JobTracer, MetricRegistry, WorkerMetrics, configured_logs
from millstream_workers.children.call_desk import CallDesk
from millstream_workers.children.child_jobs import ChildSubmitter
from millstream_workers.children.child_reader import ChildReader
from millstream_workers.children.running_parent import ParentMaker, TenantParents
from millstream_workers.children.step_keeper import StepKeeper
from millstream_workers.children.wait_limit import WaitLimit
from millstream_workers.death_announcer import DeathAnnouncer
from millstream_workers.enroller import Enroller
from millstream_workers.fetching.fetcher import Fetcher
from millstream_workers.fetching.partition_finder import PartitionFinder
from millstream_workers.fetching.release_finder import ReleaseFinder
from millstream_workers.fetching.slots import Slots
from millstream_workers.isolation.process_pool import ProcessPool
from millstream_workers.keeping.holder import Holder
from millstream_workers.keeping.lease_keeper import LeaseKeeper
from millstream_workers.keeping.loop_watch import LoopWatch
from millstream_workers.pipeline import Pipeline
from millstream_workers.registrar import Registrar
from millstream_workers.running.calling import Caller
from millstream_workers.running.clean_context import CleanContext
from millstream_workers.running.executor import Executor
from millstream_workers.running.gatherer import Gatherer
from millstream_workers.schedule_declarer import ScheduleDeclarer
from millstream_workers.settings import WorkerSettings

SILENT_READ_S = 15.0
"""A blocking read that a silent Redis never answers ends well within this time, and leaves the worker live."""

Handlers = Mapping[JobType, Handler]


class WorkerParts(Struct, frozen=True, kw_only=True):
    """The parts of a worker."""

    name: str
    """The name of this worker in Redis."""
    slots: Slots
    pulse: Pulse
    """Beats whenever the worker claims."""
    reader: ReadyReader
    fetcher: Fetcher
    leases: LeaseKeeper
    loop_watch: LoopWatch
    executor: Executor
    gatherer: Gatherer
    pipeline: Pipeline
    processes: ProcessPool
    registrar: Registrar
    announcer: DeathAnnouncer
    duties: DutyRunner
    heed_queues: Callable[[], Coroutine[Any, Any, NoReturn]]
    """Has further queues read as soon as they have jobs."""
    metrics: WorkerMetrics


def queues_of(tenant: Tenant, handlers: Handlers) -> list[Queue]:
    """Return the queues that hold the jobs of these handlers."""
    return [
        Queue(tenant, job_type, partition)
        for job_type, handler in handlers.items()
        for partition in range(handler.policy.partitions)
    ]


class Assembly(Struct, frozen=True, kw_only=True):
    """The values from which the parts of a worker are built."""

    settings: WorkerSettings
    handlers: Handlers
    broker: Broker
    registry: MetricRegistry
    tracer: JobTracer
    states: Mapping[JobType, Any]
    """The state for the handler of each type, as a lifespan has yielded it."""
    release: str

    def build(self) -> WorkerParts:
        """Return the parts, none of which is started. Call it on the event loop, before any job runs."""
        settings, store, name = self.settings, self.broker.store, consumer_name()
        clean, slots, metrics = CleanContext(), Slots(settings.concurrency), WorkerMetrics(self.registry)
        metrics.watch_slots(settings.concurrency, lambda: min(slots.busy, settings.concurrency))
        leases, processes = (
            LeaseKeeper(settings, name, asyncio.get_running_loop()),
            ProcessPool(settings.app_refs, line_bytes=settings.log_lines_bytes),
        )
        tracer, queues = self.tracer.of_client(name), self._known_queues()
        submission = self._submission()
        gatherer = self._gatherer(clean, metrics, tracer)
        executor = self._executor(Caller(settings.concurrency, processes, gatherer), metrics, clean, tracer, submission)
        announcer = self._announcer(tracer, queues, submission)
        holder = Holder(self.broker.settings, queues)
        pipeline = Pipeline(
            settings,
            store,
            worker=name,
            slots=slots,
            leases=leases,
            executor=executor,
            metrics=metrics,
            clean=clean,
            buried=announcer.heed,
            link=Dependencies(self.broker.dependencies, self.broker.views).link,
            holder=holder,
        )
        pulse, reader = Pulse("intake", max(3 * settings.lease_s, SILENT_READ_S)), self.broker.reader()
        fetcher = Fetcher(
            store,
            reader,
            queues,
            consumer=name,
            slots=slots,
            weights=settings.weights,
            pulse=pulse,
            accept=pipeline.accept,
            decline=pipeline.decline,
            count_expired=lambda queue, n: metrics.count_finished(queue.type, JobState.EXPIRED, n),
        )
        loop_watch = LoopWatch(settings.blocked_loop_s, pipeline.running, metrics)
        registrar = self._registrar(name, queues, pipeline, loop_watch)
        enroller = Enroller(
            self.broker.registry,
            self.handlers,
            known=queues,
            registrar=registrar,
            announcer=announcer,
            holder=holder,
            fetcher=fetcher,
            reader=reader,
        )
        finder = PartitionFinder(
            self.broker.registry,
            settings.served,
            self.handlers.keys(),
            is_known=enroller.knows,
            found=enroller.enroll,
            keep=enroller.keep,
        )
        return WorkerParts(
            name=name,
            slots=slots,
            pulse=pulse,
            reader=reader,
            fetcher=fetcher,
            leases=leases,
            loop_watch=loop_watch,
            executor=executor,
            gatherer=gatherer,
            pipeline=pipeline,
            processes=processes,
            registrar=registrar,
            announcer=announcer,
            duties=self._duties(registrar, announcer, finder),
            heed_queues=partial(self.broker.listen_queues, finder.hint, finder.look_again),
            metrics=metrics,
        )

    def _known_queues(self) -> list[Queue]:
        return [queue for tenant in self.settings.served.known for queue in queues_of(tenant, self.handlers)]

    def _gatherer(self, clean: CleanContext, metrics: WorkerMetrics, tracer: JobTracer) -> Gatherer:
        settings = self.settings
        gatherer = Gatherer(
            limit=settings.concurrency,
            lease_s=settings.lease_s,
            cleanup_s=settings.cleanup_s,
            clean=clean,
            metrics=metrics,
            tracer=tracer,
            states=self.states,
        )
        gatherer.check(self.handlers)
        return gatherer

    def _executor(
        self,
        caller: Caller,
        metrics: WorkerMetrics,
        clean: CleanContext,
        tracer: JobTracer,
        submission: tuple[KnownQueues, TypeCatalogue],
    ) -> Executor:
        settings, broker, logs = self.settings, self.broker, configured_logs()
        return Executor(
            self.handlers,
            caller=caller,
            metrics=metrics,
            tracer=tracer,
            parents=self._parents(tracer, submission, metrics),
            states=self.states,
            clean=clean,
            releases=ReleaseFinder(broker.store, broker.registry, self.handlers, code_version=settings.code_version),
            logs_messages=settings.log_error_messages or (logs is not None and logs.is_terminal),
            line_bytes=settings.log_lines_bytes,
            codec=broker.codec,
        )

    def _submission(self) -> tuple[KnownQueues, TypeCatalogue]:
        """Return what this worker knows of queues and types when it submits jobs."""
        own = [handler.registration(self.settings.code_version) for handler in self.handlers.values()]
        registry = self.broker.registry
        return KnownQueues(registry), TypeCatalogue(registry, self.registry, own=own)

    def _parents(
        self, tracer: JobTracer, submission: tuple[KnownQueues, TypeCatalogue], metrics: WorkerMetrics
    ) -> TenantParents:
        broker, (queues, catalogue) = self.broker, submission
        clock, limit = broker.clock.now_s, WaitLimit(self.settings.concurrency)
        intake = Intake(catalogue, Admission(self.settings.unknown_types), broker.templates, clock=clock)
        steps = StepKeeper(broker.steps, broker.views, metrics, broker.codec)

        def parents_of(tenant: Tenant) -> ParentMaker:
            submitter = ChildSubmitter(
                broker.store,
                queues,
                intake,
                tracer,
                tenant,
                clock=clock,
                dependencies=Dependencies(broker.dependencies, broker.views),
                members=Members(broker.batches),
                conflicted=metrics.count_unique_conflict,
            )
            reader = ChildReader(
                broker.store,
                broker.views,
                tenant,
                limit,
                cancelled=lambda job: metrics.count_finished(job.type, job.state),
            )
            calls = CallDesk(submitter, steps, broker.steps, broker.views, tenant)
            return ParentMaker(submitter, reader, steps, calls)

        return TenantParents(parents_of)

    def _announcer(
        self, tracer: JobTracer, queues: list[Queue], submission: tuple[KnownQueues, TypeCatalogue]
    ) -> DeathAnnouncer:
        policies = {job_type: handler.policy for job_type, handler in self.handlers.items()}
        on_dead = {job_type: policy.on_dead for job_type, policy in policies.items() if policy.on_dead}
        return DeathAnnouncer(self.broker, *submission, tracer, self.settings.served, on_dead=on_dead, known=queues)

    def _registrar(self, name: str, queues: list[Queue], pipeline: Pipeline, loop_watch: LoopWatch) -> Registrar:
        settings = self.settings
        return Registrar(
            self.broker.registry,
            self.broker.settings,
            self.broker.budgets,
            name=name,
            served=self.settings.served,
            handlers=self.handlers,
            queues=queues,
            concurrency=settings.concurrency,
            running=pipeline.running,
            loop_lag_ms=loop_watch.worst_lag_ms,
            interval_s=settings.beat_every_s,
            code_version=settings.code_version,
            release=self.release,
        )

    def _declarer(self, registrar: Registrar) -> ScheduleDeclarer:
        handlers = self.handlers.values()
        return ScheduleDeclarer(
            self.broker,
            self.settings.served.known,
            take_schedules([schedule for handler in handlers for schedule in handler.schedules]),
            apps={handler.app for handler in handlers},
            release=self.settings.code_version or self.release,
            started_at_ms=lambda: registrar.started_at_ms,
        )

    def _duties(self, registrar: Registrar, announcer: DeathAnnouncer, finder: PartitionFinder) -> DutyRunner:
        metrics = DutyMetrics(self.registry, "workers")
        return DutyRunner(
            [registrar, finder, self._declarer(registrar), *([announcer] if announcer.on_dead else [])],
            metrics,
            needs={"redis": StoreUnavailableError},
        )
