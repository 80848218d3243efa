"""The ledger of the kit makes the transitions that the scripts make: both are taken through the same random calls."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import asdict
from streams.seeds import ERROR, FAR_MS, LONG_AGO_MS, TTL_MS, commit, make_due, new_job, recover_all
from workers.floor import queue_of_type

from millstream_contracts import Cancelled, Dead, HandedBack, Job, JobId, Outcome, Priority, RetryAt, Snoozed, Succeeded
from millstream_streams import Broker, Delivery, EnqueueCode, Idempotency
from millstream_testing.memory.ledger import Ledger
from millstream_testing.memory.memory_broker import MemoryStore, MemoryViews
from millstream_testing.virtual_clock import VirtualClock

QUEUE = queue_of_type("email.send")
STEPS = 150
MAX_CRASHES = 2
OUTCOMES: tuple[Outcome, ...] = (
    Succeeded(),
    RetryAt(0, ERROR),
    RetryAt(FAR_MS, ERROR),
    Snoozed(0),
    Snoozed(FAR_MS),
    Dead("attempts", ERROR),
    Cancelled("discarded: x"),
    HandedBack(),
)
ACTIONS = ("cancel", "redrive", "discard", "run_now", "set_priority", "set_priority")
NEVER_MS = 4_000_000_000_000
"""A Unix time that no test sees."""

TIMES = {"created_at", "run_at", "expires_at", "started_at", "finished_at", "worker"}
"""The fields of a job that the clocks and the workers of the two make."""


class Pair:
    """The same queue in Redis and in a ledger. Each method makes one transition in both and compares the answers."""

    def __init__(self, broker: Broker, seed: int) -> None:
        self.broker = broker
        self.ledger = Ledger(VirtualClock())
        self.choose = random.Random(seed)
        self.ids: list[JobId] = []
        self.deliveries: list[tuple[Delivery, Delivery]] = []

    async def enqueue(self) -> None:
        """Store a job, of any priority, with a delay, an expiry or a key."""
        options: dict[str, Any] = {"priority": self.choose.choice(list(Priority))}
        options["delay_ms"] = self.choose.choice([None, None, FAR_MS])
        options["expires_at_ms"] = self.choose.choice([None, None, LONG_AGO_MS, NEVER_MS, NEVER_MS])
        if self.choose.random() < 0.3:
            key, fingerprint = self.choose.choice([b"k1", b"k2"]), self.choose.choice(["aa", "bb"])
            options["idempotency"] = Idempotency(key, fingerprint)
        job = new_job(QUEUE, **options)
        (real,), kit = await self.broker.store.enqueue(QUEUE, [job]), self.ledger.enqueue(QUEUE, job)
        assert (real.code, real.id, real.due_ms is None) == (kit.code, kit.id, kit.due_ms is None)
        if real.code is EnqueueCode.STORED:
            self.ids.append(job.id)

    async def claim(self) -> None:
        """Claim one job, the same in both; late ones before it expire."""
        claim = await self.broker.store.claim(QUEUE, consumer="w", nonce=str(len(self.deliveries)), limit=1)
        expired, kit = 0, None
        # A claim of one reads one entry of each priority until it has a job that is not late.
        for priority in Priority:
            job = self.ledger.waiting.next_ready(lambda one, priority=priority: one.priority is priority)  # type: ignore[misc]
            if kit is None and job is not None:
                kit = self.ledger.claim(job, worker="w", nonce=str(len(self.deliveries)))
                expired += kit is None
        assert expired == claim.expired
        assert [one.id for one in claim.deliveries] == ([] if kit is None else [kit.id])
        if kit is not None:
            (real,) = claim.deliveries
            for name in ("token", "attempts", "deliveries", "crashes", "priority_index", "last_error", "spec"):
                assert getattr(real, name) == getattr(kit, name), name
            self.deliveries.append((real, kit))

    async def commit(self) -> None:
        """Commit an outcome of any delivery so far, also of one that is over."""
        if not self.deliveries:
            return
        (real, kit), outcome = self.choose.choice(self.deliveries[-4:]), self.choose.choice(OUTCOMES)
        if isinstance(outcome, HandedBack):
            (code,) = await self.broker.store.hand_back(QUEUE, worker="w", deliveries=[real])
        else:
            code = await commit(self.broker, real, outcome)
        assert code is self.ledger.commit(kit, outcome, ttl_ms=TTL_MS)

    async def recover(self) -> None:
        """Take back all that runs."""
        await recover_all(self.broker, QUEUE, MAX_CRASHES)
        running = [job for job in self.ledger.jobs.values() if job.state == "running"]
        # By priority, and in the order of the entries, as the reaper looks through the streams.
        for job in sorted(running, key=lambda one: (list(Priority).index(one.priority), one.entry)):
            self.ledger.recover(job, max_crashes=MAX_CRASHES)

    async def release(self) -> None:
        """Make one scheduled job due, and release it."""
        scheduled = list(self.ledger.waiting.scheduled())
        if scheduled:
            job = self.choose.choice(scheduled)
            await make_due(self.broker, QUEUE, [job.id])
            job.run_at_ms = LONG_AGO_MS
            await self.broker.store.release_due(QUEUE)
            self.ledger.release_due()

    async def expire(self) -> None:
        """Make the jobs late that have an expiry, and expire those that have not started."""
        keys = self.broker.keys.of(QUEUE)
        for job in self.ledger.jobs.values():
            if job.expires_at_ms == NEVER_MS:
                job.expires_at_ms = LONG_AGO_MS
                await self.broker.client.zadd(keys.expiring, {job.id: LONG_AGO_MS}, xx=True)
                await self.broker.client.hset(keys.job(job.id), "expires_at", LONG_AGO_MS)
        await self.broker.store.expire(QUEUE)
        self.ledger.expire()

    async def act(self) -> None:
        """Cancel, redrive or discard any job, run it before its time or give it another priority."""
        if self.ids:
            job_id, name = self.choose.choice(self.ids), self.choose.choice(ACTIONS)
            more = [self.choose.choice(list(Priority))] if name == "set_priority" else []
            (code,) = await getattr(self.broker.store, name)(QUEUE, [job_id], *more)
            assert code is getattr(self.ledger, name)(job_id, *more), name

    async def compare(self) -> None:
        """Compare all jobs as the API shows them, and the dead letters that were not announced yet."""
        views, store = MemoryViews(self.ledger), MemoryStore(self.ledger)
        real_letters = await self.broker.store.announce(QUEUE, limit=100)
        kit_letters = await store.announce(QUEUE, limit=100)
        assert [job_id for _, job_id in real_letters] == [job_id for _, job_id in kit_letters]
        for job_id in self.ids:
            real, kit = await self.broker.views.job(QUEUE, job_id), await views.job(QUEUE, job_id)
            assert seen(real) == seen(kit)


def seen(job: Job | None) -> dict[str, Any]:
    """Return the fields that have to be equal, and of times which there are."""
    assert job is not None
    fields = asdict(job)
    return {name: value is not None if name in TIMES else value for name, value in fields.items()}


def calls(pair: Pair) -> Iterator[Any]:
    """Yield random calls."""
    weights = {pair.enqueue: 6, pair.claim: 8, pair.commit: 7, pair.release: 2, pair.act: 3}
    weights |= {pair.recover: 1, pair.expire: 1}
    for _ in range(STEPS):
        yield pair.choose.choices(list(weights), list(weights.values()))[0]


@pytest.mark.parametrize("seed", range(6))
async def test_random_calls_lead_to_the_same_jobs(broker: Broker, seed: int) -> None:
    """After any calls, refused and repeated ones among them, each job is the same in Redis and in the ledger."""
    pair = Pair(broker, seed)
    await pair.compare()
    for call in calls(pair):
        await call()
        await pair.compare()
    assert len(pair.deliveries) > 10
