"""erase.lua removes jobs with all that is stored of them."""

import pytest
from streams.audit import audit
from streams.seeds import (
    FAR_MS,
    commit,
    events,
    everything,
    new_job,
    seed,
    seed_dead,
    seed_running,
    take,
)

from millstream_contracts import JobId, Queue
from millstream_streams import ActionCode, Broker, Idempotency

CALLBACK = b'{"url":"https://example.org","events":["succeeded"]}'


async def keys_with(broker: Broker, job_id: JobId) -> list[str]:
    """Return all keys in which something of a job is found, streams of events left out."""
    found = []
    async for key in broker.client.scan_iter(match=f"{broker.keys.namespace}:*", count=1000):
        name, kind = key.decode(), (await broker.client.type(key)).decode()
        held = {
            "hash": broker.client.hgetall,
            "zset": lambda key: broker.client.zrange(key, 0, -1),
            "stream": broker.client.xrange,
            "string": broker.client.get,
            "set": broker.client.smembers,
        }[kind]
        if not name.endswith(":events") and (job_id in name or job_id.encode() in repr(await held(key)).encode()):
            found.append(name.rpartition("}:")[2])
    return found


@pytest.mark.parametrize("state", ["queued", "scheduled", "expiring", "dead", "succeeded", "cancelled"])
async def test_nothing_of_an_erased_job_stays(broker: Broker, queue: Queue, state: str) -> None:
    """No key is left of a job that does not run; one that had not ended leaves an event that it was cancelled."""
    match state:
        case "queued":
            [job_id] = await seed(broker, queue, callback=CALLBACK)
        case "scheduled":
            [job_id] = await seed(broker, queue, delay_ms=FAR_MS, expires_in_ms=2 * FAR_MS)
        case "expiring":
            [job_id] = await seed(broker, queue, expires_in_ms=FAR_MS)
        case "dead":
            job_id = await seed_dead(broker, queue)
        case "succeeded":
            running = await seed_running(broker, queue)
            await commit(broker, running)
            job_id = running.id
        case _:
            [job_id] = await seed(broker, queue)
            await broker.store.cancel(queue, [job_id])
    before = len(await events(broker, queue))
    assert await broker.store.erase(queue, [job_id]) == [ActionCode.DONE]
    await audit(broker, queue)
    assert await keys_with(broker, job_id) == []
    told = [(one.id, one.state, one.detail) for event in (await events(broker, queue))[before:] for one in event.jobs]
    has_ended = state in {"succeeded", "cancelled"}
    assert told == ([] if has_ended else [(job_id, "cancelled", "erased")])
    assert await take(broker, queue) == []
    assert await broker.store.erase(queue, [job_id]) == [ActionCode.UNKNOWN_JOB]


async def test_a_running_job_is_not_erased(broker: Broker, queue: Queue) -> None:
    """A job that a worker has is left as it is."""
    running = await seed_running(broker, queue)
    before = await everything(broker, queue)
    assert await broker.store.erase(queue, [running.id]) == [ActionCode.WRONG_STATE]
    assert await everything(broker, queue) == before


async def test_a_submission_that_is_repeated_does_not_bring_an_erased_job_back(broker: Broker, queue: Queue) -> None:
    """The idempotency key of an erased job stays for its day, with digests alone, so that a repetition makes no job."""
    known = Idempotency(b"\x01" * 16, "00ff")
    first = new_job(queue, idempotency=known)
    await broker.store.enqueue(queue, [first])
    await broker.store.erase(queue, [first.id])
    [again] = await broker.store.enqueue(queue, [new_job(queue, idempotency=known)])
    assert again.id == first.id
    assert await take(broker, queue) == []
