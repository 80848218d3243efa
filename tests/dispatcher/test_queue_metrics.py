"""The queue metrics show as gauges what the queues hold."""

from datetime import UTC, datetime

import pytest
from scripts_seen import ScriptsSeen
from streams.seeds import FAR_MS, LONG_AGO_MS, job_of, make_due, seed, seed_dead, seed_running, seed_worker, take

from millstream_contracts import (
    DEFAULT_TENANT,
    JobState,
    JobType,
    KeyLimits,
    Priority,
    Queue,
    QueueLimits,
    Tenant,
    WorkerInfo,
)
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_dispatcher.expirer import Expirer
from millstream_dispatcher.promoter import Promoter
from millstream_dispatcher.queue_metrics import QueueMetrics
from millstream_streams import Broker, Depths, JobStore, QueueScripts, StoreUnavailableError
from millstream_telemetry import DispatcherMetrics, MetricRegistry

INTERVAL_S = 600.0


@pytest.fixture
def shown_by(metrics: MetricRegistry) -> DispatcherMetrics:
    """Return the metrics of a dispatcher."""
    return DispatcherMetrics(metrics)


@pytest.fixture
def due(broker: Broker) -> CheckSchedule:
    """Return a schedule of due jobs with an interval of ten minutes."""
    return CheckSchedule(broker.registry, INTERVAL_S)


@pytest.fixture
def expiring(broker: Broker) -> CheckSchedule:
    """Return a schedule of expiring jobs with an interval of ten minutes."""
    return CheckSchedule(broker.registry, INTERVAL_S)


@pytest.fixture
def queue_metrics(
    broker: Broker, shown_by: DispatcherMetrics, due: CheckSchedule, expiring: CheckSchedule
) -> QueueMetrics:
    """Return the duty under test."""
    return QueueMetrics(
        broker.store,
        broker.registry,
        broker.clock,
        shown_by,
        due=due,
        expiring=expiring,
        outbox=CheckSchedule(broker.registry, INTERVAL_S),
        blocked=CheckSchedule(broker.registry, INTERVAL_S),
        due_soon_s=60.0,
        interval_s=5.0,
    )


def shown(metrics: MetricRegistry, name: str) -> dict[tuple[str, ...], float]:
    """Return a gauge's values by its labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics.collect()
        for sample in family.samples
        if sample.name == name
    }


async def test_run_once_shows_what_the_queues_hold(
    broker: Broker, queue_metrics: QueueMetrics, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A pass shows jobs by type and state, partitions summed, and ready jobs by priority."""
    first, second, report = queues
    await seed_running(broker, first)
    await seed_dead(broker, second)
    await seed(broker, first, 3)
    await seed(broker, second, 2)
    await seed(broker, second, 4, priority=Priority.HIGH)
    await seed(broker, report, 5, delay_ms=FAR_MS)
    await queue_metrics.run_once()
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
    broker: Broker, queue_metrics: QueueMetrics, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A type with one paused partition is shown as paused."""
    await broker.client.hset(broker.keys.of(queues[1]).settings, "paused", 1)
    await queue_metrics.run_once()
    assert shown(metrics, "millstream_queue_paused")["email.send",] == 1


async def test_run_once_shows_what_limits_hold_back(
    broker: Broker, queue_metrics: QueueMetrics, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """Jobs that a limit holds back are queued, and counted beside that."""
    await broker.settings.limit(queues[2], QueueLimits(concurrency=1))
    await seed(broker, queues[2], 3)
    await queue_metrics.run_once()
    assert shown(metrics, "millstream_queue_parked_jobs") == {("email.send",): 0, ("report",): 2}
    assert shown(metrics, "millstream_queue_jobs")["report", "queued", "normal"] == 3


async def test_run_once_shows_how_the_keys_of_a_limited_queue_stand(
    broker: Broker, queue_metrics: QueueMetrics, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """Lanes, full keys and rate-limited keys are counted for types with limits, and no key is a label."""
    first, second, report = queues
    names = ("lanes", "keys_full", "keys_rate_limited")
    await queue_metrics.run_once()
    assert [shown(metrics, f"millstream_queue_{name}") for name in names] == [{}, {}, {}]
    await broker.settings.limit(first, QueueLimits(per_key=KeyLimits(rate="1/h")))
    await broker.settings.limit(second, QueueLimits(concurrency=1))
    await broker.settings.limit(report, QueueLimits(per_key=KeyLimits(concurrency=1)))
    for queue in (first, second, report):
        for key in ("acme", "acme", "other"):
            await seed(broker, queue, key=key)
    assert [len(await take(broker, queue)) for queue in queues] == [2, 1, 2]
    await queue_metrics.run_once()
    assert [shown(metrics, f"millstream_queue_{name}") for name in names] == [
        {("email.send",): 2, ("report",): 0},
        {("email.send",): 0, ("report",): 2},
        {("email.send",): 2, ("report",): 0},
    ]


async def test_run_once_drops_a_queue_that_is_gone(
    broker: Broker, queue_metrics: QueueMetrics, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """The values of a queue that is gone are removed, so that they raise no alert."""
    await seed(broker, queues[2], 5)
    await queue_metrics.run_once()
    assert shown(metrics, "millstream_queue_jobs")["report", "queued", "normal"] == 5
    await broker.client.srem(broker.keys.queues, queues[2].tag)
    await queue_metrics.run_once()
    for name in ("millstream_queue_jobs", "millstream_dead_jobs", "millstream_queue_oldest_ready_age_seconds"):
        assert {labels[0] for labels in shown(metrics, name)} == {"email.send"}


async def test_run_once_takes_the_tenants_of_a_type_together(
    broker: Broker, queue_metrics: QueueMetrics, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """The tenants of a type are summed, because a tenant is no label."""
    other = Queue(Tenant("acme"), JobType("email.send"))
    await broker.registry.add_queues([other])
    await seed(broker, other, 2)
    await seed(broker, queues[0], 1)
    await queue_metrics.run_once()
    assert shown(metrics, "millstream_queue_jobs")["email.send", "queued", "normal"] == 3


async def test_run_once_shows_the_others_when_a_queue_is_broken(
    broker: Broker, queue_metrics: QueueMetrics, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A broken queue fails the pass, and the gauges of the others are shown."""
    broken = Queue(DEFAULT_TENANT, JobType("a.broken.one"))
    await broker.registry.add_queues([broken])
    await broker.client.xadd(broker.keys.of(broken).due, {"a": "stream"})
    await seed(broker, queues[2], 5)
    with pytest.raises(Exception, match="WRONGTYPE"):
        await queue_metrics.run_once()
    assert shown(metrics, "millstream_queue_jobs")["report", "queued", "normal"] == 5
    assert shown(metrics, "millstream_wanted_workers")["report",] == 1
    await broker.client.delete(broker.keys.of(broken).due)


async def test_a_measurement_makes_up_for_a_lost_hint(
    broker: Broker,
    queue_metrics: QueueMetrics,
    shown_by: DispatcherMetrics,
    due: CheckSchedule,
    queues: list[Queue],
) -> None:
    """A measurement makes the promoter check a queue whose hint was lost."""
    promoter = Promoter(broker.store, due, shown_by, interval_s=INTERVAL_S)
    await promoter.run_once()
    (job_id,) = await seed(broker, queues[1], delay_ms=FAR_MS)
    await make_due(broker, queues[1], [job_id])
    assert (await promoter.run_once()).released == 0
    await queue_metrics.run_once()
    assert await promoter.wake.wait(0.0)
    assert (await promoter.run_once()).released == 1


async def test_a_measurement_tells_of_a_job_that_is_late(
    broker: Broker,
    queue_metrics: QueueMetrics,
    shown_by: DispatcherMetrics,
    expiring: CheckSchedule,
    queues: list[Queue],
) -> None:
    """A measurement makes the expirer check a queue with a late job."""
    expirer = Expirer(broker.store, expiring, shown_by, interval_s=INTERVAL_S)
    await expirer.run_once()
    (job_id,) = await seed(broker, queues[1], expires_at_ms=LONG_AGO_MS)
    assert (await expirer.run_once()).expired == 0
    await queue_metrics.run_once()
    assert await expirer.wake.wait(0.0)
    assert (await expirer.run_once()).expired == 1
    assert (await job_of(broker, queues[1], job_id)).state is JobState.EXPIRED


async def test_run_once_comes_back_before_others_would_have_to_look_themselves(
    queue_metrics: QueueMetrics, due: CheckSchedule, queues: list[Queue]
) -> None:
    """The measurement returns before the other duties would check the queues themselves."""
    queue_metrics.interval_s = INTERVAL_S
    next_in_s = (await queue_metrics.run_once()).next_in_s
    assert next_in_s is not None
    assert next_in_s < due.sleep_s()


async def test_a_queue_that_was_measured_costs_no_other_look(
    broker: Broker,
    queue_metrics: QueueMetrics,
    shown_by: DispatcherMetrics,
    due: CheckSchedule,
    expiring: CheckSchedule,
    queues: list[Queue],
) -> None:
    """A queue that was just measured is checked by neither the promoter nor the expirer, unless a gap came since."""
    seen = ScriptsSeen()
    store = JobStore(QueueScripts(broker.client, broker.keys, observer=seen))
    promoter = Promoter(store, due, shown_by, interval_s=INTERVAL_S)
    expirer = Expirer(store, expiring, shown_by, interval_s=INTERVAL_S)
    await seed(broker, queues[0], delay_ms=FAR_MS, expires_in_ms=2 * FAR_MS)
    await queue_metrics.run_once()
    await promoter.run_once()
    await expirer.run_once()
    assert seen.counts == {}
    # After a gap in the hints every queue is checked all the same.
    due.check_all_now()
    await promoter.run_once()
    assert seen.counts == {"release_due": len(queues)}


def worker(name: str, *types: str) -> WorkerInfo:
    """Return a worker with two slots for these types."""
    now = datetime.now(UTC)
    return WorkerInfo(name=name, types=list(types), concurrency=2, started_at=now, seen_at=now)


async def test_run_once_shows_how_many_workers_are_wanted(
    broker: Broker, queue_metrics: QueueMetrics, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """The demand of a type is that of all its partitions, and the fleet's that of all types, by the live workers."""
    await seed(broker, queues[0], 3)
    await seed(broker, queues[1], 2, delay_ms=30_000)
    await seed(broker, queues[2], 1, delay_ms=FAR_MS)
    await seed_running(broker, queues[2])
    await broker.registry.beat(worker("both", "email.send", "report"))
    await broker.registry.beat(worker("mail", "email.send"))
    await seed_worker(broker, worker("dead", "report"), silent_s=60.0)
    await queue_metrics.run_once()
    jobs = shown(metrics, "millstream_demand_jobs")
    assert {labels: n for labels, n in jobs.items() if n} == {
        ("email.send", "queued"): 3,
        ("email.send", "due_soon"): 2,
        ("report", "running"): 1,
    }
    assert shown(metrics, "millstream_demand_slots") == {("email.send",): 4, ("report",): 2}
    assert shown(metrics, "millstream_wanted_workers") == {("email.send",): 3, ("report",): 1}
    fleet = [shown(metrics, f"millstream_fleet_{name}")[()] for name in ("workers", "slots", "wanted_workers")]
    assert fleet == [2, 4, 3]


async def test_run_once_keeps_the_last_demand_while_redis_is_away(
    broker: Broker,
    queue_metrics: QueueMetrics,
    metrics: MetricRegistry,
    queues: list[Queue],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pass that did not measure every queue changes no demand: an autoscaler would stop workers that are needed."""
    await seed(broker, queues[2], 3)
    await queue_metrics.run_once()
    measure = broker.store.measure

    async def away(queue: Queue, *, due_soon_s: float = 0.0) -> Depths:
        if queue == queues[2]:
            raise StoreUnavailableError("away")
        return await measure(queue, due_soon_s=due_soon_s)

    monkeypatch.setattr(broker.store, "measure", away)
    with pytest.raises(StoreUnavailableError):
        await queue_metrics.run_once()
    assert shown(metrics, "millstream_demand_jobs")["report", "queued"] == 3
    assert shown(metrics, "millstream_fleet_wanted_workers") == {(): 1}
