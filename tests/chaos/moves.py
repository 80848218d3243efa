"""The scenarios of several Redis servers: a failover, and slots that move."""

from functools import partial

import anyio
import anyio.to_thread
from chaos.evidence import Evidence
from chaos.journal import EVERYTHING
from chaos.stage import Stage
from chaos.topology_keepers import ClusterKeeper, TrioKeeper

WAIVED = frozenset(
    {
        "no_delivery_runs_twice",
        "refused_commits_are_those_of_zombies",
        "workers_count_what_they_commit",
        "workers_time_what_waits",
        "reapers_count_what_they_recover",
    }
)
"""The rules that a failover may break, by promise 6: it can lose a delivery or a commit, with the event of what was
counted. Then the job runs again under the same delivery number, and the worker that had it is refused although it lost
no lease.
"""

PAUSE_S = (2.0, 5.0)
HALFWAY_S = (0.05, 0.5)


async def failover(stage: Stage) -> None:
    """Kill the primary, or let Sentinel swap it: what was confirmed as replicated is there, and all goes on."""
    keeper = stage.redis
    assert isinstance(keeper, TrioKeeper)
    ends_at = anyio.current_time() + stage.seconds
    count = 0
    while True:
        await anyio.sleep(stage.rng.uniform(*PAUSE_S))
        count += 1
        await _kill_primary(stage, keeper) if count % 2 else await _swap(stage, keeper)
        if anyio.current_time() > ends_at:
            break
    stage.figures["failovers"] = str(count)


async def _kill_primary(stage: Stage, keeper: TrioKeeper) -> None:
    with stage.journal.lasting("primary killed", EVERYTHING):
        old = await anyio.to_thread.run_sync(keeper.trio.kill_primary)
        await anyio.to_thread.run_sync(keeper.trio.wait_for_new_primary, old)
    await anyio.to_thread.run_sync(keeper.trio.revive, old)


async def _swap(stage: Stage, keeper: TrioKeeper) -> None:
    with stage.journal.lasting("SENTINEL FAILOVER", EVERYTHING):
        old = await anyio.to_thread.run_sync(keeper.trio.failover)
        await anyio.to_thread.run_sync(keeper.trio.wait_for_new_primary, old)
        await anyio.to_thread.run_sync(keeper.trio.wait_until_ready)


def describe_losses(evidence: Evidence) -> str:
    """Return the effects of jobs that Redis has lost."""
    told = {effect.job for effects in evidence.effects.values() for effect in effects}
    forgotten = told - evidence.jobs.keys()
    twice = sum(
        len(fences) - len(set(fences))
        for job_id in evidence.effects
        for fences in [[effect.fence for effect in evidence.runs_of(job_id, "started")]]
    )
    return f"{len(forgotten)} jobs that ran are forgotten, {twice} deliveries ran twice"


async def slot_move(stage: Stage) -> None:
    """Move the slots of queues and workflows between nodes, with a rest in the middle: nothing is lost or doubled."""
    keeper = stage.redis
    assert isinstance(keeper, ClusterKeeper)
    ends_at = anyio.current_time() + stage.seconds
    moves = 0
    while anyio.current_time() < ends_at:
        await _move(stage, keeper, stage.rng.choice(await _keys(stage)))
        moves += 1
        await anyio.sleep(stage.rng.uniform(0.5, 1.5))
    stage.figures["slots moved"] = str(moves)


async def _keys(stage: Stage) -> list[str]:
    """Return a key of each queue and of each shard of workflows."""
    keys, broker = stage.broker.keys, stage.broker
    queues = [keys.of(queue).events for queue in await broker.registry.queues()]
    return queues + [keys.of_workflows(shard).outbox for shard in await broker.workflows.shards()]


async def _move(stage: Stage, keeper: ClusterKeeper, key: str) -> None:
    source = await anyio.to_thread.run_sync(keeper.cluster.node_of, key)
    target = stage.rng.choice(keeper.cluster.others(source))
    with stage.journal.lasting("slot move", EVERYTHING):
        move = await anyio.to_thread.run_sync(keeper.cluster.begin_move, key, target)
        await anyio.to_thread.run_sync(partial(move.move_keys, stage.rng.randint(0, 50)))
        await anyio.sleep(stage.rng.uniform(*HALFWAY_S))
        await anyio.to_thread.run_sync(move.move_keys)
        await anyio.to_thread.run_sync(move.finish)
