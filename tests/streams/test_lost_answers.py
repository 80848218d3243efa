"""A transition that is sent again after a lost response takes effect once."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from streams.audit import audit
from streams.cutting_proxy import CuttingProxy, cutting_proxy
from streams.seeds import ERROR, TTL_MS, commit, everything, job_of, lease, new_job, seed, seed_running, take, take_one

from millstream_contracts import Dead, JobState, Queue, RetryAt, Succeeded
from millstream_streams import (
    ActionCode,
    Broker,
    Commit,
    CommitCode,
    EnqueueCode,
    JobStore,
    LeaseCode,
    QueueScripts,
    RedisClock,
    StoreUnavailableError,
    open_broker,
)
from millstream_streams.store.scripting import load_script, script_names


class Faults:
    """An observer that counts calls and failures."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.reconnects = 0

    def observe_call(self, script: str, seconds: float) -> None:
        """Count a call."""
        self.calls.append(script)

    def count_reconnect(self) -> None:
        """Count a failure."""
        self.reconnects += 1


@pytest.fixture
async def proxy(broker: Broker) -> AsyncIterator[CuttingProxy]:
    """Yield a proxy for the Redis of this run, with all scripts loaded, so that one command has one response."""
    for name in script_names():
        await broker.client.script_load(load_script(name).text)
    async with cutting_proxy(broker.address.hosts[0]) as opened:
        yield opened


@pytest.fixture
def faults() -> Faults:
    """Return an observer that counts."""
    return Faults()


@pytest.fixture
async def shaky(proxy: CuttingProxy, namespace: str, faults: Faults) -> AsyncIterator[Broker]:
    """Yield a broker whose responses may get lost, on the namespace of `broker`."""
    async with open_broker(proxy.url, namespace=namespace, patience_s=20.0, observer=faults) as opened:
        yield opened


async def test_enqueue_stores_a_job_once_when_its_answer_is_lost(
    broker: Broker, shaky: Broker, proxy: CuttingProxy, queue: Queue, faults: Faults
) -> None:
    """An enqueue that is sent again finds the job stored, and stores it once."""
    job = new_job(queue)
    proxy.lose_answer_to("EVALSHA", times=2)
    (stored,) = await shaky.store.enqueue(queue, [job])
    assert stored.code is EnqueueCode.STORED_BEFORE
    assert (proxy.cuts, faults.reconnects, faults.calls) == (2, 2, ["enqueue"])
    assert list((await audit(broker, queue)).jobs) == [job.id]


async def test_enqueue_gives_up_when_it_comes_too_late_after_a_lost_answer(
    proxy: CuttingProxy, namespace: str, queue: Queue
) -> None:
    """A repetition that is refused as too late says that the jobs may be stored, for the first try may have done it."""
    async with open_broker(proxy.url, namespace=namespace, patience_s=20.0) as opened:
        late = RedisClock(wall=lambda: time.time() - 3600.0)
        proxy.lose_answer_to("EVALSHA")
        with pytest.raises(StoreUnavailableError, match="may have stored"):
            await JobStore(QueueScripts(opened.client, opened.keys, patience_s=20.0), clock=late).enqueue(
                queue, [new_job(queue)]
            )


async def test_claim_takes_a_job_once_when_its_answer_is_lost(
    broker: Broker, shaky: Broker, proxy: CuttingProxy, queue: Queue
) -> None:
    """A claim that is sent again returns what the first one took, and strands nothing until a lease ends."""
    ids = await seed(broker, queue, 3)
    proxy.lose_answer_to("EVALSHA")
    deliveries = await take(shaky, queue, limit=2)
    assert [one.id for one in deliveries] == ids[:2]
    assert [one.deliveries for one in deliveries] == [1, 1]
    assert (await broker.store.measure(queue)).running == 2
    assert proxy.cuts == 1


async def test_commit_counts_once_when_its_answer_is_lost(
    broker: Broker, shaky: Broker, proxy: CuttingProxy, queue: Queue
) -> None:
    """A commit that is sent again learns that the outcome is stored, and counts once."""
    running = await seed_running(broker, queue)
    proxy.lose_answer_to("EVALSHA")
    assert await commit(shaky, running, RetryAt(0, ERROR)) is CommitCode.COMMITTED_BEFORE
    job = await job_of(broker, queue, running.id)
    assert (job.state, job.attempts) == (JobState.QUEUED, 1)


async def each_transition(
    broker: Broker, queue: Queue
) -> dict[str, tuple[Callable[[Broker], Awaitable[Any]], list[Any]]]:
    """Return, by name, a call of each transition on jobs of its own, and the codes that the second call may return."""
    dead = await seed_running(broker, queue)
    await commit(broker, dead, Dead("x", ERROR))
    gone = await seed_running(broker, queue)
    await commit(broker, gone, Dead("x", ERROR))
    (waiting,) = await seed(broker, queue, delay_ms=60_000)
    returned, renewed = await seed_running(broker, queue), await seed_running(broker, queue)
    done = Commit(renewed, Succeeded(), TTL_MS)
    return {
        "renew": (lambda b: b.store.renew(queue, consumer="w1", leases=[lease(renewed)]), [LeaseCode.RENEWED]),
        "commit": (lambda b: b.store.commit(queue, worker="w1", commits=[done]), [CommitCode.COMMITTED_BEFORE]),
        "hand_back": (
            lambda b: b.store.hand_back(queue, worker="w1", deliveries=[returned]),
            [CommitCode.COMMITTED_BEFORE],
        ),
        "cancel": (lambda b: b.store.cancel(queue, [waiting]), [ActionCode.DONE_BEFORE]),
        "redrive": (lambda b: b.store.redrive(queue, [dead.id]), [ActionCode.WRONG_STATE]),
        "discard": (lambda b: b.store.discard(queue, [gone.id]), [ActionCode.WRONG_STATE]),
    }


@pytest.mark.parametrize("name", ["renew", "commit", "hand_back", "cancel", "redrive", "discard"])
async def test_transitions_take_effect_once_when_their_answer_is_lost(
    broker: Broker, shaky: Broker, proxy: CuttingProxy, queue: Queue, name: str
) -> None:
    """A transition that is sent again answers that it was made before, and changes nothing."""
    call, wanted = (await each_transition(broker, queue))[name]
    proxy.lose_answer_to("EVALSHA")
    assert await call(shaky) == wanted
    assert proxy.cuts == 1
    before = await everything(broker, queue)
    assert await call(shaky) == wanted
    assert await everything(broker, queue) == before


async def test_recover_charges_a_crash_once_when_its_answer_is_lost(
    broker: Broker, shaky: Broker, proxy: CuttingProxy, queue: Queue
) -> None:
    """A recovery that is sent again finds nothing to recover, and charges each crash once."""
    running = await seed_running(broker, queue)
    proxy.lose_answer_to("EVALSHA")
    await shaky.store.recover(queue, lease_ms=0, max_crashes=3)
    assert (await take_one(broker, queue)).crashes == 1
    assert (await job_of(broker, queue, running.id)).deliveries == 2


async def test_a_lost_blocking_read_is_found_by_the_next_claim(
    broker: Broker, shaky: Broker, proxy: CuttingProxy, queue: Queue
) -> None:
    """Entries of a blocking read whose response was lost are claimed by the next claim that resumes."""
    await take(broker, queue)
    (job_id,) = await seed(broker, queue)
    reader = shaky.reader()
    proxy.lose_answer_to("XREADGROUP")
    with pytest.raises(Exception, match="not available"):
        await reader.wait([queue], consumer="w1", block_ms=1000)
    await reader.close()
    assert await take(broker, queue) == []
    assert [one.id for one in await take(broker, queue, resume=True)] == [job_id]
