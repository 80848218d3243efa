"""A counter that one thread counts up and others read loses nothing and tells nothing twice."""

from threading import Thread

import pytest

from millstream_telemetry import IngestMetrics, MetricRegistry

SUBMITTED = "millstream_jobs_submitted_total"
LABELS = {"type": "email.send", "outcome": "accepted"}


@pytest.fixture
def registry():
    """Return a registry that knows one type."""
    made = MetricRegistry()
    made.register_types(["email.send"])
    return made


def test_each_look_finds_what_was_counted_until_then(registry):
    """A count is told once, however often somebody looks."""
    metrics = IngestMetrics(registry)
    metrics.count_submitted("email.send", "accepted")

    assert [registry.get_sample_value(SUBMITTED, LABELS) for _ in range(2)] == [1, 1]

    metrics.count_submitted("email.send", "accepted", 4)

    assert registry.get_sample_value(SUBMITTED, LABELS) == 5


def test_no_count_is_lost_or_told_twice_when_several_look_meanwhile(registry):
    """Scrapes come in threads of their own."""
    metrics = IngestMetrics(registry)
    readers = [Thread(target=lambda: [list(registry.collect()) for _ in range(50)]) for _ in range(4)]
    for reader in readers:
        reader.start()
    for _ in range(20_000):
        metrics.count_submitted("email.send", "accepted")
    for reader in readers:
        reader.join()

    assert registry.get_sample_value(SUBMITTED, LABELS) == 20_000
