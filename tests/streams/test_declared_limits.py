"""Limits that handlers declare hold where no operator has set others."""

from streams.seeds import seed, take

from millstream_contracts import Queue, QueueLimits
from millstream_streams import Broker

ONE, TWO, THREE = (QueueLimits(concurrency=number) for number in (1, 2, 3))
EARLY, LATE = 1_000, 2_000
"""When workers started, in Unix ms."""


async def started(broker: Broker, queue: Queue) -> int:
    """Return how many of five jobs start at once; none of them is there afterwards."""
    ids = await seed(broker, queue, 5)
    taken = await take(broker, queue)
    await broker.store.cancel(queue, ids)
    await broker.store.hand_back(queue, worker="w1", deliveries=taken)
    return len(taken)


async def test_declared_limits_are_in_force(broker: Broker, queue: Queue) -> None:
    """What a handler declares limits its jobs, and is shown as declared."""
    await broker.settings.declare(queue, TWO, started_at_ms=EARLY)
    stored = await broker.settings.read(queue)
    assert (stored.limits, stored.declared, stored.is_declared) == (TWO, TWO, True)
    assert stored.limits_at_ms > LATE
    assert await started(broker, queue) == 2


async def test_an_operator_overrules_until_that_is_removed(broker: Broker, queue: Queue) -> None:
    """Limits of an operator win, whatever is declared before or after; without them the declared ones hold again."""
    await broker.settings.declare(queue, TWO, started_at_ms=EARLY)
    await broker.settings.limit(queue, THREE)
    await broker.settings.declare(queue, ONE, started_at_ms=LATE)
    stored = await broker.settings.read(queue)
    assert (stored.limits, stored.declared, stored.is_declared) == (THREE, ONE, False)
    assert await started(broker, queue) == 3
    await broker.settings.limit(queue, None)
    assert (await broker.settings.read(queue)).limits == ONE
    assert await started(broker, queue) == 1


async def test_the_worker_that_started_last_counts(broker: Broker, queue: Queue) -> None:
    """Workers of two releases declare again and again, and the limits stay those of the newer one."""
    for _ in range(2):
        await broker.settings.declare(queue, ONE, started_at_ms=EARLY)
        await broker.settings.declare(queue, THREE, started_at_ms=LATE)
    assert (await broker.settings.read(queue)).limits == THREE
    await broker.settings.declare(queue, ONE, started_at_ms=EARLY)
    assert await started(broker, queue) == 3


async def test_a_declaration_that_is_repeated_changes_nothing(broker: Broker, queue: Queue) -> None:
    """The time at which limits were declared is that of the first worker that did."""
    await broker.settings.declare(queue, TWO, started_at_ms=EARLY)
    first = await broker.settings.read(queue)
    await broker.settings.declare(queue, TWO, started_at_ms=LATE)
    assert await broker.settings.read(queue) == first


async def test_a_release_without_limits_takes_them_back(broker: Broker, queue: Queue) -> None:
    """A newer worker that declares none ends them, and an older one does not bring them back."""
    await broker.settings.declare(queue, TWO, started_at_ms=EARLY)
    await broker.settings.declare(queue, None, started_at_ms=LATE)
    await broker.settings.declare(queue, TWO, started_at_ms=EARLY)
    assert (await broker.settings.read(queue)).limits is None
    assert await started(broker, queue) == 5


async def test_a_worker_without_limits_leaves_no_trace(broker: Broker, queue: Queue) -> None:
    """A queue of which nothing is set has no settings after a worker has declared nothing."""
    await broker.settings.declare(queue, None, started_at_ms=EARLY)
    assert await broker.client.exists(broker.keys.of(queue).settings) == 0
