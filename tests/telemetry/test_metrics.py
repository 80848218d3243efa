"""The groups of metrics record and export what the services do."""

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from millstream_contracts import JobState, JobType, QueueStatus
from millstream_telemetry import (
    DispatcherMetrics,
    DutyMetrics,
    IngestMetrics,
    MetricRegistry,
    ReaperMetrics,
    RedisMetrics,
    WorkerMetrics,
    names,
)
from millstream_telemetry.metrics.groups import rss_bytes

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def registry():
    """Return a registry that knows one job type."""
    registry = MetricRegistry()
    registry.register_types(["email.send"])
    return registry


def queue(job_type="email.send", **more):
    """Return a queue with some jobs in every state."""
    counts = {"queued": {"high": 1, "normal": 2, "low": 0}, "running": 3, "scheduled": 4, "blocked": 5, "dead": 6}
    return QueueStatus(**{"type": JobType(job_type), "partitions": 1, **counts, **more})


def test_counters_count_by_type_and_outcome(registry):
    """Counters count by type and outcome, and a batch in one call."""
    worker, ingest = WorkerMetrics(registry), IngestMetrics(registry)

    worker.count_attempts("email.send", "ok", 7)
    worker.count_attempts("email.send", "error")
    worker.count_finished("email.send", JobState.SUCCEEDED, 7)
    ingest.count_submitted("email.send", "accepted", 100)

    value = registry.get_sample_value
    assert value("millstream_job_attempts_total", {"type": "email.send", "outcome": "ok"}) == 7
    assert value("millstream_job_attempts_total", {"type": "email.send", "outcome": "error"}) == 1
    assert value("millstream_jobs_finished_total", {"type": "email.send", "state": "succeeded"}) == 7
    assert value("millstream_jobs_submitted_total", {"type": "email.send", "outcome": "accepted"}) == 100


def test_groups_share_a_metric_that_both_record(registry):
    """Two groups of one process share the metric that both record."""
    WorkerMetrics(registry).count_finished("email.send", JobState.DEAD)
    ReaperMetrics(registry).count_finished("email.send", JobState.DEAD)

    labels = {"type": "email.send", "state": "dead"}
    assert registry.get_sample_value("millstream_jobs_finished_total", labels) == 2


def test_made_up_type_never_becomes_a_label(registry):
    """An invented type never becomes a label."""
    ingest = IngestMetrics(registry)

    for number in range(1000):
        ingest.count_submitted(f"made.up.{number}", "rejected")

    value = registry.get_sample_value
    assert value("millstream_jobs_submitted_total", {"type": names.OTHER_TYPE, "outcome": "rejected"}) == 1000
    assert "made.up" not in generate_latest(registry).decode()


def test_type_counts_under_its_name_once_it_is_registered(registry):
    """A type counts under its own name once it is registered."""
    ingest = IngestMetrics(registry)
    ingest.count_submitted("sms.send", "accepted")
    registry.register_types(["sms.send"])
    ingest.count_submitted("sms.send", "accepted")

    value = registry.get_sample_value
    assert value("millstream_jobs_submitted_total", {"type": "sms.send", "outcome": "accepted"}) == 1


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (
            IngestMetrics,
            {
                "jobs_submitted": names.SUBMISSION_OUTCOMES,
                "unique_conflicts": names.ON_CONFLICT,
                "submissions_refused": names.REFUSAL_REASONS,
                "jobs_finished": ["cancelled"],
            },
        ),
        (
            WorkerMetrics,
            {
                "job_attempts": names.ATTEMPT_OUTCOMES,
                "jobs_finished": ["succeeded", "cancelled", "expired", "dead"],
                "log_lines_dropped": names.LOG_LINES_DROPPED_REASONS,
                "holds": ["type", "key"],
                "unique_conflicts": names.ON_CONFLICT,
            },
        ),
        (DispatcherMetrics, {"jobs_finished": ["expired", "cancelled"]}),
        (ReaperMetrics, {"recovered": names.RECOVERY_REASONS, "jobs_finished": ["cancelled", "dead"]}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_series_of_counters_begin_at_0_with_their_type(registry, group, expected):
    """Each series of a counter exists at 0 before its first event, so that `increase()` counts that event.

    This holds for types that were registered before, for later ones, and for unknown ones.
    """
    group(registry)
    registry.register_types(["sms.send"])
    shown = {
        (sample.name, *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels
    }
    types = ("email.send", "sms.send", names.OTHER_TYPE)
    assert shown == {
        (f"millstream_{name}_total", one, value): 0
        for name, values in expected.items()
        for value in values
        for one in types
    }


def test_job_histograms_carry_the_trace_as_exemplar(registry):
    """The histograms of jobs carry the trace id as an exemplar."""
    worker = WorkerMetrics(registry)

    worker.observe_run("email.send", 0.2, exemplar=TRACE)
    worker.observe_queue_wait("email.send", 90.0, exemplar=TRACE)
    worker.observe_run("email.send", 0.003)

    text = generate_openmetrics(registry).decode()
    assert f'millstream_job_run_seconds_bucket{{le="0.25",type="email.send"}} 2.0 # {{trace_id="{TRACE}"}} 0.2' in text
    assert f'le="300.0",type="email.send"}} 1.0 # {{trace_id="{TRACE}"}} 90.0' in text
    assert text.count("trace_id=") == 2


def test_queue_wait_buckets_span_five_milliseconds_to_thirty_minutes():
    """The buckets of the queue wait go from 5 ms to 30 minutes."""
    assert (names.JOB_QUEUE_WAIT.buckets[0], names.JOB_QUEUE_WAIT.buckets[-1]) == (0.005, 1800.0)


def test_publish_shows_each_queue_by_state_and_priority(registry):
    """Gauges show queues by state, ready jobs by priority, and dead jobs in a gauge of their own."""
    DispatcherMetrics(registry).publish([queue(paused=True, oldest_ready_age_s=1.5, oldest_dead_age_s=9.0)])

    def jobs(state, priority):
        labels = {"type": "email.send", "state": state, "priority": priority}
        return registry.get_sample_value("millstream_queue_jobs", labels)

    assert [jobs("queued", priority) for priority in ("high", "normal", "low")] == [1, 2, 0]
    assert [jobs(state, "") for state in ("running", "scheduled", "blocked", "dead")] == [3, 4, 5, None]
    of_type = {"type": "email.send"}
    assert registry.get_sample_value("millstream_queue_paused", of_type) == 1
    assert registry.get_sample_value("millstream_queue_oldest_ready_age_seconds", of_type) == 1.5
    assert registry.get_sample_value("millstream_dead_jobs", of_type) == 6
    assert registry.get_sample_value("millstream_dead_oldest_age_seconds", of_type) == 9.0


def test_publish_takes_tenants_of_one_type_together(registry):
    """The tenants of a type are summed, and its ages are the oldest, because there is no tenant label."""
    DispatcherMetrics(registry).publish([queue(oldest_ready_age_s=1.0), queue(oldest_ready_age_s=3.0, dead=1)])

    of_type = {"type": "email.send"}
    assert registry.get_sample_value("millstream_dead_jobs", of_type) == 7
    assert registry.get_sample_value("millstream_queue_oldest_ready_age_seconds", of_type) == 3.0


def test_publish_removes_queues_that_are_gone(registry):
    """The gauges of a queue that is gone are removed."""
    dispatcher = DispatcherMetrics(registry)

    dispatcher.publish([queue("email.send"), queue("sms.send")])
    dispatcher.publish([queue("email.send")])

    text = generate_latest(registry).decode()
    assert 'type="email.send"' in text
    assert 'type="sms.send"' not in text


def test_worker_shows_slots_and_memory_as_they_are_when_scraped(registry):
    """Gauges of slots and memory are read at the scrape."""
    busy = [0]
    WorkerMetrics(registry).watch_slots(8, lambda: busy[0])
    busy[0] = 5

    value = registry.get_sample_value
    assert (value("millstream_worker_slots"), value("millstream_worker_slots_busy")) == (8, 5)
    assert value("millstream_worker_rss_bytes") == pytest.approx(rss_bytes(), rel=0.2)
    assert rss_bytes() > 10e6


def test_calls_to_redis_are_timed_by_script(registry):
    """Calls to Redis are timed with the script as label, and reconnects are counted."""
    redis = RedisMetrics(registry)
    redis.observe_call("claim", 0.002)
    redis.observe_call("claim", 0.004)
    redis.count_reconnect()

    assert registry.get_sample_value("millstream_redis_seconds_count", {"script": "claim"}) == 2
    assert registry.get_sample_value("millstream_redis_reconnects_total") == 1


def test_enqueue_is_timed_by_outcome(registry):
    """Group commits are timed by outcome, with their batch size."""
    IngestMetrics(registry).observe_enqueue("ok", 0.01, 64)

    assert registry.get_sample_value("millstream_enqueue_seconds_sum", {"outcome": "ok"}) == 0.01
    assert registry.get_sample_value("millstream_enqueue_batch_size_sum") == 64


def test_failed_pass_does_not_count_as_success(registry):
    """A failed pass does not change the time of the last success."""
    duties = DutyMetrics(registry, "reaper")
    labels = {"component": "reaper", "duty": "recover"}

    duties.begin("recover")
    duties.observe_pass("recover", 0.1, ok=False)
    before = registry.get_sample_value("millstream_duty_last_success_timestamp_seconds", labels)
    duties.observe_pass("recover", 0.1, ok=True)
    after = registry.get_sample_value("millstream_duty_last_success_timestamp_seconds", labels)

    assert before == 0
    assert after > 1e9
    assert registry.get_sample_value("millstream_duty_seconds_count", {"duty": "recover"}) == 2


def test_reaper_counts_what_it_recovers_and_what_was_lost(registry):
    """Recovered jobs are counted by type and reason, and lost events without a label."""
    reaper = ReaperMetrics(registry)
    reaper.count_recovered("email.send", "crashed", 3)
    reaper.count_events_lost(10)

    labels = {"type": "email.send", "reason": "crashed"}
    assert registry.get_sample_value("millstream_recovered_total", labels) == 3
    assert registry.get_sample_value("millstream_events_lost_total") == 10


def test_exposition_has_only_listed_names(registry):
    """The exposition has only listed names, and no `_created` series."""
    IngestMetrics(registry).count_submitted("email.send", "accepted")
    WorkerMetrics(registry).observe_run("email.send", 0.1)

    listed = {spec.name for spec in names.METRICS}
    text = generate_latest(registry).decode()
    assert {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")} <= listed
    assert "_created" not in text
