"""Builds the parts of a worker that the kit uses, over the broker in memory."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from millstream.handler import Handler
from millstream_contracts import DEFAULT_TENANT, JobType
from millstream_streams import Broker
from millstream_submission import Admission, Dependencies, Intake, KnownQueues, Members, SystemSubmitter, TypeCatalogue
from millstream_telemetry import JobTracer, MetricRegistry, WorkerMetrics
from millstream_testing.running.kit_caller import KitCaller
from millstream_testing.running.running_reader import Follow, RunningReader
from millstream_workers.assembly import queues_of
from millstream_workers.children.call_desk import CallDesk
from millstream_workers.children.child_jobs import ChildSubmitter
from millstream_workers.children.running_parent import ParentMaker
from millstream_workers.children.step_keeper import StepKeeper
from millstream_workers.death_announcer import DeathAnnouncer
from millstream_workers.fetching.release_finder import ReleaseFinder
from millstream_workers.running.clean_context import CleanContext
from millstream_workers.running.executor import Executor
from millstream_workers.running.gatherer import Gatherer
from millstream_workers.serving import Served
from millstream_workers.settings import WorkerSettings


class RunnerParts(Struct, frozen=True, kw_only=True):
    """What submits and runs jobs, as in a worker."""

    settings: WorkerSettings
    handlers: Mapping[JobType, Handler]
    broker: Broker
    tracer: JobTracer
    queues: KnownQueues
    catalogue: TypeCatalogue
    intake: Intake
    dependencies: Dependencies
    parents: ParentMaker
    executor: Executor
    gatherer: Gatherer
    announcer: DeathAnnouncer
    submitter: SystemSubmitter
    """Submits what schedules start."""
    clean: CleanContext
    """The context in which each handler starts."""


def runner_parts(
    broker: Broker,
    handlers: Mapping[JobType, Handler],
    states: Mapping[JobType, Any],
    caller: KitCaller,
    follow: Follow,
) -> RunnerParts:
    """Return the parts; to be called on the event loop, once the states are open.

    `follow` runs the job that a handler waits for. Types that the app does not handle are accepted: another code base
    may handle them.
    """
    settings, metrics, tracer = WorkerSettings(), MetricRegistry(), JobTracer(None)
    metrics.register_types(handlers)
    queues, clean = KnownQueues(broker.registry), CleanContext()
    own = [handler.registration() for handler in handlers.values()]
    catalogue = TypeCatalogue(broker.registry, metrics, own=own)
    now_s = broker.clock.now_s
    intake = Intake(catalogue, Admission("accept"), broker.templates, clock=now_s)
    dependencies = Dependencies(broker.dependencies, broker.views)
    children = ChildSubmitter(
        broker.store,
        queues,
        intake,
        tracer,
        DEFAULT_TENANT,
        clock=now_s,
        dependencies=dependencies,
        members=Members(broker.batches),
    )
    worker_metrics = WorkerMetrics(metrics)
    steps = StepKeeper(broker.steps, broker.views, worker_metrics)
    calls = CallDesk(children, steps, broker.steps, broker.views, DEFAULT_TENANT)
    parents = ParentMaker(children, RunningReader(broker, follow), steps, calls)
    gatherer = Gatherer(
        limit=settings.concurrency,
        lease_s=settings.lease_s,
        cleanup_s=settings.cleanup_s,
        clean=clean,
        metrics=worker_metrics,
        tracer=tracer,
        states=states,
        is_timed=False,
    )
    caller.gather_with(gatherer)
    on_dead = {type_: handler.policy.on_dead for type_, handler in handlers.items() if handler.policy.on_dead}
    return RunnerParts(
        settings=settings,
        handlers=handlers,
        broker=broker,
        tracer=tracer,
        queues=queues,
        catalogue=catalogue,
        intake=intake,
        dependencies=dependencies,
        parents=parents,
        executor=Executor(
            handlers,
            caller=caller,
            metrics=worker_metrics,
            tracer=tracer,
            parents=parents,
            states=states,
            clean=clean,
            releases=ReleaseFinder(broker.store, broker.registry, handlers, code_version=""),
            logs_messages=True,
        ),
        gatherer=gatherer,
        announcer=DeathAnnouncer(
            broker,
            queues,
            catalogue,
            tracer,
            Served((DEFAULT_TENANT,)),
            on_dead=on_dead,
            known=queues_of(DEFAULT_TENANT, handlers),
        ),
        submitter=SystemSubmitter(broker.store, queues, intake, tracer, clock=now_s),
        clean=clean,
    )
