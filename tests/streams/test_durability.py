"""A submission may ask for a replica or a disk, and the response says whether it is confirmed."""

from collections.abc import AsyncIterator, Iterator

import pytest
from streams.audit import audit
from streams.seeds import new_job
from topologies.sentinel import SentinelTrio, sentinel_trio

from millstream_cli.redis_finder import RedisBinary
from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_streams import Broker, Durability, EnqueueCode, NotDurableError, open_broker
from millstream_streams.store import job_store

QUEUE = Queue(DEFAULT_TENANT, JobType("email.send"))


@pytest.fixture(scope="module")
def trio(redis_binary: RedisBinary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelTrio]:
    """Yield a primary with a replica."""
    with sentinel_trio(tmp_path_factory.mktemp("trio"), redis_binary) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture
async def replicated(trio: SentinelTrio, namespace: str) -> AsyncIterator[Broker]:
    """Yield a broker on the primary."""
    async with open_broker(trio.url, namespace=namespace) as opened:
        yield opened


def test_confirmations_are_waited_for_in_milliseconds() -> None:
    """The time for WAIT and WAITAOF is sent in milliseconds."""
    assert {words[-1] for words in job_store._CONFIRMATIONS.values()} == {job_store.CONFIRM_WITHIN_S * 1000}
    assert {*job_store._CONFIRMATIONS} == {*Durability}


async def test_a_replicated_job_is_confirmed_when_a_replica_has_it(replicated: Broker) -> None:
    """A job is confirmed as replicated when a replica has it."""
    (answer,) = await replicated.store.enqueue(QUEUE, [new_job(QUEUE)], Durability.REPLICATED)
    assert answer.code is EnqueueCode.STORED


async def test_a_job_that_no_replica_has_is_not_confirmed_however_often_it_is_sent(
    replicated: Broker, trio: SentinelTrio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that no replica has is stored once and not confirmed, however often it is sent."""
    monkeypatch.setitem(job_store._CONFIRMATIONS, Durability.REPLICATED, ("WAIT", 1, 200))
    job = new_job(QUEUE)
    await replicated.ping()
    trio.replica.freeze()
    try:
        for _ in range(2):
            with pytest.raises(NotDurableError):
                await replicated.store.enqueue(QUEUE, [job], Durability.REPLICATED)
    finally:
        trio.replica.thaw()
    (answer,) = await replicated.store.enqueue(QUEUE, [job], Durability.REPLICATED)
    assert answer.code is EnqueueCode.STORED_BEFORE
    assert set((await audit(replicated, QUEUE)).jobs) == {job.id}


async def test_a_job_is_not_confirmed_as_replicated_where_there_is_no_replica(
    broker: Broker, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any replica a job is stored and not confirmed as replicated."""
    monkeypatch.setitem(job_store._CONFIRMATIONS, Durability.REPLICATED, ("WAIT", 1, 50))
    if broker.address.mode == "sentinel":
        pytest.skip("there is a replica")
    with pytest.raises(NotDurableError):
        await broker.store.enqueue(queue, [new_job(queue)], Durability.REPLICATED)
    assert (await broker.store.measure(queue)).queued == (0, 1, 0)


async def test_a_job_is_confirmed_as_on_disk_where_the_server_can_tell(broker: Broker, queue: Queue) -> None:
    """A job is confirmed as on disk only by a server that has WAITAOF."""
    server = (await broker.probe()).worst
    if server.waitaof and server.appendonly:
        (answer,) = await broker.store.enqueue(queue, [new_job(queue)], Durability.FSYNCED)
        assert answer.code is EnqueueCode.STORED
    else:
        with pytest.raises(NotDurableError, match="cannot say"):
            await broker.store.enqueue(queue, [new_job(queue)], Durability.FSYNCED)
    assert (await broker.store.measure(queue)).queued == (0, 1, 0)
