"""The lease keeper renews all that it holds, counts a lease from its sending, and stops handlers in time."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import msgspec
import pytest
from waiting import wait_until
from workers.floor import Floor, queue_of_type

from millstream_contracts import JobId, Progress, limits
from millstream_streams import JobStore, Lease, LeaseCode, StoreUnavailableError
from millstream_workers.attempt.attempt_result import Interruption
from millstream_workers.attempt.running import Running
from millstream_workers.attempt.stop_scope import StopScope
from millstream_workers.keeping.lease_keeper import LeaseKeeper
from millstream_workers.settings import WorkerSettings

NAME = "host:1:me"
FAR_S = 600.0
"""A time so long that it cannot be what made something happen within a test."""


class Renewals:
    """A record of the renewals that lease keepers have sent, with a hook between the response and its processing."""

    def __init__(self) -> None:
        self.leases: list[list[Lease]] = []
        self.asked_at: list[float] = []
        self.failures = 0
        """The number of next calls that fail as if Redis were away."""
        self.before_answer: Callable[[], object] = lambda: None

    @property
    def ids(self) -> list[list[JobId]]:
        """Return the jobs of each call."""
        return [[lease.id for lease in leases] for leases in self.leases]

    def progress(self, call: int) -> Progress | None:
        """Return the progress that one call sent for its first job."""
        blob = self.leases[call][0].progress
        return msgspec.msgpack.decode(blob, type=Progress) if blob else None


@pytest.fixture
def renewals(monkeypatch: pytest.MonkeyPatch) -> Renewals:
    """Record the renewals of all lease keepers of this process."""
    watched, renew = Renewals(), JobStore.renew

    async def watch(store: JobStore, *args: Any, leases: list[Lease], **options: Any) -> list[LeaseCode]:
        watched.asked_at.append(time.monotonic())
        watched.leases.append(leases)
        if watched.failures > 0:
            watched.failures -= 1
            raise StoreUnavailableError("away")
        codes = await renew(store, *args, leases=leases, **options)
        watched.before_answer()
        return codes

    monkeypatch.setattr(JobStore, "renew", watch)
    return watched


class Keeping:
    """A lease keeper, and deliveries for it."""

    def __init__(self, floor: Floor, keeper: LeaseKeeper) -> None:
        self.keeper = keeper
        self._floor = floor

    async def claim(self, job_type: str = "one", count: int = 1) -> list[Running]:
        """Return new deliveries, which the keeper does not hold yet."""
        await self._floor.submit_many(job_type, [None] * count)
        deliveries = []
        while len(deliveries) < count:
            claim = await self._floor.broker.store.claim(
                queue_of_type(job_type), consumer=NAME, nonce=f"n{len(deliveries)}", limit=limits.MAX_SCRIPT_JOBS
            )
            deliveries += claim.deliveries
        return [Running(delivery) for delivery in deliveries]

    async def hold(self, job_type: str = "one") -> Running:
        """Return a new delivery that the keeper holds."""
        (running,) = await self.claim(job_type)
        self.keeper.hold(running)
        return running


@contextmanager
def keeping(floor: Floor, redis_url: str, **settings: Any) -> Iterator[Keeping]:
    """Yield a lease keeper that renews often and whose leases are long, unless the parameters say otherwise."""
    settings = WorkerSettings(
        **{
            "redis_url": redis_url,
            "namespace": floor.broker.keys.namespace,
            "lease_s": FAR_S,
            "renew_every_s": 0.05,
            **settings,
        }
    )
    with LeaseKeeper(settings, NAME, asyncio.get_running_loop()) as keeper:
        yield Keeping(floor, keeper)


async def test_every_lease_is_renewed_however_many_there_are_in_how_many_queues(floor: Floor, redis_url: str) -> None:
    """Each round renews every lease, in several queues and in more jobs than one script call takes."""
    with keeping(floor, redis_url, renew_every_s=0.001) as desk:
        held = [*await desk.claim("one", limits.MAX_SCRIPT_JOBS + 5), *await desk.claim("two", 3)]
        for running in held:
            desk.keeper.hold(running)
        held_at = time.monotonic()
        await wait_until(lambda: all(one.renewed_at > held_at for one in held), "each is renewed")


async def test_a_lease_counts_from_before_its_renewal_was_sent(
    floor: Floor, redis_url: str, renewals: Renewals
) -> None:
    """A lease counts from the sending of its renewal, because Redis may have renewed it at once in a long call."""
    counted_from: list[float] = []
    with keeping(floor, redis_url) as desk:
        (running,) = await desk.claim()
        renewals.before_answer = lambda: counted_from.append(running.renewed_at)
        desk.keeper.hold(running)
        await wait_until(lambda: len(counted_from) >= 2, "it is renewed a second time")
    # During the second call the lease counts from the first.
    assert counted_from[1] <= renewals.asked_at[0]


async def test_progress_that_is_noted_during_a_renewal_travels_with_the_next(
    floor: Floor, redis_url: str, renewals: Renewals
) -> None:
    """Progress that is set during a renewal is sent with the next one."""
    first, second = Progress(10.0, "begun"), Progress(90.0, "nearly done")
    with keeping(floor, redis_url) as desk:
        (running,) = await desk.claim()
        running.progress = first
        renewals.before_answer = lambda: setattr(running, "progress", second)
        desk.keeper.hold(running)
        await wait_until(lambda: len(renewals.leases) >= 3, "it is renewed three times")
    assert [renewals.progress(call) for call in range(3)] == [first, second, None]
    assert running.unstored_progress is None


async def test_progress_whose_renewal_failed_travels_with_the_next(
    floor: Floor, redis_url: str, renewals: Renewals
) -> None:
    """Progress whose renewal failed is sent with the next one, because it counts as stored only once Redis responds."""
    noted = Progress(10.0, "begun")
    with keeping(floor, redis_url) as desk:
        (running,) = await desk.claim()
        running.progress, renewals.failures = noted, 1
        desk.keeper.hold(running)
        await wait_until(lambda: len(renewals.leases) >= 2, "it is renewed twice")
    assert [renewals.progress(call) for call in range(2)] == [noted, noted]


async def test_no_lease_is_renewed_for_a_loop_that_hangs(floor: Floor, redis_url: str) -> None:
    """After `stalled_loop_s` without a tick of the loop no lease is renewed, so that other workers get the jobs."""
    with keeping(floor, redis_url, stalled_loop_s=0.1, lease_s=0.6) as desk:
        running = await desk.hold()
        await wait_until(lambda: running.interruption is Interruption.LEASE_UNSAFE, "its lease is not renewed any more")


async def test_a_loop_that_ticks_again_has_its_leases_renewed_again(floor: Floor, redis_url: str) -> None:
    """The leases of a loop that ticks again are renewed again."""
    with keeping(floor, redis_url, stalled_loop_s=0.1) as desk:
        running = await desk.hold()
        await wait_until(lambda: not all(check.ok for check in desk.keeper.checks()), "the loop is taken for dead")
        ticked_at = time.monotonic()

        def is_renewed() -> bool:
            desk.keeper.tick()
            return running.renewed_at > ticked_at

        await wait_until(is_renewed, "its lease is renewed again")


async def test_a_handler_whose_lease_is_unsafe_has_the_rest_of_the_lease_for_its_clean_up(
    floor: Floor, redis_url: str, renewals: Renewals
) -> None:
    """A handler whose lease is unsafe has the rest of the lease for its clean-up, at most.

    At the end of the lease another worker may start the job.
    """
    lease_s, renewals.failures = 0.9, 1_000_000
    with keeping(floor, redis_url, lease_s=lease_s) as desk:
        (running,) = await desk.claim()
        with StopScope(FAR_S) as scope:
            running.begin(scope, None)
            desk.keeper.hold(running)
            with pytest.raises(asyncio.CancelledError):
                await anyio.sleep(20.0)
            left_s = running.cleanup_left_s
            running.end()
    assert running.interruption is Interruption.LEASE_UNSAFE
    assert 0 < left_s <= lease_s / 3


async def test_a_hint_brings_one_renewal_of_the_job_that_it_names(
    floor: Floor, redis_url: str, renewals: Renewals
) -> None:
    """A hint causes one renewal of the job that it names, and no more in later rounds."""
    with keeping(floor, redis_url, renew_every_s=FAR_S, lease_s=10 * FAR_S) as desk:
        first, second = await desk.claim(count=2)
        for running in (first, second):
            desk.keeper.hold(running)
        channel = floor.broker.keys.hint_cancel(NAME)

        async def is_heard() -> bool:
            return bool((await floor.broker.client.pubsub_numsub(channel))[0][1])

        await wait_until(is_heard, "the keeper listens")
        for running in (first, second):
            await floor.cancel(running.id)
            await wait_until(lambda one=running: one.interruption is Interruption.CANCELLED, "its handler is stopped")
    assert renewals.ids == [[first.id], [second.id]]


async def test_a_delivery_that_was_let_go_during_its_renewal_is_not_stopped(
    floor: Floor, redis_url: str, renewals: Renewals
) -> None:
    """A delivery that was committed during its renewal is not stopped when the renewal finds its lease gone."""
    with keeping(floor, redis_url) as desk:
        (running,) = await desk.claim("one")
        other = await desk.hold("two")
        await floor.take_back(running.id)
        renewals.before_answer = lambda: desk.keeper.let_go(running.delivery)
        desk.keeper.hold(running)
        await wait_until(lambda: [running.id] in renewals.ids, "its lease is asked for")
        await floor.take_back(other.id)
        await wait_until(lambda: other.interruption is Interruption.LEASE_LOST, "another one is stopped")
        assert running.interruption is None
