"""A node whose unique key another job holds has no job, and its workflow says whose it is."""

import msgspec
from dispatcher.workflows.conftest import Mill, T, node
from msgspec.structs import replace
from streams.seeds import commit

from millstream_contracts import NodeState, OnConflict, Submission, UniqueOptions, WorkflowState
from millstream_streams import NewNode
from millstream_workflows.blueprints import Blueprint, encode


def unique_node(name: str, on_conflict: OnConflict = "return") -> NewNode:
    """Return a node whose job has the unique key `page`."""
    one = node(name)
    unique = UniqueOptions(key="page", on_conflict=on_conflict)
    submission = Submission(type=one.queue.type, payload=msgspec.Raw(encode(name)), unique=unique)
    return replace(one, blueprint=encode(Blueprint(encode(submission), False, b"")))


async def test_a_node_is_refused_while_another_job_holds_its_key(mill: Mill) -> None:
    """Of two nodes with one key the first starts; the other is dead, and says the id of that job."""
    workflow = await mill.create([unique_node("first"), unique_node("second")])
    await mill.turn()
    taken = await mill.claim()
    assert len(taken) == 1
    started, refused = sorted(await mill.nodes(workflow), key=lambda one: one.state is NodeState.DEAD)
    assert (started.state, refused.state) == (NodeState.STARTED, NodeState.DEAD)
    assert str(started.job_id) in (refused.reason or "")
    [delivery] = taken.values()
    await commit(mill.broker, delivery)
    await mill.turn()
    assert await mill.state(workflow) is WorkflowState.FAILED


async def test_a_node_takes_the_key_of_a_job_that_has_not_started(mill: Mill) -> None:
    """With `replace` the job of a node stands in place of one that waits, whose workflow learns that."""
    first = await mill.create([unique_node("first")])
    await mill.turn()
    second = await mill.create([unique_node("second", "replace")])
    assert await mill.work() == ["second"]
    assert await mill.state(second) is WorkflowState.SUCCEEDED
    [replaced] = await mill.nodes(first)
    assert replaced.state is NodeState.CANCELLED


async def test_a_node_starts_when_the_key_is_free(mill: Mill) -> None:
    """A node whose key no job holds any more starts as any other."""
    for name in ("first", "second"):
        workflow = await mill.create([unique_node(name)])
        assert await mill.work() == [name]
        assert await mill.state(workflow) is WorkflowState.SUCCEEDED
    assert len(await mill.broker.registry.queues(T)) == 1
