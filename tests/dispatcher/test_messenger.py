"""The messenger tells blocked jobs of their parents, and the linker tells parents of blocked jobs."""

import anyio
import pytest
from streams.seeds import ERROR, commit, fields_of, job_of, new_job, seed, seed_running, take_one
from waiting import wait_until

from millstream_contracts import Cancelled, Dead, JobId, JobState, Queue, new_job_id
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_dispatcher.flow_teller import FlowTeller
from millstream_dispatcher.linker import Linker
from millstream_dispatcher.messenger import Messenger
from millstream_runtime import DutyRunner
from millstream_streams import Blocked, Broker, DependencyStore, Parents, StoreError
from millstream_submission import Dependencies
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
def messenger(broker: Broker, schedule: CheckSchedule, shown: DispatcherMetrics) -> Messenger:
    """Return a messenger with this schedule."""
    return Messenger(broker.dependencies, FlowTeller(broker), schedule, shown, interval_s=INTERVAL_S)


@pytest.fixture
def linker(broker: Broker, shown: DispatcherMetrics) -> Linker:
    """Return a linker that looks at every queue in each pass."""
    dependencies = Dependencies(broker.dependencies, broker.views)
    return Linker(broker.dependencies, dependencies, CheckSchedule(broker.registry, 0.0), shown, interval_s=0.0)


async def seed_child(broker: Broker, queue: Queue, *parents: JobId, linked: bool = True) -> JobId:
    """Store a job that waits for these, with the parents told of it or not."""
    job = new_job(queue, parents=Parents(parents, parents))
    await broker.store.enqueue(queue, [job])
    if linked:
        await Dependencies(broker.dependencies, broker.views).link(queue, [Blocked(job.id, list(parents))])
    else:
        await broker.client.zadd(broker.keys.of(queue).blocked, {job.id: 1})
    return job.id


async def until_quiet(broker: Broker, messenger: Messenger, queues: list[Queue]) -> None:
    """Run passes until all is told."""

    async def is_quiet() -> bool:
        await messenger.run_once()
        return not sum([(await broker.store.measure(queue)).outbox for queue in queues])

    await wait_until(is_quiet, "all is told")


async def test_a_child_in_another_queue_starts_when_its_parents_have_succeeded(
    broker: Broker, messenger: Messenger, queues: list[Queue], metrics: MetricRegistry
) -> None:
    """Parents of two queues start a child of a third, by one pass over all queues."""
    parents = [await seed_running(broker, queue) for queue in queues[:2]]
    child = await seed_child(broker, queues[2], *(one.id for one in parents))
    for one in parents:
        await commit(broker, one)
    await until_quiet(broker, messenger, queues)
    assert (await job_of(broker, queues[2], child)).state is JobState.QUEUED
    assert metrics.get_sample_value("millstream_resolved_total", {"outcome": "ready"}) == 1
    await take_one(broker, queues[2])


async def test_a_hint_wakes_the_messenger(
    broker: Broker, messenger: Messenger, schedule: CheckSchedule, queues: list[Queue], metrics: MetricRegistry
) -> None:
    """A job whose parent ends starts at once: the end of the parent wakes the messenger."""
    runner = DutyRunner([messenger], DutyMetrics(metrics, "dispatcher"))
    parent = await seed_running(broker, queues[0])
    child = await seed_child(broker, queues[2], parent.id)
    stop, ready = anyio.Event(), anyio.Event()

    def listening() -> None:
        schedule.check_all_now()
        ready.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(broker.listen_outbox, schedule.check_now, listening)
        tasks.start_soon(runner.run, stop)
        await ready.wait()
        await messenger.run_once()
        await commit(broker, parent)

        async def is_ready() -> bool:
            return (await job_of(broker, queues[2], child)).state is JobState.QUEUED

        await wait_until(is_ready, "the child is ready")
        stop.set()
        tasks.cancel_scope.cancel()


async def test_what_a_killed_messenger_leaves_is_told_after_its_lease(
    broker: Broker, messenger: Messenger, queues: list[Queue]
) -> None:
    """News that a dispatcher took and did not tell are told by another once the lease is over."""
    parent = await seed_running(broker, queues[0])
    child = await seed_child(broker, queues[2], parent.id)
    await commit(broker, parent)
    news, _ = await broker.dependencies.take_news(queues[0], lease_s=0.05)
    assert [one.children for one in news] == [[child]]
    await until_quiet(broker, messenger, queues)
    assert (await job_of(broker, queues[2], child)).state is JobState.QUEUED


async def test_a_queue_that_fails_keeps_no_other_child_waiting(
    broker: Broker, messenger: Messenger, queues: list[Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Children on a node that is away are told later, and those of other queues at once."""
    parent = await seed_running(broker, queues[0])
    there, away = await seed_child(broker, queues[2], parent.id), await seed_child(broker, queues[1], parent.id)
    await commit(broker, parent)
    resolve = DependencyStore.resolve

    async def fail(store: DependencyStore, queue: Queue, edges: object) -> object:
        if queue == queues[1]:
            raise StoreError("a broken key")
        return await resolve(store, queue, edges)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(DependencyStore, "resolve", fail)
        with pytest.raises(StoreError):
            await messenger.run_once()
    assert (await job_of(broker, queues[2], there)).state is JobState.QUEUED
    assert "ttl" in await fields_of(broker, queues[0], parent.id)
    await broker.client.zadd(broker.keys.of(queues[0]).outbox, {parent.id: 1})
    await until_quiet(broker, messenger, queues)
    assert (await job_of(broker, queues[1], away)).state is JobState.QUEUED


async def test_a_child_that_was_never_linked_is_linked_later(
    broker: Broker, messenger: Messenger, linker: Linker, queues: list[Queue]
) -> None:
    """A blocked job whose submitter died before its parents knew of it is found by the linker."""
    parent = await seed_running(broker, queues[0])
    child = await seed_child(broker, queues[2], parent.id, linked=False)
    assert (await linker.run_once()).looked_at == 1
    await commit(broker, parent)
    await until_quiet(broker, messenger, queues)
    assert (await job_of(broker, queues[2], child)).state is JobState.QUEUED


async def test_a_child_whose_parent_ended_before_it_was_linked_starts_by_the_linker(
    broker: Broker, linker: Linker, queues: list[Queue]
) -> None:
    """The linker tells a job of a parent that has ended, also when the message of its end was lost."""
    parent = await seed_running(broker, queues[0])
    child = await seed_child(broker, queues[2], parent.id, linked=False)
    await commit(broker, parent)
    await linker.run_once()
    assert (await job_of(broker, queues[2], child)).state is JobState.QUEUED


async def test_a_child_of_a_forgotten_parent_is_a_dead_letter(
    broker: Broker, linker: Linker, queues: list[Queue], metrics: MetricRegistry
) -> None:
    """A parent that was forgotten before its child was linked makes it a dead letter, which names it and is counted."""
    child = await seed_child(broker, queues[2], missing := new_job_id(queues[0]), linked=False)
    await linker.run_once()
    job = await job_of(broker, queues[2], child)
    assert (job.state, job.reason, job.because_of) == (JobState.DEAD, "parent_unknown", missing)
    ends = {state: finished(metrics, queues[2], state) for state in (JobState.DEAD, JobState.CANCELLED)}
    assert ends == {JobState.DEAD: 1, JobState.CANCELLED: 0}


async def test_a_child_of_a_cancelled_parent_is_counted_as_cancelled(
    broker: Broker, linker: Linker, queues: list[Queue], metrics: MetricRegistry
) -> None:
    """A parent that was cancelled cancels its child, and metrics count it so."""
    parent = await seed_running(broker, queues[0])
    await seed_child(broker, queues[2], parent.id, linked=False)
    await commit(broker, parent, Cancelled("not wanted"))
    await linker.run_once()
    ends = {state: finished(metrics, queues[2], state) for state in (JobState.DEAD, JobState.CANCELLED)}
    assert ends == {JobState.DEAD: 0, JobState.CANCELLED: 1}


def finished(metrics: MetricRegistry, queue: Queue, state: JobState) -> float:
    """Return how many jobs of a queue were counted as ended in a state."""
    return metrics.get_sample_value("millstream_jobs_finished_total", {"type": queue.type, "state": state}) or 0.0


async def test_a_dead_parent_is_told_once(broker: Broker, messenger: Messenger, queues: list[Queue]) -> None:
    """A dead letter for which others wait is out of the outbox once they know, and goes on to be waited for."""
    parent = await seed_running(broker, queues[0])
    child = await seed_child(broker, queues[2], parent.id)
    await commit(broker, parent, Dead("attempts", ERROR))
    await until_quiet(broker, messenger, queues)
    assert (await job_of(broker, queues[2], child)).state is JobState.BLOCKED
    assert await broker.views.children(queues[0], parent.id, 10) == ([child], 1)
    await broker.store.redrive(queues[0], [parent.id])
    await commit(broker, await take_one(broker, queues[0]))
    await until_quiet(broker, messenger, queues)
    assert (await job_of(broker, queues[2], child)).state is JobState.QUEUED


async def test_a_full_outbox_is_told_by_rounds(broker: Broker, messenger: Messenger, queues: list[Queue]) -> None:
    """More children than one round takes are all told, whatever their number."""
    parent = await seed_running(broker, queues[0])
    jobs = [new_job(queues[2], parents=Parents((parent.id,), (parent.id,))) for _ in range(250)]
    for start in range(0, 250, 50):
        some = jobs[start : start + 50]
        await broker.store.enqueue(queues[2], some)
        await broker.dependencies.listen(queues[0], [(parent.id, job.id) for job in some])
    await commit(broker, parent)
    await until_quiet(broker, messenger, queues)
    assert sum((await broker.store.measure(queues[2])).queued) == 250
    assert (await seed(broker, queues[2])) != []
