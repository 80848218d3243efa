"""The quota of running jobs of a tenant is dealt out to its queues, and the parts never add up to more (ADR 130)."""

import random
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace
from streams.audit import audit
from streams.gate_audit import audit_gate
from streams.seeds import commit, seed, seed_worker, take, take_one

from millstream_contracts import JobType, Queue, QueueLimits, Tenant, TenantQuotas, WorkerInfo
from millstream_dispatcher.budget_keeper import BudgetKeeper
from millstream_dispatcher.tenants.tenant_book import TenantBook
from millstream_dispatcher.tenants.tenant_keeper import TenantKeeper
from millstream_streams import Broker, BudgetDealer, Delivery, StoredTenant
from millstream_streams.store.tenant_quotas import anchor_of
from millstream_submission import follow_quota
from millstream_telemetry import MetricRegistry, TenantMetrics

ACME = Tenant("acme")
QUEUES = [Queue(ACME, JobType(f"type.{number}")) for number in range(4)]


async def store_quota(broker: Broker, number: int | None) -> None:
    """Store a quota as an ingest does that dies before it gets any further."""
    read = await broker.tenants.get(ACME)
    becomes = replace(read or StoredTenant(), quotas=TenantQuotas(jobs_running=number))
    assert await broker.tenants.put_tenant(ACME, read, becomes)


async def set_quota(broker: Broker, number: int | None) -> None:
    """Set a quota, or remove it, as ingest does."""
    await store_quota(broker, number)
    await follow_quota(broker, ACME)


async def serve(broker: Broker, queues: Iterable[Queue] = QUEUES) -> None:
    """Have a worker be alive that takes the jobs of queues."""
    now = datetime.now(UTC)
    types = [queue.type for queue in queues]
    await seed_worker(broker, WorkerInfo(name="w1", types=types, concurrency=100, started_at=now, seen_at=now))


async def begin(broker: Broker, quota: int | None, queues: Sequence[Queue] = QUEUES) -> None:
    """Register queues that a worker serves, and set a quota."""
    await broker.registry.add_queues(queues)
    await serve(broker, queues)
    await set_quota(broker, quota)


async def keep(broker: Broker) -> None:
    """Have a dispatcher move what is not used."""
    await BudgetKeeper(broker, TenantBook(broker.tenants), apart_s=0.0).run_once()


async def follow(broker: Broker) -> None:
    """Have a dispatcher that has just started finish what an ingest has left."""
    metrics = TenantMetrics(MetricRegistry())
    await TenantKeeper(broker, TenantBook(broker.tenants), metrics, interval_s=5.0).run_once()


async def running(broker: Broker, queues: Iterable[Queue] = QUEUES) -> int:
    """Return how many jobs run."""
    return sum([(await broker.store.measure(queue)).running for queue in queues])


async def take_all(broker: Broker, queues: Iterable[Queue] = QUEUES) -> list[Delivery]:
    """Claim from all queues what may start."""
    return [one for queue in queues for one in await take(broker, queue, limit=100)]


async def parts(broker: Broker, queues: Sequence[Queue] = QUEUES) -> list[int | None]:
    """Return what queues have of the quota."""
    return [part.slots for part in await broker.quotas.parts(queues)]


async def audit_all(broker: Broker, queues: Iterable[Queue] = QUEUES) -> None:
    """Audit the gates of queues."""
    for queue in queues:
        await audit_gate(broker, queue, await audit(broker, queue))


async def test_no_more_jobs_of_a_tenant_run_than_its_quota_says(broker: Broker) -> None:
    """With jobs in all queues of a tenant as many run as its quota says, evenly, and those of others start."""
    other = Queue(Tenant("globex"), QUEUES[0].type)
    await begin(broker, 10)
    for queue in [*QUEUES, other]:
        await seed(broker, queue, 20)
    await keep(broker)
    taken = await take_all(broker)
    by_queue = [sum(one.queue == queue for one in taken) for queue in QUEUES]
    assert (len(taken), max(by_queue) - min(by_queue)) == (10, 1)
    assert len(await take(broker, other, limit=20)) == 20
    await audit_all(broker)


async def test_one_queue_has_what_the_others_do_not_use(broker: Broker) -> None:
    """Where jobs wait in one queue alone it gets all places; another one gets its own as soon as jobs have ended."""
    await begin(broker, 12)
    await seed(broker, QUEUES[2], 50)
    await keep(broker)
    first = await take_all(broker)
    assert len(first) == 12
    await seed(broker, QUEUES[0], 50)
    await keep(broker)
    assert await take_all(broker) == []
    taken = first
    for _ in range(3):
        for one in taken:
            await commit(broker, one)
        await keep(broker)
        taken = await take_all(broker)
        await keep(broker)
    assert (len(taken), await running(broker, QUEUES[:1])) == (12, 6)


async def test_the_smaller_of_limit_and_part_counts(broker: Broker) -> None:
    """A queue with a limit of its own takes no more of the quota than that, and keeps its part when limits change."""
    await begin(broker, 8, QUEUES[:2])
    await broker.settings.limit(QUEUES[0], QueueLimits(concurrency=2))
    for queue in QUEUES[:2]:
        await seed(broker, queue, 20)
    await keep(broker)
    await take_all(broker)
    assert [await running(broker, [queue]) for queue in QUEUES[:2]] == [2, 6]
    await broker.settings.limit(QUEUES[0], None)
    assert await take_all(broker) == []
    await audit_all(broker)


async def test_a_split_limit_and_a_quota_hold_together(broker: Broker) -> None:
    """Partitions of a type with a limit share it, and the quota with the other queues of the tenant."""
    split = [Queue(ACME, JobType("spread.out"), number) for number in range(3)]
    queues = [*split, QUEUES[0]]
    await begin(broker, 8, queues)
    for queue in split:
        await broker.settings.limit(queue, QueueLimits(concurrency=4), is_split=True)
    await broker.budgets.deal(split)
    for queue in queues:
        await seed(broker, queue, 30)
    most_of_type = most = 0
    for _ in range(6):
        await keep(broker)
        taken = await take_all(broker, queues)
        most_of_type, most = max(most_of_type, await running(broker, split)), max(most, await running(broker, queues))
        for one in taken:
            await commit(broker, one)
    assert (most_of_type, most) == (4, 8)


async def test_no_queue_starves_where_they_are_more_than_places(broker: Broker) -> None:
    """With one place and many queues whose jobs never run out, each queue has its turn before one has two more."""
    await begin(broker, 1)
    for queue in QUEUES:
        await seed(broker, queue, 20)
    ran = dict.fromkeys(QUEUES, 0)
    for _ in range(5 * len(QUEUES)):
        await keep(broker)
        taken = await take_all(broker)
        assert len(taken) <= 1
        for one in taken:
            ran[one.queue] += 1
            await commit(broker, one)
    assert max(ran.values()) - min(ran.values()) <= 1
    assert min(ran.values()) > 0


async def test_dispatchers_do_not_overtake_each_other(broker: Broker) -> None:
    """A dispatcher begins no deal of a quota while that of another one has just begun."""
    await begin(broker, 2, QUEUES[:1])
    await seed(broker, QUEUES[0], 5)
    before = await broker.quotas.read(ACME)
    await BudgetKeeper(broker, TenantBook(broker.tenants), apart_s=3600.0).run_once()
    assert await broker.quotas.read(ACME) == before
    await keep(broker)
    assert (await broker.quotas.read(ACME)).turn > before.turn


async def test_a_queue_without_workers_holds_no_place(broker: Broker) -> None:
    """What was let in of a type that no live worker handles goes back, and its place to a queue that is served."""
    await begin(broker, 1, QUEUES[:2])
    (waiting,) = await seed(broker, QUEUES[0])
    await keep(broker)
    assert await parts(broker, QUEUES[:2]) == [1, 0]
    await serve(broker, QUEUES[1:])
    await seed(broker, QUEUES[1], 2)
    await keep(broker)
    assert [one.queue for one in await take_all(broker, QUEUES[1:2])] == [QUEUES[1]]
    await audit_all(broker, QUEUES[:2])
    assert (await broker.store.measure(QUEUES[0])).parked == 1
    await serve(broker)
    await set_quota(broker, 2)
    await keep(broker)
    assert (await take_one(broker, QUEUES[0])).id == waiting


async def test_a_paused_queue_has_no_part_while_others_wait(broker: Broker) -> None:
    """Jobs of a paused queue wish for nothing; when it is resumed they have their share."""
    await begin(broker, 4, QUEUES[:2])
    await broker.settings.pause(QUEUES[0])
    for queue in QUEUES[:2]:
        await seed(broker, queue, 20)
    await keep(broker)
    assert await parts(broker, QUEUES[:2]) == [0, 4]
    await broker.settings.resume(QUEUES[0])
    await keep(broker)
    assert await parts(broker, QUEUES[:2]) == [2, 2]


async def test_a_new_queue_begins_with_nothing(broker: Broker) -> None:
    """The first job of a queue that is registered under a quota waits for a part, and those of all queues fit."""
    await begin(broker, 3, QUEUES[:1])
    await seed(broker, QUEUES[0], 20)
    await keep(broker)
    first = await take_all(broker)
    assert len(first) == 3
    await broker.registry.add_queues(QUEUES[1:])
    for queue in QUEUES[1:]:
        await seed(broker, queue, 5)
    await serve(broker)
    assert await take_all(broker) == []
    await keep(broker)
    assert await take_all(broker) == []
    await commit(broker, first[0])
    await keep(broker)
    assert len(await take_all(broker)) == 1
    await audit_all(broker)


async def test_a_queue_that_another_process_has_registered_begins_with_nothing_too(broker: Broker) -> None:
    """Where the process died that registered a queue, the next one to register it lets it begin with nothing."""
    await begin(broker, 3, QUEUES[:1])
    await broker.client.sadd(broker.keys.queues, QUEUES[1].tag)
    await broker.registry.add_queues([QUEUES[1]])
    assert await parts(broker, QUEUES[:2]) == [3, 0]


async def test_a_queue_that_was_late_is_not_left_with_nothing(broker: Broker) -> None:
    """A process that has read a quota, and comes to its queue after that was removed, changes nothing there."""
    await begin(broker, 3, QUEUES[:1])
    read = await broker.quotas.read(ACME)
    await broker.client.sadd(broker.keys.queues, QUEUES[1].tag)
    await set_quota(broker, None)
    await broker.budgets.begin([QUEUES[1]], read.turn)
    assert await parts(broker, QUEUES[:2]) == [None, None]
    await seed(broker, QUEUES[1], 5)
    assert len(await take(broker, QUEUES[1], limit=5)) == 5


async def test_a_quota_holds_over_a_backlog(broker: Broker) -> None:
    """Set while jobs lie ready and run, a quota lets none start until those that run fit, and loses none."""
    await begin(broker, None)
    for queue in QUEUES:
        await seed(broker, queue, 10)
    first = await take_all(broker, QUEUES[:1])
    assert len(first) == 10
    await set_quota(broker, 4)
    await take_all(broker)
    assert await running(broker) == 10
    for one in first[:8]:
        await commit(broker, one)
    await keep(broker)
    taken = await take_all(broker)
    assert (len(taken), await running(broker)) == (2, 4)
    ended, open_now = 8, [*first[8:], *taken]
    for _ in range(60):
        for one in open_now:
            await commit(broker, one)
        ended += len(open_now)
        await keep(broker)
        open_now = await take_all(broker)
        assert len(open_now) <= 4
    assert ended == 40
    await audit_all(broker)


async def test_a_quota_that_is_removed_holds_nothing_back(broker: Broker) -> None:
    """Without its quota all that waits starts, and no queue has a gate any more."""
    await begin(broker, 2)
    for queue in QUEUES:
        await seed(broker, queue, 10)
    await keep(broker)
    assert len(await take_all(broker)) == 2
    await set_quota(broker, None)
    left = [one for _ in range(3) for one in await take_all(broker)]
    assert len(left) == 38
    for one in left:
        await commit(broker, one)
    settings = [await broker.client.hgetall(broker.keys.of(queue).settings) for queue in QUEUES]
    assert not any(b"!flow" in one or b"!quota" in one for one in settings)
    assert not (await broker.quotas.read(ACME)).is_ending


async def test_a_lower_quota_stops_nothing_and_starts_nothing_until_it_fits(broker: Broker) -> None:
    """Where more run than a new quota allows, none starts until they fit; under a higher one more start at once."""
    await begin(broker, 8)
    await seed(broker, QUEUES[0], 30)
    await keep(broker)
    first = await take_all(broker)
    assert len(first) == 8
    await set_quota(broker, 3)
    await seed(broker, QUEUES[1], 30)
    await keep(broker)
    assert await take_all(broker) == []
    for one in first[:6]:
        await commit(broker, one)
    await keep(broker)
    assert len(await take_all(broker)) == 1
    await set_quota(broker, 9)
    await take_all(broker)
    assert await running(broker) == 9


async def test_what_was_let_in_before_a_lower_quota_does_not_start(broker: Broker) -> None:
    """A job that lies ready goes back where those that run fill the new quota, and starts when one has ended."""
    await begin(broker, 2, QUEUES[:2])
    for queue in QUEUES[:2]:
        await seed(broker, queue)
    await keep(broker)
    first = await take_one(broker, QUEUES[0])
    await set_quota(broker, 1)
    assert await take_all(broker, QUEUES[:2]) == []
    await commit(broker, first)
    await keep(broker)
    assert len(await take_all(broker, QUEUES[:2])) == 1


async def test_a_dispatcher_finishes_what_an_ingest_has_left(broker: Broker) -> None:
    """A quota is in force, changed or gone after a look of a dispatcher, wherever the ingest died that changed it."""
    await begin(broker, None)
    await store_quota(broker, 5)
    await follow(broker)
    assert sum(filter(None, await parts(broker))) == 5
    await store_quota(broker, None)
    assert await broker.quotas.put_quota(ACME, 5, None)
    await follow(broker)
    assert await parts(broker) == [None] * 4


async def test_a_dormant_queue_gives_its_part_back(broker: Broker) -> None:
    """A queue that rests leaves its part to those that need it, and begins with nothing when it is used again."""
    await begin(broker, 4, QUEUES[:2])
    await seed(broker, QUEUES[0], 4)
    await keep(broker)
    for one in await take_all(broker, QUEUES[:1]):
        await commit(broker, one)
    await broker.registry.rest_queues(QUEUES[:1], 1)
    await seed(broker, QUEUES[1], 20)
    await keep(broker)
    assert await parts(broker, QUEUES[:2]) == [0, 4]
    assert len(await take_all(broker, QUEUES[1:2])) == 4
    # From now on no deal looks at it.
    assert await broker.client.hget(broker.keys.of(anchor_of(ACME)).settings, "dealt_to") == QUEUES[1].tag.encode()
    await broker.registry.add_queues(QUEUES[:1])
    await seed(broker, QUEUES[0])
    assert await take_all(broker, QUEUES[:1]) == []


async def test_a_dealer_does_not_forget_what_a_later_one_has_dealt(broker: Broker) -> None:
    """The end of a deal that was overtaken leaves the queues known that the later one has given parts to."""
    await begin(broker, 4, QUEUES[:1])
    turn = (await broker.quotas.read(ACME)).turn
    await broker.registry.add_queues(QUEUES[1:2])
    await seed(broker, QUEUES[1], 20)
    await serve(broker)
    await keep(broker)
    await broker.budgets._scripts.run("end_deal", anchor_of(ACME), [turn, QUEUES[0].tag])
    await broker.registry.rest_queues(QUEUES[1:2], 1)
    await seed(broker, QUEUES[0], 20)
    await keep(broker)
    await take_all(broker, QUEUES[:2])
    assert await running(broker) <= 4


async def test_autoscalers_see_no_job_that_a_quota_holds_back(broker: Broker) -> None:
    """Of the jobs that wait, those beyond the part of their queue would wait for idle workers too."""
    await begin(broker, 3, QUEUES[:1])
    await seed(broker, QUEUES[0], 10)
    await keep(broker)
    await take(broker, QUEUES[0], limit=2)
    found = await broker.store.measure(QUEUES[0])
    assert (found.parked, found.unstartable) == (7, 7)


class Walk:
    """Random steps of one tenant: jobs, ends, queues that come and rest, quotas, and dealers that die."""

    def __init__(self, broker: Broker, seed_of_walk: int) -> None:
        self.broker = broker
        self.rnd = random.Random(seed_of_walk)
        self.quota = 5
        self.known = QUEUES[:2]
        self.held: list[Delivery] = []
        self.stored = self.ended = 0
        self.steps = (self.submit, self.take, self.take, self.end_one, self.deal, self.die, self.change, self.rest)

    async def submit(self) -> None:
        """Put jobs into a queue, which may be a new one."""
        queue, count = self.rnd.choice(QUEUES), self.rnd.randint(1, 8)
        await self.broker.registry.add_queues([queue])
        await seed(self.broker, queue, count)
        self.known, self.stored = sorted({*self.known, queue}), self.stored + count

    async def take(self) -> None:
        """Claim."""
        self.held += await take(self.broker, self.rnd.choice(QUEUES), limit=self.rnd.randint(1, 9))

    async def end_one(self) -> None:
        """Let a job end."""
        if self.held:
            await commit(self.broker, self.held.pop(self.rnd.randrange(len(self.held))))
            self.ended += 1

    async def deal(self) -> None:
        """Deal the quota out by a dispatcher that knows some of the queues, and of which some are not served."""
        known = self.rnd.sample(self.known, self.rnd.randint(1, len(self.known)))
        await self.broker.quotas.deal(ACME, known, unserved=self.rnd.sample(known, self.rnd.randrange(len(known))))

    async def die(self) -> None:
        """Begin to, and die."""
        await _deal_and_die(self.broker, self.known, self.rnd)

    async def change(self) -> None:
        """Change the quota."""
        if self.rnd.random() < 0.3:
            self.quota = self.rnd.randint(1, 7)
            await set_quota(self.broker, self.quota)

    async def rest(self) -> None:
        """Let a queue rest that has nothing to do."""
        queue = self.rnd.choice(self.known)
        if self.rnd.random() < 0.3 and await self.broker.store.is_idle(queue, quiet_s=0.0):
            await self.broker.registry.rest_queues([queue], 1)

    async def finish(self) -> None:
        """Have all run that waits, under the quota."""
        for _ in range(200):
            for one in self.held:
                await commit(self.broker, one)
            self.ended += len(self.held)
            await keep(self.broker)
            self.held = await take_all(self.broker)
            assert len(self.held) <= self.quota


@pytest.mark.parametrize("seed_of_walk", range(4))
async def test_no_order_of_steps_lets_more_run_than_the_quota(broker: Broker, seed_of_walk: int) -> None:
    """Whatever dealers do and wherever they die, there is never one job more than the quota, and all jobs run."""
    walk = Walk(broker, seed_of_walk)
    await begin(broker, walk.quota, walk.known)
    await serve(broker)
    most = walk.quota
    for _ in range(150):
        await walk.rnd.choice(walk.steps)()
        now = await running(broker)
        assert now <= max(most, walk.quota)
        most = max(now, walk.quota)
    await audit_all(broker, walk.known)
    await walk.finish()
    assert walk.ended == walk.stored


async def _deal_and_die(broker: Broker, queues: Collection[Queue], rnd: random.Random) -> None:
    """Have a dealer die after some of its calls."""
    left, scripts = rnd.randint(1, 9), broker.budgets._scripts

    class Dying:
        async def run(self, *arguments: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise InterruptedError
            return await scripts.run(*arguments)  # type: ignore[arg-type]

    try:
        await BudgetDealer(Dying()).deal_quota(anchor_of(ACME), queues)  # type: ignore[arg-type]
    except InterruptedError:
        return
