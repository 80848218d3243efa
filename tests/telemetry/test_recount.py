"""The samples of every group of metrics agree with a recount of what happened, in the unit of each name."""

import math
import time

import pytest

from millstream_contracts import Demand, JobState, JobType, QueueStatus
from millstream_telemetry import (
    ConsoleMetrics,
    DispatcherMetrics,
    DutyMetrics,
    HistoryMetrics,
    IngestMetrics,
    MetricRegistry,
    ReaperMetrics,
    RedisMetrics,
    ServiceMetrics,
    WorkerMetrics,
)

TYPES = ("email.send", "report")


@pytest.fixture
def registry():
    """Return a registry that knows two job types."""
    registry = MetricRegistry()
    registry.register_types(TYPES)
    return registry


def shown(registry):
    """Return the value of each sample by its name and label values, without buckets and counters that are still 0."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_bucket") and (sample.value or not sample.name.endswith("_total"))
    }


def histogram(name, labels, *observed):
    """Return the count and the sum of a histogram after these observations."""
    return {(f"{name}_sum", *labels): pytest.approx(sum(observed)), (f"{name}_count", *labels): len(observed)}


def test_ingest_shows_what_was_submitted(registry):
    """Submissions are counted under their type and outcome, and timed in seconds."""
    ingest = IngestMetrics(registry)
    ingest.count_submitted("email.send", "accepted", 5)
    ingest.count_submitted("email.send", "accepted", 2)
    ingest.count_submitted("report", "rejected")
    ingest.count_submitted("made.up", "rejected", 3)
    ingest.count_submitted("made.up", "unavailable", 4)
    ingest.count_finished("report", JobState.CANCELLED, 6)
    ingest.observe_enqueue("ok", 0.25, 64)
    ingest.observe_enqueue("full", 0.5, 3)
    ingest.show_live_listeners(3)
    ingest.count_live_gap()
    assert shown(registry) == {
        ("millstream_jobs_submitted_total", "email.send", "accepted"): 7,
        ("millstream_jobs_submitted_total", "report", "rejected"): 1,
        ("millstream_jobs_submitted_total", "_other", "rejected"): 3,
        ("millstream_jobs_submitted_total", "_other", "unavailable"): 4,
        ("millstream_jobs_finished_total", "report", "cancelled"): 6,
        **histogram("millstream_enqueue_seconds", ["ok"], 0.25),
        **histogram("millstream_enqueue_seconds", ["full"], 0.5),
        **histogram("millstream_enqueue_batch_size", [], 64, 3),
        ("millstream_live_listeners",): 3,
        ("millstream_live_gaps_total",): 1,
    }


def test_a_console_shows_its_pages_and_who_looks_at_them(registry):
    """Answers are timed by route and status; viewers are counted at each scrape."""
    console = ConsoleMetrics(registry)
    console.observe_page("/jobs", 200, 0.25)
    console.observe_page("/jobs", 503, 0.5)
    console.count_sign_in("refused")
    console.watch_viewers(lambda: 500, lambda: 4)
    assert shown(registry) == {
        **histogram("millstream_console_page_seconds", ["/jobs", "200"], 0.25),
        **histogram("millstream_console_page_seconds", ["/jobs", "503"], 0.5),
        ("millstream_console_sign_ins_total", "refused"): 1,
        ("millstream_console_viewers",): 500,
        ("millstream_console_views",): 4,
    }


def test_a_worker_shows_what_it_ran(registry):
    """A hundred observations at once count like those that come one by one or with an exemplar."""
    worker = WorkerMetrics(registry)
    worker.count_attempts("email.send", "ok", 7)
    worker.count_attempts("report", "error", 2)
    worker.count_finished("email.send", JobState.SUCCEEDED, 7)
    for _ in range(150):
        worker.observe_run("email.send", 0.5)
        worker.observe_queue_wait("report", 2.0)
    worker.observe_run("email.send", 3.0, exemplar="0af7651916cd43dd8448eb211c80319c")
    worker.observe_run("report", 1.5)
    worker.observe_loop_lag(0.125)
    worker.watch_slots(8, lambda: 3)
    found = shown(registry)
    assert found.pop(("millstream_worker_rss_bytes",)) > 10e6
    assert found == {
        ("millstream_job_attempts_total", "email.send", "ok"): 7,
        ("millstream_job_attempts_total", "report", "error"): 2,
        ("millstream_jobs_finished_total", "email.send", "succeeded"): 7,
        **histogram("millstream_job_run_seconds", ["email.send"], *[0.5] * 150, 3.0),
        **histogram("millstream_job_run_seconds", ["report"], 1.5),
        **histogram("millstream_job_queue_wait_seconds", ["report"], *[2.0] * 150),
        **histogram("millstream_worker_loop_lag_seconds", [], 0.125),
        ("millstream_worker_slots",): 8,
        ("millstream_worker_slots_busy",): 3,
    }


def status(job_type, n, **more):
    """Return the status of a queue in which each count is different."""
    counts = {"queued": {"high": n, "normal": 2 * n, "low": 3 * n}, "running": 4 * n, "scheduled": 5 * n}
    return QueueStatus(type=JobType(job_type), partitions=1, **counts, blocked=6 * n, dead=7 * n, **more)


def test_a_dispatcher_shows_what_the_queues_hold(registry):
    """The counts of a type are summed and its ages are the oldest, in any order, and gone queues are removed."""
    dispatcher = DispatcherMetrics(registry)
    dispatcher.count_finished("report", JobState.EXPIRED, 9)
    worst, other = (
        status("email.send", 1, oldest_ready_age_s=8.0, oldest_dead_age_s=9.0, paused=True),
        status("email.send", 10, oldest_ready_age_s=1.0, oldest_dead_age_s=2.0),
    )
    for queues in ([worst, other], [other, worst]):
        dispatcher.publish([*queues, status("report", 100)])
        assert shown(registry) == {
            ("millstream_jobs_finished_total", "report", "expired"): 9,
            **counts_of("email.send", 11),
            **counts_of("report", 100),
            ("millstream_queue_oldest_ready_age_seconds", "email.send"): 8.0,
            ("millstream_queue_oldest_ready_age_seconds", "report"): 0.0,
            ("millstream_dead_oldest_age_seconds", "email.send"): 9.0,
            ("millstream_dead_oldest_age_seconds", "report"): 0.0,
            ("millstream_queue_paused", "email.send"): 1,
            ("millstream_queue_paused", "report"): 0,
            ("millstream_queue_parked_jobs", "email.send"): 0,
            ("millstream_queue_parked_jobs", "report"): 0,
            ("millstream_queue_held", "email.send"): 0,
            ("millstream_queue_held", "report"): 0,
        }
    for _ in range(2):
        dispatcher.publish([])
        assert shown(registry) == {("millstream_jobs_finished_total", "report", "expired"): 9}


def test_a_dispatcher_shows_how_many_workers_are_wanted(registry):
    """The demand is shown by type and for all types, and not before it is known."""
    dispatcher = DispatcherMetrics(registry)
    assert shown(registry) == {}

    def demand(n):
        return Demand(
            queued=n, running=2 * n, due_soon=3 * n, oldest_ready_age_s=1.0, slots=4 * n, wanted_workers=5 * n
        )

    dispatcher.publish_demand({"gone": demand(9)}, demand(9), 9)
    dispatcher.publish_demand({"email.send": demand(1)}, demand(10), 6)
    assert shown(registry) == {
        ("millstream_demand_jobs", "email.send", "queued"): 1,
        ("millstream_demand_jobs", "email.send", "running"): 2,
        ("millstream_demand_jobs", "email.send", "due_soon"): 3,
        ("millstream_demand_slots", "email.send"): 4,
        ("millstream_wanted_workers", "email.send"): 5,
        ("millstream_fleet_workers",): 6,
        ("millstream_fleet_slots",): 40,
        ("millstream_fleet_wanted_workers",): 50,
    }


def counts_of(job_type, n):
    """Return the gauges of a type whose queues have these counts."""
    return {
        **{("millstream_queue_jobs", job_type, "queued", p): k * n for k, p in enumerate(("high", "normal", "low"), 1)},
        **{("millstream_queue_jobs", job_type, s, ""): k * n for k, s in ((4, "running"), (5, "scheduled"))},
        ("millstream_queue_jobs", job_type, "blocked", ""): 6 * n,
        ("millstream_dead_jobs", job_type): 7 * n,
    }


def test_a_reaper_shows_what_it_took_back(registry):
    """Each reason of a recovery and each kind of end is counted by itself."""
    reaper = ReaperMetrics(registry)
    reaper.count_recovered("email.send", "lease_expired", 3)
    reaper.count_recovered("report", "buried", 2)
    reaper.count_finished("report", JobState.DEAD, 2)
    reaper.count_events_lost(10)
    reaper.count_events_lost(5)
    assert shown(registry) == {
        ("millstream_recovered_total", "email.send", "lease_expired"): 3,
        ("millstream_recovered_total", "report", "buried"): 2,
        ("millstream_jobs_finished_total", "report", "dead"): 2,
        ("millstream_events_lost_total",): 15,
    }


def test_calls_to_redis_are_shown_in_seconds_by_script(registry):
    """Each script has its own series, in seconds, to which each call adds."""
    redis = RedisMetrics(registry)
    for script, seconds in (("claim", 0.25), ("commit", 4.0), ("claim", 0.5)):
        redis.observe_call(script, seconds)
    redis.count_reconnect()
    assert shown(registry) == {
        **histogram("millstream_redis_seconds", ["claim"], 0.25, 0.5),
        **histogram("millstream_redis_seconds", ["commit"], 4.0),
        ("millstream_redis_reconnects_total",): 1,
    }


def test_a_service_shows_who_it_is_and_which_checks_pass_at_the_scrape(registry):
    """A service shows its release and the present results of its readiness checks at each scrape."""
    service, checks = ServiceMetrics(registry, "reaper", version="1.2"), {"redis": False}
    service.watch_checks(lambda: checks)
    who = {("millstream_build_info", "reaper", "1.2"): 1}
    assert shown(registry) == who | {("millstream_ready", "reaper", "redis"): 0}
    checks = {"redis": True, "recoverer": False}
    assert shown(registry) == who | {
        ("millstream_ready", "reaper", "redis"): 1,
        ("millstream_ready", "reaper", "recoverer"): 0,
    }
    checks = {"serving": True}
    assert shown(registry) == who | {("millstream_ready", "reaper", "serving"): 1}


def test_passes_of_duties_are_shown_in_seconds_and_their_last_success_as_unix_time(registry):
    """Passes are shown in seconds, and the last success of each duty as Unix time."""
    duties = DutyMetrics(registry, "reaper")
    duties.observe_pass("recoverer", 0.25, ok=True)
    duties.observe_pass("recoverer", 0.5, ok=False)
    duties.observe_pass("sweeper", 4.0, ok=False)
    assert shown(registry) == {
        **histogram("millstream_duty_seconds", ["recoverer"], 0.25, 0.5),
        **histogram("millstream_duty_seconds", ["sweeper"], 4.0),
        ("millstream_duty_last_success_timestamp_seconds", "reaper", "recoverer"): pytest.approx(time.time(), abs=60),
    }


def test_the_lag_of_the_history_is_shown_in_seconds_once_it_is_known(registry):
    """The lag of the history is NaN until it is known, and then in seconds."""
    history = HistoryMetrics(registry)
    assert math.isnan(shown(registry)["millstream_history_lag_seconds",])
    history.show_lag(12.5)
    history.show_days_ahead(14)
    history.show_gaps(2)
    history.show_workflows(3, 1.5)
    assert shown(registry) == {
        ("millstream_history_lag_seconds",): 12.5,
        ("millstream_history_days_ahead",): 14,
        ("millstream_history_gaps",): 2,
        ("millstream_history_workflows_waiting",): 3,
        ("millstream_history_workflow_lag_seconds",): 1.5,
    }
