"""announce.lua returns each dead letter until it is noted as announced."""

from datetime import timedelta

from streams.seeds import seed_dead
from waiting import wait_until

from millstream_contracts import JobId, Queue
from millstream_streams import Broker


async def waiting(broker: Broker, queue: Queue, *, upto: str = "", limit: int = 100) -> list[JobId]:
    """Return the jobs that are not announced yet."""
    return [job_id for _, job_id in await broker.store.announce(queue, upto=upto, limit=limit)]


async def test_deaths_are_announced_from_the_first_call_on(broker: Broker, queue: Queue) -> None:
    """The first call begins with the deaths from then on, because no handler had asked for earlier ones."""
    await seed_dead(broker, queue)
    died_at = await broker.now()

    async def is_later() -> bool:
        return await broker.now() > died_at + timedelta(milliseconds=1)

    await wait_until(is_later, "the clock of Redis has gone on")
    assert await waiting(broker, queue, limit=0) == []
    later = [await seed_dead(broker, queue) for _ in range(2)]
    assert await waiting(broker, queue) == later


async def test_a_letter_is_returned_until_it_is_noted(broker: Broker, queue: Queue) -> None:
    """A dead letter is returned again and again until a caller notes it; those after it stay."""
    await waiting(broker, queue, limit=0)
    first, second, third = [await seed_dead(broker, queue) for _ in range(3)]
    assert await waiting(broker, queue, limit=2) == [first, second]
    entries = await broker.store.announce(queue, limit=2)
    assert [job_id for _, job_id in entries] == [first, second]
    assert await waiting(broker, queue, upto=entries[0][0]) == [second, third]
    assert await waiting(broker, queue, upto=entries[1][0]) == [third]


async def test_an_older_note_takes_nothing_back(broker: Broker, queue: Queue) -> None:
    """A worker that is late does not bring back what another has announced, of any age of the two."""
    await waiting(broker, queue, limit=0)
    for _ in range(3):
        await seed_dead(broker, queue)
    entries = [entry for entry, _ in await broker.store.announce(queue, limit=3)]
    assert await waiting(broker, queue, upto=entries[2]) == []
    assert await waiting(broker, queue, upto=entries[0]) == []


async def test_what_is_no_longer_dead_is_not_announced(broker: Broker, queue: Queue) -> None:
    """A dead letter that was redriven or discarded before is not returned; a second death is another letter."""
    await waiting(broker, queue, limit=0)
    redriven, discarded, dead = [await seed_dead(broker, queue) for _ in range(3)]
    await broker.store.redrive(queue, [redriven])
    await broker.store.discard(queue, [discarded])
    assert await waiting(broker, queue) == [dead]
