"""What each service measures, grouped by service; `every_service.py` has what all of them do.

Names, labels and buckets come from `names.py`.
"""

import math
import os
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import get_args

from millstream_contracts import BatchEvent, BreakerState, Demand, JobState, QueueStatus, SnoozeGate
from millstream_telemetry import names
from millstream_telemetry.metrics.gauge_table import GaugeTable
from millstream_telemetry.metrics.registry import ByType, MetricRegistry

_STATM = Path("/proc/self/statm")
_PAGE_BYTES = resource.getpagesize()


class ConflictMetrics:
    """Unique keys that another job held, of whatever submits jobs."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._conflicts = ByType(registry.counter(names.UNIQUE_CONFLICTS), registry, values=names.ON_CONFLICT)

    def count_unique_conflict(self, job_type: str, on_conflict: str) -> None:
        """Count a submission whose unique key another job held."""
        self._conflicts.of(job_type, on_conflict).inc()


class IngestMetrics(ConflictMetrics):
    """Submissions and searches."""

    def __init__(self, registry: MetricRegistry) -> None:
        super().__init__(registry)
        self._submitted = ByType(registry.counter(names.JOBS_SUBMITTED), registry, values=names.SUBMISSION_OUTCOMES)
        self._refused = ByType(registry.counter(names.SUBMISSIONS_REFUSED), registry, values=names.REFUSAL_REASONS)
        self._finished = ByType(registry.counter(names.JOBS_FINISHED), registry, values=(JobState.CANCELLED,))
        self._enqueue = registry.histogram(names.ENQUEUE)
        self._batch_size = registry.histogram(names.ENQUEUE_BATCH)
        self._live_listeners = registry.gauge(names.LIVE_LISTENERS)
        self._live_gaps = registry.counter(names.LIVE_GAPS)
        self._searches = registry.histogram(names.SEARCH_SECONDS)
        self._signals = registry.counter(names.SIGNALS)
        self._auth_refused = registry.counter(names.AUTH_REFUSED)
        self._limited = registry.counter(names.LIMITED)
        self._tokens_missed = registry.counter(names.TOKENS_MISSED)
        self._issuer_reads = registry.counter(names.ISSUER_READS)
        self._issuer_last_read = registry.gauge(names.ISSUER_LAST_READ)
        self._audit_records = registry.counter(names.AUDIT_RECORDS)

    def count_submitted(self, job_type: str, outcome: str, n: int = 1) -> None:
        """Count n submissions. Outcomes: `names.SUBMISSION_OUTCOMES`."""
        self._submitted.of(job_type, outcome).inc(n)

    def count_refused(self, job_type: str, reason: str, n: int = 1) -> None:
        """Count n submissions that were refused for the sake of others. Reasons: `names.REFUSAL_REASONS`."""
        self._refused.of(job_type, reason).inc(n)

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

    def count_signal(self, outcome: str) -> None:
        """Count a signal. Outcomes: `names.SIGNAL_OUTCOMES`."""
        self._signals.labels(outcome).inc()

    def count_auth_refused(self, reason: str) -> None:
        """Count a request that was refused for its credentials. Reasons: `names.AUTH_REFUSAL_REASONS`."""
        self._auth_refused.labels(reason).inc()

    def count_limited(self, policy: str) -> None:
        """Count a request that was refused because a limit is spent. Policies: `names.LIMIT_POLICIES`."""
        self._limited.labels(policy).inc()

    def count_tokens_missed(self, n: int) -> None:
        """Count leases of tokens that Redis did not answer."""
        self._tokens_missed.inc(n)

    def note_issuer_keys(self, issuer: str, *, ok: bool) -> None:
        """Count a reading of the keys of an issuer."""
        self._issuer_reads.labels(issuer, "ok" if ok else "failed").inc()
        if ok:
            self._issuer_last_read.labels(issuer).set(time.time())

    def count_audit_record(self, outcome: str) -> None:
        """Count an action of a principal. Outcomes: `names.AUDIT_OUTCOMES`."""
        self._audit_records.labels(outcome).inc()

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


class WorkerMetrics(ConflictMetrics):
    """Attempts, children that found their unique keys held, and the state of the worker process."""

    def __init__(self, registry: MetricRegistry) -> None:
        super().__init__(registry)
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
        self._batch_calls = ByType(registry.histogram(names.BATCH_CALL_JOBS), registry)
        self._lines_dropped = ByType(
            registry.counter(names.LOG_LINES_DROPPED), registry, values=names.LOG_LINES_DROPPED_REASONS
        )
        self._steps = ByType(registry.counter(names.STEPS_SAVED), registry)
        self._holds = ByType(registry.counter(names.HOLDS), registry, values=get_args(SnoozeGate))
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

    def observe_batch_call(self, job_type: str, jobs: int) -> None:
        """Observe how many jobs a call of a batch handler has had."""
        self._batch_calls.of(job_type).observe(jobs)

    def count_lines_dropped(self, job_type: str, reason: str, n: int) -> None:
        """Count n log lines that were not kept. Reasons: `names.LOG_LINES_DROPPED_REASONS`."""
        self._lines_dropped.of(job_type, reason).inc(n)

    def count_step(self, job_type: str) -> None:
        """Count a step of a durable handler that was stored."""
        self._steps.of(job_type).inc()

    def count_hold(self, job_type: str, gate: SnoozeGate) -> None:
        """Count a snooze that holds back more than its job."""
        self._holds.of(job_type, gate).inc()

    def watch_slots(self, total: int, busy: Callable[[], float]) -> None:
        """Show how many jobs may run at once, and how many do; `busy` is called at each scrape."""
        self._slots.set(total)
        self._slots_busy.set_function(busy)


_BREAKER_STATES = {state: float(number) for number, state in enumerate(BreakerState)}


class DispatcherMetrics:
    """The queues, as their own counters have them, and what was expired.

    Every replica shows the same queues: query them with `max by`.
    """

    def __init__(self, registry: MetricRegistry) -> None:
        self._registry = registry
        self._jobs = GaugeTable(registry.gauge(names.QUEUE_JOBS))
        self._oldest_ready = GaugeTable(registry.gauge(names.QUEUE_OLDEST_READY))
        self._parked = GaugeTable(registry.gauge(names.QUEUE_PARKED))
        self._lanes = GaugeTable(registry.gauge(names.QUEUE_LANES))
        self._keys_full = GaugeTable(registry.gauge(names.QUEUE_KEYS_FULL))
        self._keys_rate_limited = GaugeTable(registry.gauge(names.QUEUE_KEYS_RATE_LIMITED))
        self._held = GaugeTable(registry.gauge(names.QUEUE_HELD))
        self._paused = GaugeTable(registry.gauge(names.QUEUE_PAUSED))
        self._breaker = GaugeTable(registry.gauge(names.BREAKER_STATE))
        self._breaker_opened = GaugeTable(registry.gauge(names.BREAKER_OPENED))
        self._dead = GaugeTable(registry.gauge(names.DEAD_JOBS))
        self._oldest_dead = GaugeTable(registry.gauge(names.DEAD_OLDEST))
        self._demand = DemandGauges(registry)
        self._queues = GaugeTable(registry.gauge(names.QUEUES))
        ended = (JobState.EXPIRED, JobState.CANCELLED)
        self._finished = ByType(registry.counter(names.JOBS_FINISHED), registry, values=ended)
        self._resolved = registry.counter(names.RESOLVED)

    def know_types(self, job_types: Iterable[str]) -> None:
        """Show these types under their own names from now on."""
        self._registry.register_types(job_types)

    def show_queues(self, *, active: int, dormant: int) -> None:
        """Show how many queues the services look at, and how many they do not."""
        self._queues.replace({("active",): active, ("dormant",): dormant})

    def count_finished(self, job_type: str, state: JobState, n: int = 1) -> None:
        """Count n jobs that the dispatcher brought to rest."""
        self._finished.of(job_type, state).inc(n)

    def publish(self, queues: Iterable[QueueStatus]) -> None:
        """Show these queues and no others. Those of one type, in several tenants, are taken together."""
        jobs: dict[tuple[str, ...], float] = defaultdict(float)
        oldest_ready: dict[tuple[str, ...], float] = defaultdict(float)
        parked: dict[tuple[str, ...], float] = defaultdict(float)
        held: dict[tuple[str, ...], float] = defaultdict(float)
        paused: dict[tuple[str, ...], float] = defaultdict(float)
        breaker: dict[tuple[str, ...], float] = defaultdict(float)
        opened: dict[tuple[str, ...], float] = defaultdict(float)
        dead: dict[tuple[str, ...], float] = defaultdict(float)
        oldest_dead: dict[tuple[str, ...], float] = defaultdict(float)
        for queue in queues:
            key = (queue.type,)
            for labels, count in _counts(queue):
                jobs[labels] += count
            oldest_ready[key] = max(oldest_ready[key], queue.oldest_ready_age_s)
            parked[key] += queue.parked
            held[key] = max(held[key], float(queue.held_until is not None))
            paused[key] = max(paused[key], float(queue.paused))
            if queue.breaker is not None:
                breaker[key] = max(breaker[key], _BREAKER_STATES[queue.breaker])
                opened[key] += queue.breaker_opened
            dead[key] += queue.dead
            oldest_dead[key] = max(oldest_dead[key], queue.oldest_dead_age_s)
        self._jobs.replace(jobs)
        self._oldest_ready.replace(oldest_ready)
        self._parked.replace(parked)
        self._held.replace(held)
        self._paused.replace(paused)
        self._breaker.replace(breaker)
        self._breaker_opened.replace(opened)
        self._dead.replace(dead)
        self._oldest_dead.replace(oldest_dead)

    def publish_keys(self, by_type: Mapping[str, tuple[int, int, int]]) -> None:
        """Show lanes, full keys and rate-limited keys of these types, and of no others. A key is no label."""
        self._lanes.replace({(job_type,): counts[0] for job_type, counts in by_type.items()})
        self._keys_full.replace({(job_type,): counts[1] for job_type, counts in by_type.items()})
        self._keys_rate_limited.replace({(job_type,): counts[2] for job_type, counts in by_type.items()})

    def publish_outbox(self, entries: int, oldest_s: float) -> None:
        """Show how many jobs have settled whose children have to be told, and how long ago the first has."""
        # Made with the first measurement and not before: gauges without labels begin at 0, which may not be so.
        self._registry.gauge(names.OUTBOX_ENTRIES).set(entries)
        self._registry.gauge(names.OUTBOX_OLDEST).set(oldest_s)

    def count_resolved(self, outcome: str, n: int) -> None:
        """Count what became of n blocked jobs that were told of a parent."""
        self._resolved.labels(outcome).inc(n)

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


class AuditMetrics:
    """How many audit records wait for the history, and for how long."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._waiting = registry.gauge(names.AUDIT_WAITING)
        self._lag = registry.gauge(names.AUDIT_LAG)
        self.show(math.nan, math.nan)

    def show(self, waiting: float, lag_s: float) -> None:
        """Show how many records wait, and how old the oldest is; NaN where it is not known."""
        self._waiting.set(waiting)
        self._lag.set(lag_s)


class HistoryMetrics:
    """How far the history database is behind, and how far ahead it has partitions."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._lag = registry.gauge(names.HISTORY_LAG)
        self.lag_s = math.nan
        """What was shown last."""
        self._days_ahead = registry.gauge(names.HISTORY_DAYS_AHEAD)
        self._gaps = registry.gauge(names.HISTORY_GAPS)
        self._workflows = registry.gauge(names.HISTORY_WORKFLOWS)
        self._workflow_lag = registry.gauge(names.HISTORY_WORKFLOW_LAG)
        self.show_lag(math.nan)
        self.show_days_ahead(math.nan)
        self.show_workflows(math.nan, math.nan)

    def show_workflows(self, waiting: float, lag_s: float) -> None:
        """Show how many workflows have ended and are not stored yet, and for how long; NaN where it is not known."""
        self._workflows.set(waiting)
        self._workflow_lag.set(lag_s)

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


class TenantMetrics:
    """What tenants there are. No metric names one: there may be thousands."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._tenants = GaugeTable(registry.gauge(names.TENANTS))

    def show(self, states: Iterable[str]) -> None:
        """Show the tenants; each item is the state of one."""
        self._tenants.replace({(state,): float(count) for state, count in Counter(states).items()})


class WorkflowMetrics:
    """What workflows there are, and what was started of them."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._starts = registry.counter(names.WORKFLOW_STARTS)
        self._repairs = registry.counter(names.WORKFLOW_REPAIRS)
        self._workflows = GaugeTable(registry.gauge(names.WORKFLOWS))
        for outcome in ("started", "refused", "undone"):
            self._starts.labels(outcome)
        self._repairs.labels("restarted")

    def count_start(self, outcome: str, n: int = 1) -> None:
        """Count nodes that were `started`, `refused` or `undone`."""
        self._starts.labels(outcome).inc(n)

    def count_repair(self, what: str, n: int = 1) -> None:
        """Count what was lost and is made up for."""
        self._repairs.labels(what).inc(n)

    def show(self, totals: Mapping[str, int]) -> None:
        """Show how many workflows are in a state."""
        self._workflows.replace({(state,): float(count) for state, count in totals.items() if count})


class BatchMetrics:
    """What batches there are, and what was done for them."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._callbacks = registry.counter(names.BATCH_CALLBACKS)
        self._promises = registry.counter(names.BATCH_PROMISES)
        self._repairs = registry.counter(names.BATCH_REPAIRS)
        self._batches = GaugeTable(registry.gauge(names.BATCHES))
        for event in BatchEvent:
            for outcome in ("started", "refused"):
                self._callbacks.labels(event.value, outcome)
        for outcome in ("found", "dropped"):
            self._promises.labels(outcome)
        for what in ("lost", "restarted"):
            self._repairs.labels(what)

    def count_callback(self, event: BatchEvent, outcome: str) -> None:
        """Count a callback that was `started` or `refused`."""
        self._callbacks.labels(event.value, outcome).inc()

    def count_promises(self, *, found: int, dropped: int) -> None:
        """Count promised members that were looked up."""
        self._promises.labels("found").inc(found)
        self._promises.labels("dropped").inc(dropped)

    def count_repair(self, what: str, n: int = 1) -> None:
        """Count what was lost and is made up for."""
        self._repairs.labels(what).inc(n)

    def show(self, totals: Mapping[str, int]) -> None:
        """Show how many batches are in a state."""
        self._batches.replace({(state,): float(count) for state, count in totals.items() if count})


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
        self._sign_ins = registry.counter(names.CONSOLE_SIGN_INS)
        self._viewers = registry.gauge(names.CONSOLE_VIEWERS)
        self._views = registry.gauge(names.CONSOLE_VIEWS)

    def observe_page(self, route: str, status: int, seconds: float) -> None:
        """Observe one answer; the route is a template of paths, of which there are few."""
        self._pages.labels(route, str(status)).observe(seconds)

    def count_sign_in(self, outcome: str) -> None:
        """Count an attempt to sign in. Outcomes: `names.SIGN_IN_OUTCOMES`."""
        self._sign_ins.labels(outcome).inc()

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
