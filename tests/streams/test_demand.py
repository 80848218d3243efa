"""The demand for workers follows from what queues hold and from the workers that live."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from streams.seeds import FAR_MS, make_due, seed, seed_running, take

from millstream_contracts import Demand, Queue, WorkerInfo
from millstream_streams import Broker, Depths, available, demand_of
from millstream_streams.reading.demand import ALIVE_FOR, wanted_workers

NOW = datetime(2026, 11, 27, tzinfo=UTC)
NOW_MS = round(NOW.timestamp() * 1000)


def worker(**more: Any) -> WorkerInfo:
    """Return a worker with ten slots that was heard of just now."""
    fields = {"name": "w:1:a", "types": ["email.send"], "concurrency": 10, "started_at": NOW, "seen_at": NOW}
    return WorkerInfo(**fields | more)


def depths(**more: Any) -> Depths:
    """Return what an empty queue holds, but for this."""
    empty = {"queued": (0, 0, 0), "oldest_ready_age_ms": 0, "oldest_dead_age_ms": 0, "events": 0, "paused": False}
    return Depths(**empty | {"running": 0, "scheduled": 0, "dead": 0} | more)


@pytest.mark.parametrize(
    ("jobs", "workers", "slots", "wanted"),
    [
        (0, 0, 0, 0),
        (1, 0, 0, 1),
        (1_000_000, 0, 0, 1),
        (0, 3, 30, 0),
        (1, 3, 30, 1),
        (10, 1, 10, 1),
        (11, 1, 10, 2),
        (30, 3, 30, 3),
        (31, 3, 30, 4),
        (10, 2, 3, 7),
        (5, 1, 0, 1),
    ],
)
def test_as_many_workers_are_wanted_as_have_a_slot_for_each_job(
    jobs: int, workers: int, slots: int, wanted: int
) -> None:
    """New workers are taken to have as many slots as live ones have on average; without a live one, one is wanted."""
    assert wanted_workers(jobs, workers=workers, slots=slots) == wanted


def test_the_demand_is_the_sum_over_queues() -> None:
    """Jobs that are ready, that run and that are due soon are summed, and the oldest age counts."""
    queues = [
        depths(queued=(1, 2, 3), running=4, scheduled=50, due_soon=5, oldest_ready_age_ms=1500),
        depths(queued=(0, 1, 0), dead=9, oldest_ready_age_ms=2500),
    ]
    assert demand_of(queues, [worker(concurrency=4), worker(concurrency=6)]) == Demand(
        queued=7, running=4, due_soon=5, oldest_ready_age_s=2.5, slots=10, wanted_workers=4
    )


def test_jobs_that_wait_in_a_paused_queue_want_no_worker() -> None:
    """Of a paused queue only the jobs count that run."""
    paused = depths(queued=(1, 2, 3), running=1, scheduled=5, due_soon=5, oldest_ready_age_ms=1500, paused=True)
    assert demand_of([paused], []) == Demand(
        queued=0, running=1, due_soon=0, oldest_ready_age_s=0.0, slots=0, wanted_workers=1
    )


def test_only_workers_count_that_live_and_take_jobs() -> None:
    """A worker that is silent for longer than `ALIVE_FOR`, or that is stopping, has no slots to offer."""
    alive = worker(seen_at=NOW - ALIVE_FOR)
    others = [worker(seen_at=NOW - ALIVE_FOR - timedelta(seconds=1)), worker(state="draining")]
    assert available([alive, *others], NOW_MS) == [alive]


async def test_each_kind_of_job_that_needs_a_worker_is_measured(broker: Broker, queue: Queue) -> None:
    """Jobs that a dead worker holds count as running, and late jobs as due soon, like those that are due in time."""
    await seed_running(broker, queue, "dead")
    await seed(broker, queue, 2, delay_ms=30_000)
    await make_due(broker, queue, await seed(broker, queue, delay_ms=FAR_MS))
    await seed(broker, queue, 3, delay_ms=FAR_MS)
    await seed(broker, queue, 4)
    await take(broker, queue, "dead", limit=1)
    found = demand_of([await broker.store.measure(queue, due_soon_s=60.0)], [])
    assert (found.queued, found.running, found.due_soon, found.wanted_workers) == (3, 2, 3, 1)


async def test_a_measurement_tells_the_clock_what_time_it_is_on_redis(broker: Broker, queue: Queue) -> None:
    """The clock of the broker learns from each measurement, so that ages of heartbeats are by the clock of Redis."""
    clock = broker.clock
    clock.heard(1e9, clock.asking())
    assert clock.now_s() < 1.1e9
    await broker.store.measure(queue)
    seconds, _ = await broker.client.time()
    assert clock.now_s() == pytest.approx(seconds, abs=5)
