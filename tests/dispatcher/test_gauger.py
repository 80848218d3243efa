"""The gauger: what the queues hold, as gauges."""

import pytest
from streams.seeds import FAR_MS, seed, seed_dead, seed_running

from millstream_contracts import DEFAULT_TENANT, JobType, Priority, Queue, Tenant
from millstream_dispatcher.gauger import Gauger
from millstream_streams import Broker
from millstream_telemetry import DispatcherMetrics, MetricRegistry


@pytest.fixture
def gauger(broker: Broker, metrics: MetricRegistry) -> Gauger:
    """Return a gauger."""
    return Gauger(broker.store, broker.registry, DispatcherMetrics(metrics), metrics, interval_s=5.0)


def shown(metrics: MetricRegistry, name: str) -> dict[tuple[str, ...], float]:
    """Return a gauge's values by its labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics.collect()
        for sample in family.samples
        if sample.name == name
    }


async def test_run_once_shows_what_the_queues_hold(
    broker: Broker, gauger: Gauger, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """By type, the partitions summed; by state, the ready ones by priority."""
    first, second, report = queues
    await seed_running(broker, first)
    await seed_dead(broker, second)
    await seed(broker, first, 3)
    await seed(broker, second, 2)
    await seed(broker, second, 4, priority=Priority.HIGH)
    await seed(broker, report, 5, delay_ms=FAR_MS)
    await gauger.run_once()
    jobs = shown(metrics, "millstream_queue_jobs")
    assert {labels: count for labels, count in jobs.items() if count} == {
        ("email.send", "queued", "normal"): 5,
        ("email.send", "queued", "high"): 4,
        ("email.send", "running", ""): 1,
        ("report", "scheduled", ""): 5,
    }
    assert shown(metrics, "millstream_dead_jobs") == {("email.send",): 1, ("report",): 0}
    assert shown(metrics, "millstream_queue_paused") == {("email.send",): 0, ("report",): 0}


async def test_run_once_shows_a_pause(
    broker: Broker, gauger: Gauger, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """One paused partition is enough to ask why jobs wait."""
    await broker.client.hset(broker.keys.of(queues[1]).settings, "paused", 1)
    await gauger.run_once()
    assert shown(metrics, "millstream_queue_paused")["email.send",] == 1


async def test_run_once_drops_a_queue_that_is_gone(
    broker: Broker, gauger: Gauger, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """Its last values would otherwise be shown for ever, and raise an alarm for ever."""
    await seed(broker, queues[2], 5)
    await gauger.run_once()
    assert shown(metrics, "millstream_queue_jobs")["report", "queued", "normal"] == 5
    await broker.client.srem(broker.keys.queues, queues[2].tag)
    await gauger.run_once()
    for name in ("millstream_queue_jobs", "millstream_dead_jobs", "millstream_queue_oldest_ready_age_seconds"):
        assert {labels[0] for labels in shown(metrics, name)} == {"email.send"}


async def test_run_once_takes_the_tenants_of_a_type_together(
    broker: Broker, gauger: Gauger, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A tenant is no label: there may be thousands."""
    other = Queue(Tenant("acme"), JobType("email.send"))
    await broker.registry.add_queues([other])
    await seed(broker, other, 2)
    await seed(broker, queues[0], 1)
    await gauger.run_once()
    assert shown(metrics, "millstream_queue_jobs")["email.send", "queued", "normal"] == 3


async def test_run_once_shows_the_others_when_a_queue_is_broken(
    broker: Broker, gauger: Gauger, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """The pass is a failed one; an operator needs the gauges then more than ever."""
    broken = Queue(DEFAULT_TENANT, JobType("a.broken.one"))
    await broker.registry.add_queues([broken])
    await broker.client.xadd(broker.keys.of(broken).due, {"a": "stream"})
    await seed(broker, queues[2], 5)
    with pytest.raises(Exception, match="WRONGTYPE"):
        await gauger.run_once()
    assert shown(metrics, "millstream_queue_jobs")["report", "queued", "normal"] == 5
    await broker.client.delete(broker.keys.of(broken).due)
