"""Observations that are told together are the same as those told one by one, and none is missed."""

import random
import threading

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from millstream_telemetry import MetricRegistry
from millstream_telemetry.metrics.bulk_histogram import FULL, BulkHistogram
from millstream_telemetry.names import JOB_RUN

BOUNDS = (0.001, 0.01, 0.1, 1.0)


def test_observations_together_are_the_same_as_one_by_one() -> None:
    """Also on a bound, below the first and above the last one."""
    rng = random.Random(4)
    amounts = [*BOUNDS, 0.0, 2.0, *(rng.uniform(0, 2) for _ in range(200))]
    one_by_one, together = CollectorRegistry(), CollectorRegistry()
    single = Histogram("run", "Seconds.", registry=one_by_one, buckets=BOUNDS)
    for amount in sorted(amounts):
        single.observe(amount)
    BulkHistogram("run", "Seconds.", registry=together, buckets=BOUNDS).observe_all(sorted(amounts))
    ours, theirs = (
        [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]
        for registry in (together, one_by_one)
    )
    assert [line for line in ours if "_sum" not in line] == [line for line in theirs if "_sum" not in line]
    total = next(float(line.split()[1]) for line in ours if line.startswith("run_sum"))
    assert abs(total - sum(amounts)) < 1e-9


def test_whoever_collects_finds_what_has_just_come() -> None:
    """A scrape does not have to wait until a hundred are together."""
    registry = MetricRegistry()
    registry.register_types(["email.send"])
    histogram = registry.histogram(JOB_RUN)
    tally = registry.tally(histogram.labels)
    tally.add("email.send", 0.5)
    assert registry.get_sample_value(f"{JOB_RUN.name}_count", {"type": "email.send"}) == 1.0


def test_no_observation_is_lost_between_two_threads() -> None:
    """The scrape comes from a thread of its own."""
    registry = MetricRegistry()
    histogram = registry.histogram(JOB_RUN)
    tally = registry.tally(histogram.labels)
    count, ended = 50 * FULL, threading.Event()

    def scrape() -> None:
        while not ended.is_set():
            tally.flush()

    scraper = threading.Thread(target=scrape)
    scraper.start()
    for _ in range(count):
        tally.add("email.send", 0.5)
    ended.set()
    scraper.join()
    assert registry.get_sample_value(f"{JOB_RUN.name}_count", {"type": "email.send"}) == count
