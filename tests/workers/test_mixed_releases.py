"""With workers of two releases side by side, every job fares as well as with the release that accepts it alone."""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from waiting import wait_until
from workers.floor import Floor, Hired, queue_of_id, queue_of_type

from millstream import App
from millstream_contracts import (
    Backoff,
    Job,
    JobId,
    JobState,
    JobType,
    Queue,
    Tenant,
    TypePolicy,
    TypeRegistration,
    new_job_id,
)
from millstream_streams import Broker, Delivery, NewJob, open_broker
from millstream_workers.attempt.attempt_result import Unreadable
from millstream_workers.fetching.partition_finder import PartitionFinder
from millstream_workers.fetching.release_finder import ReleaseFinder
from millstream_workers.serving import Served

TYPE = "order.ship"


class OldOrder(msgspec.Struct, forbid_unknown_fields=True):
    """An order as the older release defines it."""

    number: int


class NewOrder(msgspec.Struct, forbid_unknown_fields=True):
    """An order as the newer release defines it."""

    number: str
    country: str


OLD, NEW = {"number": 7}, {"number": "7", "country": "nl"}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the wait of a job that is left to another release."""
    monkeypatch.setattr("millstream_workers.fetching.release_finder.ELSEWHERE_AFTER", Backoff(base_s=0.02, cap_s=0.04))


@pytest.fixture
def ran() -> Counter[str]:
    """Return how often each release has run its handler."""
    return Counter()


def app_of(release: str, order: type[msgspec.Struct], ran: Counter[str], *, partitions: int = 1) -> App:
    """Return one release of an application with one job type."""
    app = App(release)

    async def ship(payload: msgspec.Struct) -> str:
        ran[release] += 1
        return release

    ship.__annotations__["payload"] = order
    app.job(TYPE, partitions=partitions)(ship)
    return app


async def hire_old(floor: Floor, ran: Counter[str], **settings: object) -> Hired:
    """Start a worker of the older release."""
    return await floor.hire(app_of("old", OldOrder, ran), code_version="1", beat_every_s=0.05, **settings)


async def hire_new(floor: Floor, ran: Counter[str], **settings: object) -> Hired:
    """Start a worker of the newer release."""
    return await floor.hire(app_of("new", NewOrder, ran), code_version="2", beat_every_s=0.05, **settings)


async def send_away(floor: Floor, hired: Hired) -> None:
    """Let a worker drain and leave."""
    hired.orders.stop.set()
    await wait_until(hired.is_gone.is_set, "the worker is gone")


async def was_passed_on(floor: Floor, job_id: JobId) -> bool:
    """Return whether a worker has left a job to another release."""
    await floor.broker.store.release_due(queue_of_id(job_id))
    return (await floor.job(job_id)).deliveries >= 2


def costs(job: Job) -> tuple[JobState, int, int, int]:
    """Return the state of a job, and its attempts, crashes and hand-backs."""
    return job.state, job.attempts, job.crashes, job.handbacks


async def test_each_release_runs_what_it_can_read(floor: Floor, ran: Counter[str]) -> None:
    """A job that a worker of the wrong release claims costs nothing, and runs once, on the other release."""
    await hire_old(floor, ran)
    await hire_new(floor, ran)
    ids = await floor.submit_many(TYPE, [OLD, NEW] * 10)
    jobs = [await floor.settled(job_id) for job_id in ids]
    assert {costs(job) for job in jobs} == {(JobState.SUCCEEDED, 1, 0, 0)}
    assert [job.result for job in jobs] == ["old", "new"] * 10
    assert ran == {"old": 10, "new": 10}


async def test_job_waits_for_the_release_that_takes_it(floor: Floor, ran: Counter[str]) -> None:
    """A job waits for the release that can read it, also while all workers of that release are busy."""
    old, new = await hire_old(floor, ran), await hire_new(floor, ran)
    old.worker.parts.fetcher.stop()
    await wait_until(lambda: old.worker.parts.fetcher.has_ended, "the older release takes nothing for now")
    job_id = await floor.submit(TYPE, OLD)
    await wait_until(lambda: was_passed_on(floor, job_id), "the newer release has passed it on again and again")
    assert (await floor.job(job_id)).state is not JobState.DEAD
    await hire_old(floor, ran)
    assert costs(await floor.settled(job_id)) == (JobState.SUCCEEDED, 1, 0, 0)
    assert new.is_running


async def test_job_that_no_release_can_read_is_dead_once_each_has_tried(floor: Floor, ran: Counter[str]) -> None:
    """A job that no release can read is buried once each release has tried."""
    await hire_old(floor, ran)
    await hire_new(floor, ran)
    job_id = await floor.submit(TYPE, "no order at all")
    job = await floor.settled(job_id)
    assert (*costs(job), job.reason) == (JobState.DEAD, 1, 0, 0, "invalid_payload")
    tried = await floor.broker.client.hget(floor.broker.keys.of(queue_of_id(job_id)).job(job_id), "unread_by")
    assert len(tried.split()) == 2
    assert not ran


async def test_job_is_dead_when_the_release_that_takes_it_is_gone(
    floor: Floor, ran: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job whose release has left is buried, and can be redriven when the release comes back."""
    monkeypatch.setattr("millstream_workers.registrar.COUNTS_FOR_AT_LEAST_S", 2.0)
    old = await hire_old(floor, ran)
    await hire_new(floor, ran)
    old.worker.parts.fetcher.stop()
    await wait_until(lambda: old.worker.parts.fetcher.has_ended, "the older release takes nothing for now")
    job_id = await floor.submit(TYPE, OLD)
    await wait_until(lambda: was_passed_on(floor, job_id), "the newer release has passed it on")
    await send_away(floor, old)
    assert (await floor.settled(job_id)).reason == "invalid_payload"
    await hire_old(floor, ran)
    await floor.broker.store.redrive(queue_of_id(job_id), [job_id])
    assert (await floor.settled(job_id)).result == "old"


async def test_job_of_a_release_alone_is_dead_at_once(floor: Floor, ran: Counter[str]) -> None:
    """With one release alone, a job that it cannot read is buried at once."""
    await hire_new(floor, ran)
    await hire_new(floor, ran)
    job_id = await floor.submit(TYPE, OLD)
    job = await floor.settled(job_id)
    assert (job.reason, job.deliveries) == ("invalid_payload", 1)


NEWER = {
    "unknown option of a backoff": {"backoff": {"kind": "linear", "floor_s": 3.0}},
    "unknown field": {"ninth": "at midnight"},
}
UNKNOWN = {"unknown kind of backoff": {"backoff": {"kind": "fibonacci"}}}


def spec_of(backoff: object = None, **added: object) -> bytes:
    """Return the spec of a job as a future release would write it."""
    return msgspec.msgpack.encode([OLD, 1_700_000_000_000, "", "", None, None, backoff, {"a": "b"}, *added.values()])


@pytest.mark.parametrize("added", [*NEWER.values(), *UNKNOWN.values()], ids=[*NEWER, *UNKNOWN])
async def test_job_with_settings_of_a_newer_release_is_left_to_it(
    floor: Floor, ran: Counter[str], added: dict[str, object]
) -> None:
    """A job with settings that only a newer release knows is left to that release."""
    await hire_old(floor, ran)
    await register_newer(floor.broker)
    job = await store(floor, spec_of(**added))
    await wait_until(lambda: was_passed_on(floor, job.id), "the older release has passed it on")
    assert (await floor.job(job.id)).state is not JobState.DEAD
    assert not ran
    await floor.broker.store.cancel(queue_of_id(job.id), [job.id])


@pytest.mark.parametrize("added", NEWER.values(), ids=NEWER)
async def test_job_with_settings_of_a_newer_release_that_is_gone_is_run_without_them(
    floor: Floor, ran: Counter[str], added: dict[str, object]
) -> None:
    """After a rollback the older release runs a job without the newer settings, which stay visible on the job."""
    await hire_old(floor, ran)
    job = await store(floor, spec_of(**added))
    found = await floor.settled(job.id)
    assert (found.result, found.payload, found.tags, found.deliveries) == ("old", OLD, {"a": "b"}, 1)


async def test_job_whose_settings_no_release_that_is_left_can_read_is_dead(floor: Floor, ran: Counter[str]) -> None:
    """A job whose settings no remaining release can read is buried with an error that says that the job is at fault."""
    await hire_old(floor, ran)
    await register_newer(floor.broker)
    job = await store(floor, spec_of(**UNKNOWN["unknown kind of backoff"]))
    await wait_until(lambda: was_passed_on(floor, job.id), "the older release has passed it on")
    await floor.broker.registry.leave("newer")
    found = await floor.settled(job.id)
    assert found.error is not None
    assert (found.reason, found.error.type) == ("invalid_payload", "millstream_workers.errors.UnreadableJobError")


async def store(floor: Floor, spec: bytes) -> NewJob:
    """Store a job with a spec that this release would not write."""
    queue = queue_of_type(TYPE)
    job = NewJob(id=new_job_id(queue), spec=spec)
    await floor.broker.store.enqueue(queue, [job])
    return job


async def register_newer(broker: Broker) -> None:
    """Put a worker of a future release on the list."""
    newer = TypeRegistration(type=JobType(TYPE), policy=TypePolicy(), code_version="3")
    await broker.registry.add_types(queue_of_type(TYPE).tenant, [newer], worker="newer", alive_for=timedelta(minutes=5))


async def test_spec_of_an_older_release_has_defaults_for_what_it_lacks(floor: Floor, ran: Counter[str]) -> None:
    """A spec of an older release gets defaults for the fields that it lacks."""
    await hire_old(floor, ran)
    job = await store(floor, msgspec.msgpack.encode([OLD, 1_700_000_000_000]))
    assert (await floor.settled(job.id)).result == "old"


async def test_job_waits_when_the_registry_cannot_be_asked(floor: Floor, tmp_path: Path, ran: Counter[str]) -> None:
    """A job waits, and is not buried, while the registry cannot be asked for other releases."""
    app = app_of("new", NewOrder, ran)
    queue = queue_of_type(TYPE)
    await floor.broker.registry.add_queues([queue])
    await floor.submit(TYPE, OLD)
    claim = await floor.broker.store.claim(queue, consumer="w", nonce="n", limit=1)
    async with open_broker("redis://127.0.0.1:1/0", patience_s=0.0) as away:
        finder = ReleaseFinder(away.store, away.registry, app.handlers, code_version="2")  # type: ignore[arg-type]
        found = await finder.look(claim.deliveries[0], ValueError("no order"))
    assert isinstance(found, Unreadable)
    assert found.elsewhere_after_s is not None
    await floor.broker.store.hand_back(queue, worker="w", deliveries=claim.deliveries)


class CountedRegistry:
    """A registry that counts how often it was asked for registrations."""

    def __init__(self, broker: Broker) -> None:
        self._registry = broker.registry
        self.asked = 0

    async def registrations(self, tenant: Tenant) -> Any:
        """Return what every live release has registered."""
        self.asked += 1
        return await self._registry.registrations(tenant)


def finder_of(floor: Floor, ran: Counter[str], version: str, registry: object = None) -> ReleaseFinder:
    """Return the finder with which a worker of a release looks for other releases."""
    app = app_of("new", NewOrder, ran)
    return ReleaseFinder(
        floor.broker.store,
        registry or floor.broker.registry,  # type: ignore[arg-type]
        app.handlers,  # type: ignore[arg-type]
        code_version=version,
    )


async def register(floor: Floor, ran: Counter[str], version: str) -> None:
    """Put a worker of a release on the list."""
    (handler,) = app_of("new", NewOrder, ran).handlers.values()
    await floor.broker.registry.add_types(
        queue_of_type(TYPE).tenant,
        [handler.registration(version)],
        worker=f"worker of {version}",
        alive_for=timedelta(minutes=5),
    )


async def delivery_of(floor: Floor) -> Delivery:
    """Return the delivery of a job that no release can read, claimed by this test."""
    queue = queue_of_type(TYPE)
    await floor.submit(TYPE, "no order at all")
    (delivery,) = (await floor.broker.store.claim(queue, consumer="w", nonce="n", limit=1)).deliveries
    return delivery


async def test_job_is_not_buried_by_an_answer_that_a_new_release_has_outdated(
    floor: Floor, ran: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job is buried only after a fresh answer of the registry says that each release has tried it."""
    monkeypatch.setattr("millstream_workers.fetching.release_finder.FRESH_FOR_S", 600.0)
    delivery, error = await delivery_of(floor), ValueError("no order")
    await register(floor, ran, "1")
    finder = finder_of(floor, ran, "2")
    assert (await finder.look(delivery, error)).elsewhere_after_s is not None
    await register(floor, ran, "3")
    assert (await finder_of(floor, ran, "1").look(delivery, error)).elsewhere_after_s is not None
    assert (await finder.look(delivery, error)).elsewhere_after_s is not None, "release 3 has not tried"
    await finder_of(floor, ran, "3").look(delivery, error)
    assert (await finder.look(delivery, error)).elsewhere_after_s is None


@pytest.mark.parametrize(("fresh_for_s", "asked"), [(600.0, 1), (0.0, 10)], ids=["fresh", "stale"])
async def test_registry_is_asked_once_for_as_long_as_its_answer_is_fresh(
    floor: Floor, ran: Counter[str], monkeypatch: pytest.MonkeyPatch, fresh_for_s: float, asked: int
) -> None:
    """The registry is asked once for as long as its answer is fresh, and again afterwards."""
    monkeypatch.setattr("millstream_workers.fetching.release_finder.FRESH_FOR_S", fresh_for_s)
    delivery, registry = await delivery_of(floor), CountedRegistry(floor.broker)
    await register(floor, ran, "1")
    finder = finder_of(floor, ran, "2", registry)
    for _ in range(10):
        await finder.look(delivery, ValueError("no order"))
    assert registry.asked == asked


async def test_jobs_that_wait_for_another_release_do_not_come_back_together(
    floor: Floor, ran: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs that wait for another release come back spread between half of the bound and all of it."""
    monkeypatch.setattr("millstream_workers.fetching.release_finder.ELSEWHERE_AFTER", Backoff(base_s=8.0, cap_s=8.0))
    delivery = await delivery_of(floor)
    await register(floor, ran, "1")
    finder = finder_of(floor, ran, "2")
    times = [(await finder.look(delivery, ValueError("no order"))).elsewhere_after_s or 0.0 for _ in range(30)]
    assert len(set(times)) > 1
    assert all(4.0 <= time_s <= 8.0 for time_s in times)


async def test_partitions_that_were_found_are_told_once(floor: Floor) -> None:
    """Partitions that were found are reported once, so that the worker does not read any of them twice."""
    found: list[list[Queue]] = []
    known = queue_of_type(TYPE)

    async def take_up(queues: list[Queue]) -> None:
        found.append(queues)

    def is_known(queue: Queue) -> bool:
        return queue == known or any(queue in queues for queues in found)

    finder = PartitionFinder(
        floor.broker.registry, Served(), [known.type], is_known=is_known, found=take_up, keep=lambda _: None
    )
    further = [queue_of_type(TYPE, 1), queue_of_type(TYPE, 2)]
    await floor.broker.registry.add_queues([known, *further, queue_of_type("another.type")])
    for _ in range(3):
        await finder.run_once()
    assert [sorted(queues, key=lambda one: one.partition) for queues in found] == [further]


async def test_partitions_of_an_older_release_are_drained_by_a_newer_with_fewer(
    floor: Floor, ran: Counter[str]
) -> None:
    """A newer release with fewer partitions drains the further partitions of an older release."""
    ids = [await floor.submit(TYPE, OLD, partition=partition) for partition in range(4)]
    await floor.hire(app_of("fewer", OldOrder, ran, partitions=1))
    assert {(await floor.settled(job_id)).result for job_id in ids} == {"fewer"}


async def test_partitions_of_a_newer_release_are_drained_by_an_older_with_fewer(
    floor: Floor, ran: Counter[str], quick_finder: None
) -> None:
    """After a rollback, an older release with fewer partitions drains the further partitions of the newer one."""
    await floor.hire(app_of("fewer", OldOrder, ran, partitions=1))
    more = await floor.hire(app_of("more", OldOrder, ran, partitions=4))
    await send_away(floor, more)
    ids = [await floor.submit(TYPE, OLD, partition=partition) for partition in range(4)]
    assert {(await floor.settled(job_id)).result for job_id in ids} == {"fewer"}


@pytest.fixture
def quick_finder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the interval at which workers look for further partitions."""
    monkeypatch.setattr("millstream_workers.fetching.partition_finder.PartitionFinder.interval_s", 0.05)
