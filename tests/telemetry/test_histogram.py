"""The histogram counts many observations at once, and exports what the client library would have counted one by one."""

import random
import threading
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as OneByOne
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from millstream_telemetry import IngestMetrics, MetricRegistry, WorkerMetrics
from millstream_telemetry.metrics.histogram import FULL, Histogram
from millstream_telemetry.names import MetricSpec

BOUNDS = (0.001, 0.01, 0.1, 1.0)
TRACE = "0af7651916cd43dd8448eb211c80319c"


def both(labels: tuple[str, ...] = ()) -> tuple[CollectorRegistry, Histogram, CollectorRegistry, OneByOne]:
    """Return our histogram and the client library's, each with a registry of its own."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    histogram = Histogram(MetricSpec("run_seconds", "histogram", labels, "Seconds.", BOUNDS))
    ours.register(histogram)
    single = OneByOne("run_seconds", "Seconds.", labels, registry=theirs, buckets=BOUNDS)
    return ours, histogram, theirs, single


def lines_of(registry: CollectorRegistry) -> list[str]:
    """Return the exported lines, without those that our exposition leaves out."""
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


@pytest.mark.parametrize("count", [0, 1, FULL - 1, FULL, 2 * FULL + 7])
def test_what_is_exported_is_what_the_client_library_would_export(count: int) -> None:
    """Buckets and sum equal those of the client library, also on a bound and beyond the first and last."""
    ours, histogram, theirs, single = both()
    rng = random.Random(4)
    amounts = [*BOUNDS, 0.0, 2.0, *(rng.uniform(0, 2) for _ in range(count))] if count else []
    for amount in amounts:
        histogram.observe(amount)
        single.observe(amount)
    found, expected = lines_of(ours), lines_of(theirs)
    assert [line for line in found if "_sum" not in line] == [line for line in expected if "_sum" not in line]
    total = next(float(line.split()[1]) for line in found if line.startswith("run_seconds_sum"))
    assert abs(total - sum(amounts)) < 1e-9


def test_each_series_has_its_own_counts_and_exemplars() -> None:
    """Each series has its own counts, exemplars and labels in OpenMetrics."""
    ours, histogram, theirs, single = both(("type", "outcome"))
    for type_, amount in (("a", 0.05), ("b", 0.05), ("a", 5.0)):
        histogram.labels(type_, "ok").observe(amount)
        single.labels(type_, "ok").observe(amount)
    histogram.labels("a", "error").observe(0.5, TRACE)
    single.labels("a", "error").observe(0.5, {"trace_id": TRACE})

    def text(registry: CollectorRegistry) -> list[str]:
        lines = generate_openmetrics(registry).decode().splitlines()
        # The time of the exemplar is the last word.
        return [line.rpartition(" ")[0] if "#" in line[1:] else line for line in lines if "_created" not in line]

    assert text(ours) == text(theirs)


def test_a_wrong_number_of_labels_is_refused() -> None:
    """A wrong number of labels is refused."""
    _, histogram, _, _ = both(("type",))
    with pytest.raises(ValueError, match="run_seconds"):
        histogram.labels("a", "b")


def test_a_scrape_finds_what_has_just_come() -> None:
    """A scrape contains the latest observation."""
    registry = MetricRegistry()
    registry.register_types(["email.send"])
    WorkerMetrics(registry).observe_run("email.send", 0.5)
    for _ in range(2):
        assert registry.get_sample_value("millstream_job_run_seconds_count", {"type": "email.send"}) == 1.0


def count_while_scraped(count: Callable[[], None]) -> MetricRegistry:
    """Call a function from two threads while two others scrape."""
    registry = MetricRegistry()
    registry.register_types(["email.send"])
    metrics, ended = (WorkerMetrics(registry), IngestMetrics(registry)), threading.Event()

    def scrape() -> None:
        while not ended.is_set():
            list(registry.collect())

    scrapers = [threading.Thread(target=scrape) for _ in range(2)]
    counters = [threading.Thread(target=count, args=metrics) for _ in range(2)]
    for thread in (*scrapers, *counters):
        thread.start()
    for thread in counters:
        thread.join()
    ended.set()
    for thread in scrapers:
        thread.join()
    return registry


def test_nothing_is_lost_or_counted_twice_between_threads() -> None:
    """No observation is lost or counted twice while two threads count and two scrape."""
    times = 20 * FULL + 7

    def count(worker: WorkerMetrics, ingest: IngestMetrics) -> None:
        for _ in range(times):
            worker.observe_run("email.send", 0.5)
            ingest.count_submitted("email.send", "accepted")

    value = count_while_scraped(count).get_sample_value
    assert value("millstream_job_run_seconds_count", {"type": "email.send"}) == 2 * times
    assert value("millstream_job_run_seconds_sum", {"type": "email.send"}) == times
    assert value("millstream_jobs_submitted_total", {"type": "email.send", "outcome": "accepted"}) == 2 * times
