"""The expirer expires jobs that did not start in time, in every queue, and sleeps until the next one."""

import anyio
import pytest
from streams.seeds import FAR_MS, LONG_AGO_MS, job_of, seed, seed_running

from millstream_contracts import DEFAULT_TENANT, JobState, JobType, Queue
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_dispatcher.expirer import Expirer
from millstream_streams import Broker, open_broker
from millstream_telemetry import DispatcherMetrics, MetricRegistry

INTERVAL_S = 600.0


def expirer(broker: Broker, metrics: MetricRegistry) -> Expirer:
    """Return an expirer that checks every queue every ten minutes."""
    schedule = CheckSchedule(broker.registry, INTERVAL_S)
    return Expirer(broker.store, schedule, DispatcherMetrics(metrics), interval_s=INTERVAL_S)


def finished(metrics: MetricRegistry, job_type: str, state: str) -> float:
    """Return how many jobs were counted as finished in this state."""
    return metrics.get_sample_value("millstream_jobs_finished_total", {"type": job_type, "state": state}) or 0.0


async def test_expirer_ends_what_is_late_on_every_queue(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """The expirer expires late ready and scheduled jobs of every queue, and leaves running and punctual ones."""
    running = await seed_running(broker, queues[0])
    late = [(queue, (await seed(broker, queue, expires_at_ms=LONG_AGO_MS))[0]) for queue in queues]
    late += [(queue, (await seed(broker, queue, delay_ms=FAR_MS, expires_at_ms=LONG_AGO_MS))[0]) for queue in queues]
    (in_time,) = await seed(broker, queues[0], expires_in_ms=FAR_MS)
    found = await expirer(broker, metrics).run_once()
    assert found.expired == 6
    for queue, job_id in late:
        assert (await job_of(broker, queue, job_id)).state is JobState.EXPIRED
    assert (await job_of(broker, queues[0], in_time)).state is JobState.QUEUED
    assert (await job_of(broker, queues[0], running.id)).state is JobState.RUNNING
    assert (finished(metrics, "email.send", "expired"), finished(metrics, "report", "expired")) == (4, 2)


async def test_expirer_comes_back_at_once_while_more_is_late_than_one_call_ends(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """While more jobs are late than one call expires, the expirer returns at once."""
    for _ in range(3):
        await seed(broker, queues[0], 100, expires_at_ms=LONG_AGO_MS)
    duty, passes = expirer(broker, metrics), []
    for _ in range(4):
        found = await duty.run_once()
        passes.append((found.expired, found.next_in_s == 0.0))
    assert passes == [(100, True), (100, True), (100, False), (0, False)]


async def test_dispatchers_that_expire_at_once_end_each_job_once(
    broker: Broker, redis_url: str, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """Several dispatchers expire each job once, and each counts its own."""
    await seed(broker, queues[0], 100, expires_at_ms=LONG_AGO_MS)
    totals: list[int] = []

    async def dispatch() -> None:
        async with open_broker(redis_url, namespace=broker.keys.namespace) as own:
            totals.append((await expirer(own, metrics).run_once()).expired)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(dispatch)
    assert sum(totals) == 100


async def test_expirer_comes_back_when_the_next_job_expires(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """The expirer returns when the next job expires."""
    await seed(broker, queues[0], expires_in_ms=300_000)
    await seed(broker, queues[2], delay_ms=FAR_MS, expires_in_ms=100_000)
    found = await expirer(broker, metrics).run_once()
    assert found.next_in_s is not None
    assert 90 < found.next_in_s <= 100


async def test_a_queue_that_is_broken_does_not_keep_the_expirer_from_the_others(
    broker: Broker, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A broken queue fails the pass, is checked again, and does not stop the others."""
    broken = Queue(DEFAULT_TENANT, JobType("a.broken.one"))
    key = broker.keys.of(broken).expiring
    await broker.registry.add_queues([broken])
    await broker.client.set(key, "of the wrong type")
    (late,) = await seed(broker, queues[2], expires_at_ms=LONG_AGO_MS)
    duty = expirer(broker, metrics)
    for _ in range(2):
        with pytest.raises(Exception, match="WRONGTYPE"):
            await duty.run_once()
    assert (await job_of(broker, queues[2], late)).state is JobState.EXPIRED
    await broker.client.delete(key)
    await duty.run_once()
