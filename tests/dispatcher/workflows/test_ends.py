"""A workflow that has ended is given to dispatchers until the history has it as it is, and is not forgotten before."""

from dispatcher.workflows.conftest import DEAD, Mill, T, node

from millstream_contracts import WorkflowId, WorkflowState, ms_of
from millstream_streams import AWAITED_S, ActionCode, RerunCode


async def _ended(mill: Mill, *, lease_s: float = 60.0) -> list[WorkflowId]:
    """Take what has ended in the one shard."""
    [shard] = await mill.broker.workflows.shards()
    return list((await mill.broker.workflows.take_ended(shard, 10, lease_s=lease_s)).places)


async def _confirm(mill: Mill, workflow: WorkflowId, turn: int | None) -> int:
    """Say that the history has a workflow; return for how many it waits then."""
    [shard] = await mill.broker.workflows.shards()
    return (await mill.broker.workflows.take_ended(shard, 0, [(workflow, turn)])).waiting


async def test_an_end_is_given_out_until_it_is_confirmed(mill: Mill) -> None:
    """One dispatcher has an ended workflow at a time; after its lease another gets it, and none once it is stored."""
    workflow = await mill.create([node("a")])
    await mill.turn()
    assert await _ended(mill) == []
    await mill.work()
    assert await _ended(mill, lease_s=0.0) == [workflow]
    assert await _ended(mill) == [workflow]
    assert await _ended(mill) == []
    assert await _confirm(mill, workflow, (await mill.read(workflow)).turn) == 0


async def test_an_end_that_was_overtaken_is_stored_once_more(mill: Mill) -> None:
    """A workflow that was run again after it was read, and has ended again, is not confirmed by the older read."""
    workflow = await mill.create([node("a")])
    await mill.work()
    read = await mill.read(workflow)
    assert await mill.broker.workflows.rerun(T, workflow, [0], request=b"r") is RerunCode.DONE
    await mill.work()
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED
    assert await _confirm(mill, workflow, read.turn) == 1
    assert await _confirm(mill, workflow, (await mill.read(workflow)).turn) == 0


async def test_a_workflow_that_runs_again_is_not_waited_for(mill: Mill) -> None:
    """One that runs is no end: its next one is told anew."""
    workflow = await mill.create([node("a")])
    await mill.work()
    read = await mill.read(workflow)
    assert await mill.broker.workflows.rerun(T, workflow, [0], request=b"r") is RerunCode.DONE
    assert await _confirm(mill, workflow, read.turn) == 0
    await mill.work()
    assert await _ended(mill) == [workflow]


async def test_every_way_to_end_is_told(mill: Mill) -> None:
    """A workflow that failed, and one that was cancelled, are given out as one that has succeeded is."""
    failed = await mill.create([node("a", after_failure="cancel")], on_failure="cancel")
    await mill.work({"a": DEAD})
    cancelled = await mill.create([node("b")])
    assert await mill.broker.workflows.cancel(T, cancelled) is ActionCode.REQUESTED
    await mill.work()
    states = {await mill.state(failed), await mill.state(cancelled)}
    assert states == {WorkflowState.FAILED, WorkflowState.CANCELLED}
    assert set(await _ended(mill)) == {failed, cancelled}


async def test_what_the_history_lacks_is_not_forgotten(mill: Mill) -> None:
    """Where there is a history, a workflow stays in Redis beyond its retention until the history has it."""
    workflow = await mill.create([node("a")])
    await mill.work()
    await mill.make_checked(workflow)
    await mill.auditor(awaited_s=AWAITED_S).run_once()
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED
    await _confirm(mill, workflow, (await mill.read(workflow)).turn)
    await mill.make_checked(workflow)
    await mill.auditor(awaited_s=AWAITED_S).run_once()
    assert await mill.keys_of(workflow) == []


async def test_a_history_that_stays_away_does_not_fill_redis(mill: Mill) -> None:
    """A workflow that the history has not taken for too long is forgotten all the same, with its place among ends."""
    workflow = await mill.create([node("a")])
    await mill.work()
    retention_ms = (await mill.read(workflow)).retention_ms
    over_ms = ms_of(await mill.broker.now()) - retention_ms - round(AWAITED_S * 1000) - 1
    [shard] = await mill.broker.workflows.shards()
    key = mill.broker.keys.of_workflows(shard).part(workflow)
    await mill.broker.client.hset(key, "finished_at", str(over_ms))
    await mill.make_checked(workflow)
    await mill.auditor(awaited_s=AWAITED_S).run_once()
    assert await mill.keys_of(workflow) == []
    assert (await mill.broker.workflows.take_ended(shard, 10)).waiting == 0
