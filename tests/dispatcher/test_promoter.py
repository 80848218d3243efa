"""The promoter makes due jobs ready, once and in time, and sleeps until the next one."""

import anyio
import pytest
from streams.audit import audit
from streams.seeds import FAR_MS, LONG_AGO_MS, events, job_of, make_due, seed, seed_due, take
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, EventKind, JobState, JobType, Queue
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_dispatcher.promoter import Promoter, Promotion
from millstream_runtime import DutyRunner
from millstream_streams import Broker, JobStore, QueueScripts, Release, StoreUnavailableError, open_broker
from millstream_telemetry import DispatcherMetrics, DutyMetrics, MetricRegistry

INTERVAL_S = 600.0


@pytest.fixture
def schedule(broker: Broker) -> CheckSchedule:
    """Return a schedule with an interval of ten minutes, so that only hints count within a test."""
    return CheckSchedule(broker.registry, INTERVAL_S)


@pytest.fixture
def shown(metrics: MetricRegistry) -> DispatcherMetrics:
    """Return the metrics of a dispatcher."""
    return DispatcherMetrics(metrics)


@pytest.fixture
def promoter(broker: Broker, schedule: CheckSchedule, shown: DispatcherMetrics) -> Promoter:
    """Return a promoter with this schedule."""
    return Promoter(broker.store, schedule, shown, interval_s=INTERVAL_S)


def restless(broker: Broker) -> Promoter:
    """Return a promoter that checks every queue in each pass."""
    return Promoter(
        broker.store, CheckSchedule(broker.registry, 0.0), DispatcherMetrics(MetricRegistry()), interval_s=0.0
    )


async def until_released(promoter: Promoter, count: int) -> Promotion:
    """Run passes until this many jobs have been released; return the sum."""
    released = expired = 0

    async def are_released() -> bool:
        nonlocal released, expired
        found = await promoter.run_once()
        released += found.released
        expired += found.expired
        return released >= count

    await wait_until(are_released, f"{count} jobs are released")
    return Promotion(released=released, expired=expired)


async def test_run_once_releases_what_is_due_on_every_queue(
    broker: Broker, promoter: Promoter, queues: list[Queue]
) -> None:
    """A pass releases the due jobs of every queue and no others, and workers can claim them."""
    due = {queue: await seed_due(broker, queue, 2) for queue in queues}
    far = {queue: await seed(broker, queue, delay_ms=FAR_MS) for queue in queues}
    found = await promoter.run_once()
    assert (found.released, found.expired) == (6, 0)
    for queue in queues:
        assert {one.id for one in await take(broker, queue)} == set(due[queue])
        assert (await job_of(broker, queue, far[queue][0])).state is JobState.SCHEDULED


async def test_run_once_returns_when_the_next_job_is_due(
    broker: Broker, schedule: CheckSchedule, promoter: Promoter, queues: list[Queue]
) -> None:
    """A pass returns the earliest due time of all queues, and at most the interval."""
    assert (await promoter.run_once()).next_in_s == pytest.approx(INTERVAL_S, abs=5)
    await seed(broker, queues[0], delay_ms=300_000)
    await seed(broker, queues[2], delay_ms=100_000)
    schedule.check_all_now()
    found = await promoter.run_once()
    assert found.next_in_s is not None
    assert 90 < found.next_in_s <= 100
    await seed(broker, queues[1], delay_ms=FAR_MS)
    assert (await promoter.run_once()).next_in_s == pytest.approx(found.next_in_s, abs=5)


async def test_run_once_comes_back_at_once_while_more_is_due_than_one_call_moves(
    broker: Broker, promoter: Promoter, queues: list[Queue]
) -> None:
    """While more jobs are due than one call releases, the promoter returns at once."""
    queue = queues[0]
    ids = [job_id for _ in range(3) for job_id in await seed_due(broker, queue, 90)]
    found = await promoter.run_once()
    assert (found.released, found.next_in_s) == (100, 0.0)
    rest = await until_released(promoter, len(ids) - 100)
    assert rest.released == 170
    assert (await promoter.run_once()).next_in_s > 1


async def test_run_once_does_not_ask_queues_in_which_nothing_is_due(
    broker: Broker, schedule: CheckSchedule, promoter: Promoter, queues: list[Queue]
) -> None:
    """Between two full rounds a pass sends calls only for queues with a hint or a due job."""
    await promoter.run_once()
    (job_id,) = await seed(broker, queues[0], delay_ms=FAR_MS)
    await make_due(broker, queues[0], [job_id])
    # No hint was sent, and the next check of all queues is far.
    assert (await promoter.run_once()).released == 0
    schedule.check_now(queues[0])
    assert (await promoter.run_once()).released == 1


async def test_run_once_looks_at_everything_again_after_the_interval(broker: Broker, queues: list[Queue]) -> None:
    """After the interval a pass checks every queue, which bounds the delay of a lost hint."""
    promoter = restless(broker)
    await promoter.run_once()
    await seed_due(broker, queues[1])
    assert (await promoter.run_once()).released == 1


async def test_run_once_finds_a_queue_that_is_new(broker: Broker, queues: list[Queue]) -> None:
    """A pass checks a queue that was registered after the start."""
    promoter = restless(broker)
    await promoter.run_once()
    new = Queue(DEFAULT_TENANT, JobType("new"))
    await broker.registry.add_queues([new])
    await seed_due(broker, new)
    assert (await promoter.run_once()).released == 1
    await audit(broker, new)


async def test_run_once_ends_what_is_due_too_late(broker: Broker, promoter: Promoter, queues: list[Queue]) -> None:
    """A delayed job that has expired is not made ready."""
    (job_id,) = await seed(broker, queues[0], delay_ms=FAR_MS, expires_at_ms=LONG_AGO_MS)
    await make_due(broker, queues[0], [job_id])
    found = await promoter.run_once()
    assert (found.released, found.expired) == (0, 1)
    assert (await job_of(broker, queues[0], job_id)).state is JobState.EXPIRED


async def test_two_dispatchers_release_each_job_once(broker: Broker, redis_url: str, queues: list[Queue]) -> None:
    """Two active dispatchers release each job once."""
    ids = {queue: [one for _ in range(2) for one in await seed_due(broker, queue, 60)] for queue in queues}
    totals: list[int] = []

    async def dispatch() -> None:
        async with open_broker(redis_url, namespace=broker.keys.namespace) as own:
            promoter = restless(own)
            released = 0
            while (found := await promoter.run_once()).released:
                released += found.released
            totals.append(released)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(dispatch)
    # One that found nothing may have looked while another still worked.
    assert sum(totals) == 360
    for queue in queues:
        released = [
            transition.id
            for event in await events(broker, queue)
            if event.kind is EventKind.RELEASED
            for transition in event.jobs
        ]
        assert sorted(released) == sorted(ids[queue])


async def test_a_hint_wakes_the_promoter_before_its_interval(
    broker: Broker, schedule: CheckSchedule, promoter: Promoter, metrics: MetricRegistry, queues: list[Queue]
) -> None:
    """A hint wakes the promoter for a job that is due before the interval ends."""
    queue, stop = queues[0], anyio.Event()
    await seed(broker, queue, delay_ms=FAR_MS)
    heard = anyio.Event()

    def on_gap() -> None:
        schedule.check_all_now()
        heard.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(broker.listen_due, schedule.check_now, on_gap)
        tasks.start_soon(DutyRunner([promoter], DutyMetrics(metrics, "dispatcher")).run, stop)
        await heard.wait()
        (soon,) = await seed(broker, queue, delay_ms=50)

        async def is_ready() -> bool:
            return (await job_of(broker, queue, soon)).state is JobState.QUEUED

        await wait_until(is_ready, "the job is ready")
        stop.set()
        tasks.cancel_scope.cancel()


async def test_a_hint_that_comes_while_its_queue_is_looked_at_is_not_lost(
    broker: Broker, schedule: CheckSchedule, shown: DispatcherMetrics, queues: list[Queue]
) -> None:
    """A hint that arrives during the check of its queue is not overwritten by the result of that check."""
    queue = queues[0]

    class Overtaken(JobStore):
        """A store whose first response is overtaken by a hint."""

        async def release_due(self, queue: Queue, *, limit: int = 100) -> Release:
            found = await super().release_due(queue, limit=limit)
            if not overtaking and queue == queues[0]:
                overtaking.extend(await seed(broker, queue, delay_ms=1))
                schedule.check_now(queue)
            return found

    overtaking: list[str] = []
    await seed(broker, queue, delay_ms=FAR_MS)
    promoter = Promoter(Overtaken(QueueScripts(broker.client, broker.keys)), schedule, shown, interval_s=INTERVAL_S)
    found = await promoter.run_once()
    assert overtaking
    assert found.next_in_s == 0.0
    await until_released(promoter, 1)


async def test_a_queue_that_is_broken_does_not_keep_the_others_waiting(
    broker: Broker, promoter: Promoter, queues: list[Queue]
) -> None:
    """A broken queue fails the pass, and the jobs of the others are released."""
    broken = Queue(DEFAULT_TENANT, JobType("a.broken.one"))
    await broker.registry.add_queues([broken])
    await broker.client.xadd(broker.keys.of(broken).due, {"a": "stream"})
    ids = [job_id for queue in queues for job_id in await seed_due(broker, queue)]
    with pytest.raises(Exception, match="WRONGTYPE"):
        await promoter.run_once()
    for queue, job_id in zip(queues, ids, strict=True):
        assert (await job_of(broker, queue, job_id)).state is JobState.QUEUED
    await broker.client.delete(broker.keys.of(broken).due)


async def test_a_pass_without_redis_fails_and_the_next_one_does_all_of_it(
    broker: Broker, schedule: CheckSchedule, shown: DispatcherMetrics, queues: list[Queue]
) -> None:
    """A pass without Redis fails, and the next one releases all of its jobs."""

    class Away(JobStore):
        """A store that is away while the test says so."""

        is_away = False

        async def release_due(self, queue: Queue, *, limit: int = 100) -> Release:
            if self.is_away and queue == queues[1]:
                raise StoreUnavailableError("away")
            return await super().release_due(queue, limit=limit)

    store = Away(QueueScripts(broker.client, broker.keys))
    promoter = Promoter(store, schedule, shown, interval_s=INTERVAL_S)
    ids = {queue: (await seed_due(broker, queue))[0] for queue in queues}
    store.is_away = True
    with pytest.raises(StoreUnavailableError):
        await promoter.run_once()
    store.is_away = False
    # Whatever the runner waits after a failure, the pass after it must not wait for an interval.
    await promoter.run_once()
    for queue, job_id in ids.items():
        assert (await job_of(broker, queue, job_id)).state is JobState.QUEUED
