"""Calls on a queue whose slot moves to another node of the cluster wait or follow, and lose nothing."""

from collections.abc import AsyncIterator, Iterator

import anyio
import anyio.to_thread
import pytest
from dispatcher.batches.conftest import COMPLETE, Depot
from dispatcher.workflows.conftest import Mill, node
from leftovers import delete_namespace
from streams.audit import audit
from streams.seeds import (
    FAR_MS,
    LONG_AGO_MS,
    commit,
    everything,
    recover_all,
    seed,
    seed_dead,
    seed_running,
    take,
)
from topologies.cluster import Cluster, SlotMove, three_primaries
from waiting import wait_until

from millstream_cli.redis_finder import RedisBinary
from millstream_contracts import (
    DEFAULT_TENANT,
    JobId,
    JobState,
    JobType,
    MemberState,
    Priority,
    Queue,
    WorkflowState,
)
from millstream_streams import WORKFLOW_KIND, Broker, CommitCode, StoreUnavailableError, open_broker

QUEUE = Queue(DEFAULT_TENANT, JobType("email.send"))


@pytest.fixture(scope="module")
def cluster(redis_binary: RedisBinary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Yield a cluster of this module's own, whose slots may be on any node afterwards."""
    with three_primaries(tmp_path_factory.mktemp("cluster"), redis_binary) as running:
        yield running


@pytest.fixture
async def moving(cluster: Cluster, namespace: str) -> AsyncIterator[Broker]:
    """Yield a broker that retries for long."""
    async with open_broker(cluster.url, namespace=namespace, patience_s=20.0) as opened:
        yield opened
        await audit(opened, QUEUE)


def begin_move(cluster: Cluster, broker: Broker) -> SlotMove:
    """Begin to move the slot of the queue to another node."""
    key = broker.keys.of(QUEUE).events
    return cluster.begin_move(key, cluster.others(cluster.node_of(key))[0])


def refusals(cluster: Cluster) -> int:
    """Return how many calls the nodes have refused with TRYAGAIN."""
    found = (node.info("errorstats").get("errorstat_TRYAGAIN", {}).get("count", 0) for node in cluster.nodes)
    return sum(int(count) for count in found)


async def test_a_job_can_be_read_wherever_its_hash_is_just_now(moving: Broker, cluster: Cluster) -> None:
    """A job can be read before, during and after the move of its hash, by following ASK and MOVED."""
    first, second = await seed(moving, QUEUE, 2)
    keys = moving.keys.of(QUEUE)

    async def states() -> list[JobState]:
        jobs = [await moving.views.job(QUEUE, job_id) for job_id in (first, second)]
        return [job.state for job in jobs if job]

    move = begin_move(cluster, moving)
    assert await states() == [JobState.QUEUED] * 2
    move.move_these([keys.job(first).encode()])
    assert await states() == [JobState.QUEUED] * 2
    move.move_keys()
    assert await states() == [JobState.QUEUED] * 2
    move.finish()
    assert await states() == [JobState.QUEUED] * 2


@pytest.mark.parametrize("moved", [0, 1, None], ids=["no key moved", "one key moved", "all keys moved"])
async def test_calls_wait_until_the_slot_has_arrived(moving: Broker, cluster: Cluster, moved: int | None) -> None:
    """A script whose keys are on two nodes is retried at TRYAGAIN until the slot has arrived."""
    (running,) = [delivery for _ in await seed(moving, QUEUE) for delivery in await take(moving, QUEUE)]
    codes: list[CommitCode] = []
    stored: list[str] = []
    before, move = refusals(cluster), begin_move(cluster, moving)
    move.move_keys(moved)

    async def commit_it() -> None:
        codes.append(await commit(moving, running))

    async def submit() -> None:
        stored.extend(await seed(moving, QUEUE, 3))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commit_it)
        tasks.start_soon(submit)
        await wait_until(lambda: refusals(cluster) > before + 1, "calls were told to try again")
        await anyio.to_thread.run_sync(move.move_keys)
        await anyio.to_thread.run_sync(move.finish)
    assert codes == [CommitCode.COMMITTED]
    snapshot = await audit(moving, QUEUE)
    assert {job_id for job_id, fields in snapshot.jobs.items() if fields["state"] == b"queued"} == set(stored)
    assert {one.id for one in await take(moving, QUEUE)} == set(stored)


async def fill_all_places(broker: Broker, script: str) -> list[JobId]:
    """Fill every key of the queue; return two jobs that the script changes one after the other."""
    await seed_dead(broker, QUEUE)
    if script == "recover":
        ids = [(await seed_running(broker, QUEUE)).id for _ in range(2)]
    else:
        late = {"delay_ms": FAR_MS, "expires_at_ms": LONG_AGO_MS}
        ids = await seed(broker, QUEUE, 2, **(late if script == "expire" else {}))
    for priority in Priority:
        await seed(broker, QUEUE, priority=priority)
    await seed(broker, QUEUE, delay_ms=FAR_MS, expires_in_ms=FAR_MS)
    await broker.client.hset(broker.keys.of(QUEUE).settings, "paused", "0")
    return ids


@pytest.mark.parametrize("script", ["claim", "recover", "cancel", "expire"])
async def test_no_transition_is_made_by_halves(cluster: Cluster, namespace: str, script: str) -> None:
    """A transition during a move is made whole or not at all."""
    async with open_broker(cluster.url, namespace=namespace, patience_s=0.0) as broker:
        ids = await fill_all_places(broker, script)
        calls = {
            "claim": lambda: take(broker, QUEUE),
            "recover": lambda: recover_all(broker, QUEUE),
            "cancel": lambda: broker.store.cancel(QUEUE, ids),
            "expire": lambda: broker.store.expire(QUEUE),
        }
        before, move = await everything(broker, QUEUE), begin_move(cluster, broker)
        move.move_these([broker.keys.of(QUEUE).job(ids[1]).encode()])
        with pytest.raises(StoreUnavailableError):
            await calls[script]()
        move.move_keys()
        move.finish()
        assert await everything(broker, QUEUE) == before


async def test_a_batch_is_told_when_its_shard_has_arrived(moving: Broker, cluster: Cluster) -> None:
    """News for a batch whose shard moves wait until that has arrived, and then are noted whole."""
    depot = Depot(moving)
    batch = await depot.create((COMPLETE,), members=2)
    await moving.batches.close(DEFAULT_TENANT, batch)
    for one in await depot.claim():
        await commit(moving, one)
    key = depot.keys(batch).part(batch)
    before, move = refusals(cluster), cluster.begin_move(key, cluster.others(cluster.node_of(key))[0])
    move.move_these([key.encode()])

    async def tell() -> None:
        await depot.messenger().run_once()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tell)
        await wait_until(lambda: refusals(cluster) > before, "the news were told to try again")
        await anyio.to_thread.run_sync(move.move_keys)
        await anyio.to_thread.run_sync(move.finish)
    assert await depot.counts(batch) == {MemberState.SUCCEEDED: 2}
    assert await depot.run_callbacks() == ["on_complete"]


@pytest.mark.parametrize("moved", [0, 3, None], ids=["no key moved", "some keys moved", "all keys moved"])
async def test_workflows_go_on_while_their_shard_moves(cluster: Cluster, namespace: str, moved: int | None) -> None:
    """Each node of a workflow runs once, also when its shard moves to another node of the cluster meanwhile."""
    async with open_broker(cluster.url, namespace=namespace, patience_s=20.0) as broker:
        mill = Mill(broker)
        workflow = await mill.create([node("a"), node("b", [0], at=1), node("c", [0], at=2), node("d", [1, 2])])
        await mill.starter().run_once()
        shard = WORKFLOW_KIND.shard_of(DEFAULT_TENANT, workflow)
        assert shard is not None
        key = broker.keys.of_workflows(shard).index
        move = cluster.begin_move(key, cluster.others(cluster.node_of(key))[0])
        move.move_keys(moved)
        ran: list[str] = []

        async def work() -> None:
            ran.extend(await mill.work())

        before = refusals(cluster)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await wait_until(lambda: refusals(cluster) > before, "a call was told to try again")
            await anyio.to_thread.run_sync(move.move_keys)
            await anyio.to_thread.run_sync(move.finish)
        assert (ran[0], sorted(ran[1:3]), ran[3:]) == ("a", ["b", "c"], ["d"])
        assert await mill.state(workflow) is WorkflowState.SUCCEEDED
        await delete_namespace(broker.client, namespace)
