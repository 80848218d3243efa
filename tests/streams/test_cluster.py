"""On a Redis Cluster each queue lives in one slot, and the slots are on different servers."""

import itertools
from collections import Counter
from collections.abc import AsyncIterator

import anyio
import pytest
from leftovers import delete_namespace, find_leaks
from redis_servers import LocalServer, ServerPool
from streams.audit import audit
from streams.seeds import (
    ERROR,
    FAR_MS,
    commit,
    job_of,
    recover_all,
    seed,
    seed_dead,
    seed_due,
    seed_running,
    take,
    take_one,
)
from topologies.cluster import SLOTS, slot_of
from waiting import wait_until

from millstream_cli.redis_finder import RedisBinary
from millstream_contracts import DEFAULT_TENANT, JobState, JobType, Queue, RetryAt, Tenant
from millstream_streams import NEEDS, ActionCode, Broker, CommitCode, ReadEntry, open_broker


@pytest.fixture
def cluster_url(server_pool: ServerPool, redis_binary: RedisBinary) -> str:
    """Return the URL of a cluster."""
    return server_pool.url_of(LocalServer(redis_binary, "cluster"))


@pytest.fixture
async def broker(cluster_url: str, namespace: str) -> AsyncIterator[Broker]:
    """Yield a broker on the cluster, in place of the one on a single server."""
    async with open_broker(cluster_url, namespace=namespace) as opened:
        yield opened
        leaks = await find_leaks(opened.client, namespace)
        await delete_namespace(opened.client, namespace)
    assert not leaks, "left behind in Redis:\n" + "\n".join(leaks)


@pytest.fixture
async def queues(broker: Broker) -> AsyncIterator[list[Queue]]:
    """Yield a queue on each of the three servers, in the order of lists."""
    found: dict[int, Queue] = {}
    for number in itertools.count():
        queue = Queue(DEFAULT_TENANT, JobType(f"t{number}"))
        found.setdefault(slot_of(queue.tag) * 3 // SLOTS, queue)
        if len(found) == 3:
            break
    yield sorted(found.values())
    for queue in found.values():
        await audit(broker, queue)


async def test_jobs_go_through_on_every_server(broker: Broker, queues: list[Queue]) -> None:
    """Enqueue, claim, retry, release, recover and success work in the slot of each queue."""
    for queue in queues:
        first, second = await seed(broker, queue, 2)
        one, other = await take(broker, queue)
        assert [one.id, other.id] == [first, second]
        assert await commit(broker, one, RetryAt(FAR_MS, ERROR)) is CommitCode.COMMITTED
        assert await recover_all(broker, queue) == [second]
        await seed_due(broker, queue)
        assert (await broker.store.release_due(queue)).released == 1
        for delivery in await take(broker, queue):
            assert await commit(broker, delivery) is CommitCode.COMMITTED
        depths = await broker.store.measure(queue)
        assert (depths.queued, depths.running, depths.scheduled) == ((0, 0, 0), 0, 1)


async def test_a_queue_of_a_cluster_can_be_cancelled_redriven_and_watched(broker: Broker, queues: list[Queue]) -> None:
    """Cancel, redrive and watch work on a queue of any node."""
    for queue in queues:
        dead = await seed_dead(broker, queue)
        assert await broker.store.redrive(queue, [dead]) == [ActionCode.DONE]
        assert await broker.store.watch(queue, dead) is ActionCode.DONE
        assert await broker.store.cancel(queue, [dead]) == [ActionCode.DONE]
        assert (await job_of(broker, queue, dead)).state is JobState.CANCELLED


async def test_scripts_are_loaded_where_they_are_missing(broker: Broker, queues: list[Queue]) -> None:
    """A script is loaded on each server whose own script cache lacks it."""
    await broker.client.script_flush()
    for queue in queues:
        await seed_running(broker, queue)
        assert len(await recover_all(broker, queue)) == 1


async def test_lists_go_over_all_servers(broker: Broker, queues: list[Queue]) -> None:
    """A list pages over queues on all servers."""
    wanted = []
    for queue in queues:
        wanted += await seed(broker, queue, 3)
    shown, cursor = [], None
    while True:
        page = await broker.listing.jobs(queues, JobState.QUEUED, cursor=cursor, limit=2)
        shown += [job.id for job in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert shown == wanted
    for queue in queues:
        await seed_dead(broker, Queue(queue.tenant, queue.type, 1))
    others = [Queue(queue.tenant, queue.type, 1) for queue in queues]
    assert len((await broker.listing.dead(others, cursor=None, limit=10)).items) == 3
    for state in (JobState.RUNNING, JobState.SCHEDULED):
        assert (await broker.listing.jobs(queues, state, cursor=None, limit=10)).items == []


async def test_a_blocking_read_wakes_for_any_of_its_queues(broker: Broker, queues: list[Queue]) -> None:
    """A reader waits in a read for each slot, and what each returns is claimed."""
    for queue in queues:
        await take(broker, queue)
    reader = broker.reader()
    found: list[ReadEntry] = []
    wanted = set()

    async def wait() -> None:
        while len(found) < len(queues):
            found.extend(await reader.wait(queues, consumer="w1", block_ms=500))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        for queue in queues:
            wanted |= set(await seed(broker, queue))
        await wait_until(lambda: len(found) == 3, "every queue has woken the worker")
    await reader.close()
    assert {entry.id for entry in found} == wanted
    for entry in found:
        (delivery,) = await take(broker, entry.queue, limit=0, read=[entry])
        assert delivery.id == entry.id


async def test_a_blocking_read_makes_missing_groups(broker: Broker, queues: list[Queue]) -> None:
    """A blocking read makes the groups of queues that were never claimed."""
    wanted = {job_id for queue in queues for job_id in await seed(broker, queue)}
    reader = broker.reader()
    found: list[ReadEntry] = []
    await reader.wait(queues, consumer="w1", block_ms=0)
    found += await reader.wait(queues, consumer="w1", block_ms=0)
    await reader.close()
    assert {entry.id for entry in found} == wanted


async def test_hints_arrive_from_every_server(broker: Broker, queues: list[Queue]) -> None:
    """A hint published on one server reaches a listener on any."""
    hints: list[Queue] = []
    gaps: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(broker.listen_due, hints.append, lambda: gaps.append(1))
        await wait_until(lambda: gaps, "the listener listens")
        for queue in queues:
            await seed(broker, queue, delay_ms=FAR_MS)
        await wait_until(lambda: set(hints) == set(queues), "a hint for each queue")
        tasks.cancel_scope.cancel()


async def test_registry_and_capabilities_work_on_a_cluster(broker: Broker, queues: list[Queue]) -> None:
    """The registry, which belongs to no queue, has a slot of its own, and every node is probed."""
    await broker.registry.add_queues(queues)
    assert await broker.registry.queues() == queues
    await broker.ping()
    found = await broker.require_suitable(NEEDS["worker"])
    assert (found.mode, found.worst.maxmemory_policy) == ("cluster", "noeviction")
    assert [server.role for server in found.servers] == ["primary"] * 3
    assert found.worst.appendonly is False


async def test_many_calls_at_once_are_no_more_than_a_node_takes(broker: Broker, queues: list[Queue]) -> None:
    """The pool of a cluster is large enough for many calls at once, because it does not wait for a free connection."""
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            for queue in queues:
                tasks.start_soon(seed, broker, queue)
    for queue in queues:
        assert (await broker.store.measure(queue)).queued == (0, 50, 0)
    assert (await take_one(broker, queues[0])).queue == queues[0]


async def test_the_keys_of_a_tenant_are_found_on_every_node(broker: Broker, queues: list[Queue]):
    """A walk goes node by node, goes on where it was, and removes what lies in any slot, and nothing of another."""
    acme = Tenant("acme")
    theirs = [Queue(acme, JobType(f"t{number}")) for number in range(30)]
    assert len({slot_of(queue.tag) * 3 // SLOTS for queue in theirs}) == 3
    for queue in (*theirs, *queues):
        await seed(broker, queue)
        await broker.settings.suspend(queue)
    await broker.registry.add_queues([*theirs, *queues])
    assert await broker.tenant_remains.forget(acme) == len(theirs)
    for keep_closed, most in ((True, len(theirs)), (False, 0)):
        removed, cursor = Counter[str](), ""
        while True:
            # No time: one step of the walk for each call.
            swept = await broker.tenant_remains.sweep(acme, cursor, keep_closed=keep_closed, within_s=0.0)
            removed += swept.removed
            cursor = swept.cursor
            if not cursor:
                break
        assert removed["jobs"] == (len(theirs) if keep_closed else 0)
        left = [key async for key in broker.client.scan_iter(match=f"{broker.keys.namespace}:{{{acme}/*")]
        assert len(left) == most
    assert [len(await take(broker, queue)) for queue in queues if await broker.settings.release(queue)] == [1, 1, 1]
