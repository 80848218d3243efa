"""Limits of a type with several partitions are split between them, and the parts never add up to more (ADR 106)."""

import random
from collections.abc import Iterable, Sequence

import anyio
import pytest
from streams.audit import audit
from streams.gate_audit import audit_gate
from streams.seeds import commit, seed, take
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, JobType, Queue, QueueLimits
from millstream_dispatcher.budget_keeper import BudgetKeeper
from millstream_dispatcher.tenants.tenant_book import TenantBook
from millstream_streams import Broker, BudgetDealer, Delivery
from millstream_streams.store.budget_dealer import shares

TYPE = JobType("spread.out")
QUEUES = [Queue(DEFAULT_TENANT, TYPE, number) for number in range(4)]


async def limit(broker: Broker, limits: QueueLimits | None, queues: Sequence[Queue] = QUEUES) -> None:
    """Set the limits of the type as ingest does."""
    await broker.registry.add_queues(queues)
    for queue in queues:
        await broker.settings.limit(queue, limits, is_split=len(queues) > 1)
    await broker.budgets.deal(queues)


async def in_flight(broker: Broker, queues: Iterable[Queue] = QUEUES) -> int:
    """Return how many jobs run or are about to be given to a worker."""
    return sum([await broker.client.xlen(stream) for queue in queues for stream in broker.keys.of(queue).ready])


async def take_all(broker: Broker, queues: Iterable[Queue] = QUEUES) -> list[Delivery]:
    """Claim from all partitions what may start."""
    return [one for queue in queues for one in await take(broker, queue, limit=100)]


async def keep(broker: Broker) -> None:
    """Have a dispatcher move what is not used."""
    await BudgetKeeper(broker, TenantBook(broker.tenants)).run_once()


async def test_the_parts_of_a_limit_add_up_to_it(broker: Broker) -> None:
    """With jobs in all partitions as many run as the limit says, in each a part."""
    await limit(broker, QueueLimits(concurrency=10))
    for queue in QUEUES:
        await seed(broker, queue, 20)
    await keep(broker)
    taken = await take_all(broker)
    by_queue = [sum(one.queue == queue for one in taken) for queue in QUEUES]
    assert (len(taken), max(by_queue) - min(by_queue)) == (10, 1)
    for queue in QUEUES:
        await audit_gate(broker, queue, await audit(broker, queue))


async def test_one_partition_has_what_the_others_do_not_use(broker: Broker) -> None:
    """Where jobs wait in one partition alone it gets all parts; another one gets its own as soon as jobs have ended."""
    await limit(broker, QueueLimits(concurrency=12))
    await seed(broker, QUEUES[2], 50)
    await keep(broker)
    first = await take_all(broker)
    assert len(first) == 12
    await seed(broker, QUEUES[0], 50)
    await keep(broker)
    assert await take_all(broker) == []
    for one in first:
        await commit(broker, one)
    await keep(broker)
    await take_all(broker)
    assert await in_flight(broker) == 12
    assert await in_flight(broker, QUEUES[:1]) == 6


async def test_a_lower_limit_stops_nothing_and_starts_nothing_until_it_fits(broker: Broker) -> None:
    """Where more run than a new limit allows, no partition starts another one until they fit."""
    await limit(broker, QueueLimits(concurrency=8))
    await seed(broker, QUEUES[0], 20)
    await keep(broker)
    running = await take_all(broker)
    assert len(running) == 8
    await limit(broker, QueueLimits(concurrency=4))
    await seed(broker, QUEUES[1], 20)
    await keep(broker)
    assert await take_all(broker) == []
    for one in running[:5]:
        await commit(broker, one)
    await keep(broker)
    assert len(await take_all(broker)) == 1
    assert await in_flight(broker) == 4


async def test_a_dealer_that_was_overtaken_changes_nothing(broker: Broker) -> None:
    """A dealer that decided on what a later one has changed since gives nothing, and what a dead one took is given."""
    await limit(broker, QueueLimits(concurrency=8))
    slow = BudgetDealer(broker.budgets._scripts)
    ask, waits, goes_on = slow._scripts.run, anyio.Event(), anyio.Event()
    calls = 0

    class Slow:
        async def run(self, name: str, queue: Queue, arguments: Sequence[object]) -> object:
            nonlocal calls
            calls += 1
            # It has looked at all partitions, has taken what three do not use, and is about to give it to the fourth.
            if calls == 1 + len(QUEUES) + 3 + 1:
                waits.set()
                await goes_on.wait()
            return await ask(name, queue, arguments)  # type: ignore[arg-type]

    slow._scripts = Slow()  # type: ignore[assignment]
    await seed(broker, QUEUES[3], 20)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slow.deal, QUEUES)
        await waits.wait()
        await seed(broker, QUEUES[1], 20)
        await keep(broker)
        assert len(await take_all(broker)) == 8
        goes_on.set()
    assert await take_all(broker) == []
    assert await in_flight(broker) == 8


async def test_a_limit_that_no_one_has_dealt_out_is_dealt_by_a_dispatcher(broker: Broker) -> None:
    """Where what set the limits died before it dealt them out, jobs wait until a dispatcher has."""
    await broker.registry.add_queues(QUEUES)
    for queue in QUEUES:
        await broker.settings.limit(queue, QueueLimits(concurrency=4, rate="1000/s"), is_split=True)
    await seed(broker, QUEUES[1], 5)
    assert await take_all(broker) == []
    await keep(broker)

    async def have_started() -> bool:
        await broker.store.release_due(QUEUES[1])
        return bool(await take(broker, QUEUES[1], limit=5))

    await wait_until(have_started, "its part of the rate")


async def test_partitions_that_are_new_have_the_limits_that_an_operator_set(broker: Broker) -> None:
    """A worker with more partitions than before spreads the limits of the first one before it takes a job."""
    await limit(broker, QueueLimits(concurrency=6), QUEUES[:1])
    await seed(broker, QUEUES[0], 20)
    assert len(await take_all(broker)) == 6
    await broker.registry.add_queues(QUEUES)
    await seed(broker, QUEUES[3], 20)
    await broker.settings.spread(QUEUES)
    await broker.budgets.deal(QUEUES)
    await take_all(broker)
    assert await in_flight(broker) == 6
    assert (await broker.settings.read(QUEUES[3])).limits == QueueLimits(concurrency=6)


async def test_declared_limits_are_split_when_the_type_gets_more_partitions(broker: Broker) -> None:
    """A release with more partitions and the same limits has them split; one with fewer has all of them there."""
    declared, ended = QueueLimits(concurrency=6), 0
    await broker.settings.declare(QUEUES[0], declared, started_at_ms=1)
    await broker.registry.add_queues(QUEUES)
    for queue in QUEUES:
        await broker.settings.declare(queue, declared, started_at_ms=2, is_split=True)
        await seed(broker, queue, 20)
    await keep(broker)
    while taken := await take_all(broker):
        assert len(taken) == 6 or ended + len(taken) == 80
        ended += len(taken)
        for one in taken:
            await commit(broker, one)
        await keep(broker)
    assert ended == 80
    for queue in QUEUES[:2]:
        await broker.settings.declare(queue, declared, started_at_ms=3, is_split=True)
    await broker.budgets.deal(QUEUES[:2])
    for queue in QUEUES[:2]:
        await seed(broker, queue, 20)
    assert [len(await take(broker, queue, limit=20)) for queue in QUEUES[:2]] == [3, 3]


async def test_no_more_start_than_the_rate_lets_whatever_is_dealt(broker: Broker) -> None:
    """However often parts move, starts in all partitions are no more than the burst and what the rate has added."""
    every_ms, burst, rnd = 1000.0, 8, random.Random(7)
    await limit(broker, QueueLimits(rate="1/s", burst=burst))
    began_ms = await _now_ms(broker)
    for _ in range(60):
        await seed(broker, rnd.choice(QUEUES), rnd.randint(1, 4))
        await keep(broker)
        for queue in QUEUES:
            await broker.store.release_due(queue)
            await take(broker, queue, limit=50)
        admitted = await in_flight(broker)
        assert admitted <= burst + (await _now_ms(broker) - began_ms + 2) / every_ms


async def _now_ms(broker: Broker) -> float:
    seconds, us = (
        await broker.client.time(target_nodes="random")
        if hasattr(broker.client, "get_nodes")
        else (await broker.client.time())
    )
    return seconds * 1000 + us / 1000


@pytest.mark.parametrize("seed_of_walk", range(3))
async def test_no_order_of_steps_lets_more_run_than_the_limit(broker: Broker, seed_of_walk: int) -> None:
    """Jobs, ends, limits, and dealers that die or are overtaken: in no state is there one job more than the limit."""
    rnd = random.Random(seed_of_walk)
    most, running = 9, list[Delivery]()
    await limit(broker, QueueLimits(concurrency=most))
    for _ in range(120):
        match rnd.randrange(6):
            case 0:
                await seed(broker, rnd.choice(QUEUES), rnd.randint(1, 8))
            case 1:
                running += await take(broker, rnd.choice(QUEUES), limit=rnd.randint(1, 9))
            case 2 if running:
                await commit(broker, running.pop(rnd.randrange(len(running))))
            case 3:
                await broker.budgets.deal(rnd.sample(QUEUES, rnd.randint(1, 4)))
            case 4:
                await _deal_and_die(broker, rnd)
            case 5 if rnd.random() < 0.3:
                most = rnd.randint(4, 12)
                before = await in_flight(broker)
                await limit(broker, QueueLimits(concurrency=most))
                most = max(most, before)
        held = await in_flight(broker)
        assert held <= most
        most = max(held, (await broker.settings.read(QUEUES[0])).limits.concurrency or 0)  # type: ignore[union-attr]
    for queue in QUEUES:
        await audit_gate(broker, queue, await audit(broker, queue))


async def _deal_and_die(broker: Broker, rnd: random.Random) -> None:
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
        await BudgetDealer(Dying()).deal(QUEUES)  # type: ignore[arg-type]
    except InterruptedError:
        return


@pytest.mark.parametrize(
    ("total", "wanted", "found"),
    [
        (10, [0, 0, 0, 0], [3, 3, 2, 2]),
        (10, [50, 0, 0, 0], [10, 0, 0, 0]),
        (10, [50, 50, 0, 0], [5, 5, 0, 0]),
        (10, [3, 2, 0, 0], [5, 3, 1, 1]),
        (2, [0, 9, 9, 9], [0, 1, 1, 0]),
        (0, [1, 1, 1, 1], [0, 0, 0, 0]),
    ],
)
def test_parts_follow_what_is_wanted(total: int, wanted: list[int], found: list[int]) -> None:
    """Each has what it wants, and then of the rest as much as the others."""
    assert (shares(total, wanted, [True] * 4), sum(found)) == (found, total)


def test_what_is_no_partition_any_more_has_no_part() -> None:
    """A partition that holds no jobs and is not the type's any more leaves its part to the others."""
    assert shares(8, [0, 0, 0, 0], [True, True, False, False]) == [4, 4, 0, 0]
