"""What each service measures, grouped by service; `every_service.py` has what all of them do.

Names, labels and buckets come from `names.py`.
"""

import math
import os
import resource
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from millstream_contracts import Demand, JobState, QueueStatus
from millstream_telemetry import names
from millstream_telemetry.metrics.gauge_table import GaugeTable
from millstream_telemetry.metrics.registry import ByType, MetricRegistry

_STATM = Path("/proc/self/statm")
_PAGE_BYTES = resource.getpagesize()


class IngestMetrics:
    """Submissions and searches."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._submitted = ByType(registry.counter(names.JOBS_SUBMITTED), registry, values=names.SUBMISSION_OUTCOMES)
        self._finished = ByType(registry.counter(names.JOBS_FINISHED), registry, values=(JobState.CANCELLED,))
        self._enqueue = registry.histogram(names.ENQUEUE)
        self._batch_size = registry.histogram(names.ENQUEUE_BATCH)
        self._live_listeners = registry.gauge(names.LIVE_LISTENERS)
        self._live_gaps = registry.counter(names.LIVE_GAPS)
        self._searches = registry.histogram(names.SEARCH_SECONDS)

    def count_submitted(self, job_type: str, outcome: str, n: int = 1) -> None:
        """Count n submissions. Outcomes: `names.SUBMISSION_OUTCOMES`."""
        self._submitted.of(job_type, outcome).inc(n)

    def count_finished(self, job_type: str, state: JobState, n: int = 1) -> None:
        """Count n jobs that a request brought to rest."""
        self._finished.of(job_type, state).inc(n)

    def observe_enqueue(self, outcome: str, seconds: float, jobs: int) -> None:
        """Observe one call that stored, or failed to store, some jobs. Outcomes: `names.ENQUEUE_OUTCOMES`."""
        self._enqueue.labels(outcome).observe(seconds)
        self._batch_size.observe(jobs)

    def show_live_listeners(self, count: int) -> None:
        """Show how many clients follow events."""
        self._live_listeners.set(count)

    def count_live_gap(self) -> None:
        """Count a time that a client was too slow for its events."""
        self._live_gaps.inc()

    def observe_search(self, way: str, outcome: str, seconds: float) -> None:
        """Observe one search. Ways: `names.SEARCH_WAYS`; outcomes: `names.SEARCH_OUTCOMES`."""
        self._searches.labels(way, outcome).observe(seconds)


class OperationMetrics:
    """Operations on many jobs."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._jobs = registry.counter(names.OPERATION_JOBS)

    def count(self, kind: str, *, done: int, refused: int) -> None:
        """Count jobs that an operation has done and refused. Kinds: those of operations."""
        self._jobs.labels(kind, "done").inc(done)
        self._jobs.labels(kind, "refused").inc(refused)


class WorkerMetrics:
    """Attempts, and the state of the worker process."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._finished = ByType(
            registry.counter(names.JOBS_FINISHED),
            registry,
            values=(JobState.SUCCEEDED, JobState.CANCELLED, JobState.EXPIRED, JobState.DEAD),
        )
        self._attempts = ByType(registry.counter(names.JOB_ATTEMPTS), registry, values=names.ATTEMPT_OUTCOMES)
        self._queue_waits = ByType(registry.histogram(names.JOB_QUEUE_WAIT), registry)
        self._runs = ByType(registry.histogram(names.JOB_RUN), registry)
        self._slots = registry.gauge(names.WORKER_SLOTS)
        self._slots_busy = registry.gauge(names.WORKER_SLOTS_BUSY)
        self._loop_lag = registry.histogram(names.WORKER_LOOP_LAG)
        self._loop_blocked = ByType(registry.counter(names.LOOP_BLOCKED), registry)
        registry.gauge(names.WORKER_RSS).set_function(rss_bytes)

    def count_attempts(self, job_type: str, outcome: str, n: int = 1) -> None:
        """Count n deliveries that ended. Outcomes: `names.ATTEMPT_OUTCOMES`."""
        self._attempts.of(job_type, outcome).inc(n)

    def count_finished(self, job_type: str, state: JobState, n: int = 1) -> None:
        """Count n jobs that came to rest."""
        self._finished.of(job_type, state).inc(n)

    def observe_queue_wait(self, job_type: str, seconds: float, exemplar: str = "") -> None:
        """Observe how long a job was ready; `exemplar` is the id of its trace, when that is recorded."""
        self._queue_waits.of(job_type).observe(seconds, exemplar)

    def observe_run(self, job_type: str, seconds: float, exemplar: str = "") -> None:
        """Observe how long a handler ran; `exemplar` as above."""
        self._runs.of(job_type).observe(seconds, exemplar)

    def observe_loop_lag(self, seconds: float) -> None:
        """Observe how late the event loop ran something."""
        self._loop_lag.observe(seconds)

    def count_blocked(self, job_type: str) -> None:
        """Count an attempt whose handler has blocked the event loop."""
        self._loop_blocked.of(job_type).inc()

    def watch_slots(self, total: int, busy: Callable[[], float]) -> None:
        """Show how many jobs may run at once, and how many do; `busy` is called at each scrape."""
        self._slots.set(total)
        self._slots_busy.set_function(busy)


class DispatcherMetrics:
    """The queues, as their own counters have them, and what was expired.

    Every replica shows the same queues: query them with `max by`.
    """

    def __init__(self, registry: MetricRegistry) -> None:
        self._registry = registry
        self._jobs = GaugeTable(registry.gauge(names.QUEUE_JOBS))
        self._oldest_ready = GaugeTable(registry.gauge(names.QUEUE_OLDEST_READY))
        self._paused = GaugeTable(registry.gauge(names.QUEUE_PAUSED))
        self._dead = GaugeTable(registry.gauge(names.DEAD_JOBS))
        self._oldest_dead = GaugeTable(registry.gauge(names.DEAD_OLDEST))
        self._demand = DemandGauges(registry)
        self._finished = ByType(registry.counter(names.JOBS_FINISHED), registry, values=(JobState.EXPIRED,))

    def know_types(self, job_types: Iterable[str]) -> None:
        """Show these types under their own names from now on."""
        self._registry.register_types(job_types)

    def count_finished(self, job_type: str, state: JobState, n: int = 1) -> None:
        """Count n jobs that the dispatcher brought to rest."""
        self._finished.of(job_type, state).inc(n)

    def publish(self, queues: Iterable[QueueStatus]) -> None:
        """Show these queues and no others. Those of one type, in several tenants, are taken together."""
        jobs: dict[tuple[str, ...], float] = defaultdict(float)
        oldest_ready: dict[tuple[str, ...], float] = defaultdict(float)
        paused: dict[tuple[str, ...], float] = defaultdict(float)
        dead: dict[tuple[str, ...], float] = defaultdict(float)
        oldest_dead: dict[tuple[str, ...], float] = defaultdict(float)
        for queue in queues:
            key = (queue.type,)
            for labels, count in _counts(queue):
                jobs[labels] += count
            oldest_ready[key] = max(oldest_ready[key], queue.oldest_ready_age_s)
            paused[key] = max(paused[key], float(queue.paused))
            dead[key] += queue.dead
            oldest_dead[key] = max(oldest_dead[key], queue.oldest_dead_age_s)
        self._jobs.replace(jobs)
        self._oldest_ready.replace(oldest_ready)
        self._paused.replace(paused)
        self._dead.replace(dead)
        self._oldest_dead.replace(oldest_dead)

    def publish_demand(self, by_type: Mapping[str, Demand], fleet: Demand, workers: int) -> None:
        """Show the demand of these types and no others, that of all together, and how many workers there are."""
        self._demand.show(by_type, fleet, workers)


class DemandGauges:
    """How many workers there should be, of each type and of all types together."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._registry = registry
        self._jobs = GaugeTable(registry.gauge(names.DEMAND_JOBS))
        self._slots = GaugeTable(registry.gauge(names.DEMAND_SLOTS))
        self._wanted = GaugeTable(registry.gauge(names.WANTED_WORKERS))

    def show(self, by_type: Mapping[str, Demand], fleet: Demand, workers: int) -> None:
        """Show this demand and no other."""
        self._jobs.replace(
            {(one, state): getattr(demand, state) for one, demand in by_type.items() for state in names.DEMAND_STATES}
        )
        self._slots.replace({(one,): demand.slots for one, demand in by_type.items()})
        self._wanted.replace({(one,): demand.wanted_workers for one, demand in by_type.items()})
        # Made now and not before: a gauge without labels begins at 0, and an autoscaler would take that for the demand.
        self._registry.gauge(names.FLEET_WORKERS).set(workers)
        self._registry.gauge(names.FLEET_SLOTS).set(fleet.slots)
        self._registry.gauge(names.FLEET_WANTED_WORKERS).set(fleet.wanted_workers)


class HistoryMetrics:
    """How far the history database is behind, and how far ahead it has partitions."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._lag = registry.gauge(names.HISTORY_LAG)
        self.lag_s = math.nan
        """What was shown last."""
        self._days_ahead = registry.gauge(names.HISTORY_DAYS_AHEAD)
        self._gaps = registry.gauge(names.HISTORY_GAPS)
        self.show_lag(math.nan)
        self.show_days_ahead(math.nan)

    def show_gaps(self, queues: int) -> None:
        """Show how many queues have lost events, and wait for their jobs to be read again."""
        self._gaps.set(queues)

    def show_days_ahead(self, days: float) -> None:
        """Show for how many days from tomorrow on there are partitions; NaN where that is not known."""
        self._days_ahead.set(days)

    def show_lag(self, seconds: float) -> None:
        """Show how old the oldest event is that was just stored, or waits for it; NaN where that is not known."""
        self.lag_s = seconds
        self._lag.set(seconds)


class WebhookMetrics:
    """What went to webhooks, and how many endpoints there are."""

    def __init__(self, registry: MetricRegistry) -> None:
        counter = registry.counter(names.WEBHOOK_EVENTS)
        self._events = {recipient: counter.labels(recipient) for recipient in names.WEBHOOK_RECIPIENTS}
        self._endpoints = registry.gauge(names.WEBHOOK_ENDPOINTS)
        self.show_endpoints([])

    def count_event(self, recipient: str) -> None:
        """Count an event that is delivered to an `endpoint` or a `callback`."""
        self._events[recipient].inc()

    def show_endpoints(self, enabled: Iterable[bool]) -> None:
        """Show how many endpoints there are; each item says whether one is enabled."""
        states = Counter("enabled" if one else "disabled" for one in enabled)
        for state in ("enabled", "disabled"):
            self._endpoints.labels(state).set(states[state])


class ScheduleMetrics:
    """Occasions of schedules, and what schedules there are."""

    def __init__(self, registry: MetricRegistry) -> None:
        counter = registry.counter(names.SCHEDULE_FIRED)
        self._outcomes = {outcome: counter.labels(outcome) for outcome in names.SCHEDULE_OUTCOMES}
        self._lateness = registry.histogram(names.SCHEDULE_LATENESS)
        self._schedules = GaugeTable(registry.gauge(names.SCHEDULES))

    def count(self, outcome: str, n: int = 1) -> None:
        """Count occasions. Outcomes: `names.SCHEDULE_OUTCOMES`."""
        self._outcomes[outcome].inc(n)

    def observe_lateness(self, seconds: float) -> None:
        """Observe how late an occasion was."""
        self._lateness.observe(seconds)

    def show(self, states: Iterable[str]) -> None:
        """Show the schedules; each item is the state of one."""
        self._schedules.replace({(state,): float(count) for state, count in Counter(states).items()})


class NoticeMetrics:
    """What is wrong for too long, and how often it was told."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._incidents = GaugeTable(registry.gauge(names.INCIDENTS))
        self._notices = registry.counter(names.NOTICES)

    def show_incidents(self, rules: Iterable[str]) -> None:
        """Show the open incidents; each item is the rule of one."""
        self._incidents.replace({(rule,): float(count) for rule, count in Counter(rules).items()})

    def count_notice(self, channel: str, outcome: str) -> None:
        """Count a notice that was `sent` or `held` back."""
        self._notices.labels(channel, outcome).inc()


class ReaperMetrics:
    """What was taken back, buried and trimmed."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._registry = registry
        self._recovered = ByType(registry.counter(names.RECOVERED), registry, values=names.RECOVERY_REASONS)
        self._finished = ByType(
            registry.counter(names.JOBS_FINISHED), registry, values=(JobState.CANCELLED, JobState.DEAD)
        )
        self._events_lost = registry.counter(names.EVENTS_LOST)

    def know_types(self, job_types: Iterable[str]) -> None:
        """Show these types under their own names from now on."""
        self._registry.register_types(job_types)

    def count_recovered(self, job_type: str, reason: str, n: int = 1) -> None:
        """Count n deliveries that were taken back; the reason is one of few fixed words."""
        self._recovered.of(job_type, reason).inc(n)

    def count_finished(self, job_type: str, state: JobState, n: int = 1) -> None:
        """Count n jobs that the reaper brought to rest."""
        self._finished.of(job_type, state).inc(n)

    def count_events_lost(self, n: int) -> None:
        """Count n events that were trimmed before every consumer had read them."""
        self._events_lost.inc(n)


class ConsoleMetrics:
    """Pages, and those that are kept fresh."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._registry = registry
        self._pages = registry.histogram(names.CONSOLE_PAGE)
        self._viewers = registry.gauge(names.CONSOLE_VIEWERS)
        self._views = registry.gauge(names.CONSOLE_VIEWS)

    def observe_page(self, route: str, status: int, seconds: float) -> None:
        """Observe one answer; the route is a template of paths, of which there are few."""
        self._pages.labels(route, str(status)).observe(seconds)

    def watch_viewers(self, viewers: Callable[[], int], views: Callable[[], int]) -> None:
        """Show what is kept fresh; the functions are called at each scrape, by any thread."""

        def show() -> None:
            self._viewers.set(viewers())
            self._views.set(views())

        self._registry.before_scrape(show)


def rss_bytes() -> float:
    """Return the resident memory of this process; its peak where the system does not tell the present."""
    if _STATM.exists():
        return float(_STATM.read_text().split()[1]) * _PAGE_BYTES
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # The unit is bytes on Darwin and KiB elsewhere.
    return float(peak if os.uname().sysname == "Darwin" else peak * 1024)


def _counts(queue: QueueStatus) -> list[tuple[tuple[str, str, str], int]]:
    """Return a queue's counts by (type, state, priority); the priority is empty for states without one."""
    ready = [((queue.type, JobState.QUEUED.value, priority), n) for priority, n in queue.queued.items()]
    return [
        *ready,
        ((queue.type, JobState.RUNNING.value, ""), queue.running),
        ((queue.type, JobState.SCHEDULED.value, ""), queue.scheduled),
        ((queue.type, JobState.BLOCKED.value, ""), queue.blocked),
    ]
