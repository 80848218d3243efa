"""Workflows that have ended are stored in the history with their nodes, once, whatever fails on the way."""

import math
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from dispatcher.workflows.conftest import DEAD, Mill, T, node
from history_databases import execute, query
from msgspec.structs import replace

from millstream_contracts import (
    JobType,
    Keeps,
    NodeState,
    Succeeded,
    TypePolicy,
    TypeRegistration,
    WorkflowId,
    WorkflowState,
    WorkflowStatus,
)
from millstream_dispatcher.workflows import recorder as module
from millstream_dispatcher.workflows.recorder import WorkflowRecorder
from millstream_history import EndedWorkflow, History, HistoryError, open_history
from millstream_streams import RerunCode
from millstream_telemetry import HistoryMetrics
from millstream_workflows.blueprints import encode

ROWS = "SELECT id, state, run FROM workflows"


class Recording:
    """A mill, a history, and what writes the one into the other."""

    def __init__(self, mill: Mill, history: History, url: str) -> None:
        self.mill = mill
        self.history = history
        self.url = url

    def recorder(self) -> WorkflowRecorder:
        """Return a dispatcher's duty that stores what has ended."""
        return WorkflowRecorder(self.mill.broker, self.history, HistoryMetrics(self.mill.registry))

    async def past(self, workflow: WorkflowId) -> WorkflowStatus:
        """Return a workflow as the history has it."""
        found = await self.history.workflows.find(T, workflow)
        assert found is not None
        return found

    async def free_ends(self) -> None:
        """Take away the leases of workflows that are being stored, as if their time was over."""
        for shard in await self.mill.broker.workflows.shards():
            key = self.mill.broker.keys.of_workflows(shard).ended
            for member in await self.mill.broker.client.zrange(key, 0, -1):
                await self.mill.broker.client.zadd(key, {member: 0})

    async def with_result(self, text: str = "made") -> WorkflowId:
        """Run a workflow whose result is that of its only node, a text."""
        new = replace(self.mill.new([node("a")], result_inputs=[0]), result=encode({"$result": "a"}))
        await self.mill.broker.workflows.create(T, new)
        await self.mill.work({"a": Succeeded(msgspec.msgpack.encode(text))})
        return new.id

    def shown(self, name: str) -> float:
        """Return the value of a gauge."""
        value = self.mill.registry.get_sample_value(name)
        assert value is not None
        return value


@pytest.fixture
async def recording(mill: Mill, history_url: str) -> AsyncIterator[Recording]:
    """Yield a mill with an empty history."""
    async with open_history(history_url) as history:
        yield Recording(mill, history, history_url)


async def test_all_of_an_ended_workflow_is_stored(recording: Recording) -> None:
    """The history has its facts, and each node with its job, its state, its parents and why it failed."""
    mill = recording.mill
    nodes = [node("a"), node("b", [0], at=1), node("c", [1], after_failure="cancel", optional=True)]
    workflow = await mill.create(nodes, on_failure="cancel")
    await mill.work({"b": DEAD})
    live, live_nodes = await mill.read(workflow), await mill.nodes(workflow)
    assert live.state.is_terminal
    assert (await recording.recorder().run_once()).stored == 1
    past = await recording.past(workflow)
    found, following = await recording.history.workflows.nodes(T, past, start=0, limit=10)
    assert following is None
    assert (past.id, past.name, past.state, past.counts, past.run, past.source) == (
        workflow,
        live.name,
        live.state,
        live.counts,
        1,
        "history",
    )
    assert (past.reason, past.on_failure, past.retention_s) == (live.reason, "cancel", live.retention_ms / 1000)
    assert [(one.name, one.type, one.state, one.job, one.after, one.optional) for one in found] == [
        (one.name, one.queue.type, one.state, one.job_id, list(one.parents), one.optional) for one in live_nodes
    ]
    assert [one.reason or "" for one in found] == [one.reason for one in live_nodes]


async def test_who_has_submitted_a_workflow_is_stored_with_it(recording: Recording) -> None:
    """A workflow is stored with its owner, and one of which that is not known without."""
    new, other = replace(recording.mill.new([node("a")]), owner="7Kq2vXbA"), recording.mill.new([node("b")])
    for one in (new, other):
        await recording.mill.broker.workflows.create(T, one)
    await recording.mill.work()
    assert (await recording.recorder().run_once()).stored == 2
    assert [(await recording.past(one.id)).submitted_by for one in (new, other)] == ["7Kq2vXbA", None]


async def test_items_and_results_are_stored(recording: Recording) -> None:
    """Of a node with `map` the history has how many of its jobs ended how; and the result of the whole."""
    workflow = await recording.with_result("made")
    each = node("each", [0], inputs=[0], over="list", payload={"name": {"$item": ""}})
    of_map = await recording.mill.create([node("list"), each])
    await recording.mill.work({"list": Succeeded(msgspec.msgpack.encode(["x", "y"]))})
    await recording.recorder().run_once()
    assert (await recording.past(workflow)).result == "made"
    past = await recording.past(of_map)
    found, _ = await recording.history.workflows.nodes(T, past, start=1, limit=10)
    assert found[0].items is not None
    assert (found[0].items.total, found[0].items.counts) == (2, {NodeState.SUCCEEDED: 2})


async def test_whose_results_each_node_took_is_stored(recording: Recording) -> None:
    """The history has the inputs of each node with their sizes, as Redis has, and none of a node that took none."""
    workflow = await recording.mill.create(
        [node("a"), node("b"), node("c", [0, 1], inputs=[0, 1], payload={"name": "c", "of": {"$result": "a"}})]
    )
    result = msgspec.msgpack.encode("made")
    await recording.mill.work({"a": Succeeded(result)})
    await recording.recorder().run_once()
    found, _ = await recording.history.workflows.nodes(T, await recording.past(workflow), start=0, limit=10)
    live = await recording.mill.broker.workflows.inputs(T, workflow, [0, 1, 2])
    assert [[(one.node, one.result_bytes) for one in node.inputs or []] for node in found] == list(live.values())
    assert found[2].inputs is not None
    assert (found[2].inputs[0].node, found[2].inputs[0].result_bytes) == ("a", len(result))
    assert [node.inputs for node in found[:2]] == [[], []]


async def test_a_dispatcher_that_dies_before_it_confirms_leaves_one_row(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stored and not confirmed is stored again after the lease, and changes nothing."""
    workflow = await recording.mill.create([node("a"), node("b", [0])])
    await recording.mill.work()
    take = recording.mill.broker.workflows.take_ended

    async def dies(shard: Any, limit: int, stored: Any = (), **options: Any) -> Any:
        if stored:
            raise RuntimeError("killed")
        return await take(shard, limit, stored, **options)

    with monkeypatch.context() as patch:
        patch.setattr(recording.mill.broker.workflows, "take_ended", dies)
        with pytest.raises(RuntimeError, match="killed"):
            await recording.recorder().run_once()
    assert (await recording.recorder().run_once()).stored == 0
    await recording.free_ends()
    assert (await recording.recorder().run_once()).stored == 1
    assert await query(recording.url, ROWS) == [(workflow, "succeeded", 1)]
    assert await query(recording.url, "SELECT place FROM workflow_nodes ORDER BY place") == [(0,), (1,)]
    assert (await recording.recorder().run_once()).stored == 0


async def test_a_rerun_replaces_what_was_stored_and_an_older_end_does_not(recording: Recording) -> None:
    """The last end of a workflow stands in the history, also when an earlier one is written after it."""
    workflow = await recording.mill.create([node("a")])
    await recording.mill.work()
    older = await _ended(recording, workflow)
    await recording.recorder().run_once()
    assert await recording.mill.broker.workflows.rerun(T, workflow, [0], request=b"r") is RerunCode.DONE
    await recording.mill.work()
    await recording.recorder().run_once()
    await recording.history.workflows.store([older])
    assert await query(recording.url, ROWS) == [(workflow, "succeeded", 2)]
    found, _ = await recording.history.workflows.nodes(T, await recording.past(workflow), start=0, limit=10)
    assert [one.job for one in found] == [one.job_id for one in await recording.mill.nodes(workflow)]
    assert found[0].job != older.nodes[0].job


async def _ended(recording: Recording, workflow: WorkflowId) -> EndedWorkflow:
    [shard] = await recording.mill.broker.workflows.shards()
    return await recording.recorder()._ended(shard, await recording.mill.read(workflow), 1.0)


async def test_the_metrics_say_what_waits_while_the_database_refuses(recording: Recording) -> None:
    """A workflow that cannot be stored is shown as waiting, with its age; then it is stored, and nothing waits."""
    await recording.mill.create([node("a")])
    await recording.mill.work()
    duty = recording.recorder()
    assert math.isnan(recording.shown("millstream_history_workflows_waiting"))
    await execute(recording.url, "ALTER TABLE workflow_nodes RENAME TO elsewhere")
    with pytest.raises(HistoryError):
        await duty.run_once()
    await recording.mill.pass_a_millisecond()
    await duty.run_once()
    assert recording.shown("millstream_history_workflows_waiting") == 1
    assert recording.shown("millstream_history_workflow_lag_seconds") > 0
    await execute(recording.url, "ALTER TABLE elsewhere RENAME TO workflow_nodes")
    await recording.free_ends()
    assert (await duty.run_once()).stored == 1
    assert recording.shown("millstream_history_workflows_waiting") == 0
    assert recording.shown("millstream_history_workflow_lag_seconds") == 0


async def test_one_that_cannot_be_read_does_not_stop_the_others(recording: Recording) -> None:
    """A hash that another program has written is passed over, and waits no longer."""
    broken, whole = await recording.mill.create([node("a")]), await recording.mill.create([node("b")])
    await recording.mill.work()
    [shard] = await recording.mill.broker.workflows.shards()
    key = recording.mill.broker.keys.of_workflows(shard).part(broken)
    await recording.mill.broker.client.hset(key, "options", "garbage")
    assert (await recording.recorder().run_once()).stored == 2
    assert [row[0] for row in await query(recording.url, ROWS)] == [whole]
    assert (await recording.recorder().run_once()).stored == 0
    await recording.mill.broker.client.delete(key)


@pytest.mark.parametrize("keeps", ["no_payload", "failures", "nothing"])
async def test_a_result_is_stored_only_where_its_types_keep_theirs(recording: Recording, keeps: Keeps) -> None:
    """The result of a workflow holds results of its nodes: where those of a type are not stored, neither is it."""
    registration = TypeRegistration(type=JobType("cut"), policy=TypePolicy(keeps=keeps))
    await recording.mill.broker.registry.add_types(T, [registration])
    workflow = await recording.with_result("secret")
    await recording.recorder().run_once()
    past = await recording.past(workflow)
    assert (past.state, past.result, past.reason) == (WorkflowState.SUCCEEDED, None, module.NOT_KEPT)


async def test_a_large_result_is_left_out(recording: Recording) -> None:
    """A result larger than a payload may be is not stored, and the workflow says so."""
    workflow = await recording.with_result("x" * module.MAX_RESULT_BYTES)
    await recording.recorder().run_once()
    assert (await recording.past(workflow)).reason == module.TOO_LARGE


async def test_what_is_erased_is_not_stored_and_does_not_stay(recording: Recording) -> None:
    """With a job of a workflow its result and the reasons of its nodes go, whether the erasure or the end is first."""
    before, after = await recording.with_result("secret"), await recording.with_result("secret")
    await recording.mill.broker.client.hset(  # as another release may have it, with a value of a payload
        recording.mill.broker.keys.of_workflows((await recording.mill.broker.workflows.shards())[0]).part(
            before, "live"
        ),
        "x0",
        "secret",
    )
    jobs = {one: (await recording.mill.nodes(one))[0].job_id for one in (before, after)}
    await recording.history.erasures.mark(T, [jobs[before]])  # type: ignore[list-item]
    await recording.recorder().run_once()
    await recording.history.erasures.mark(T, [jobs[after]], [after])  # type: ignore[list-item]
    assert "secret" not in str(await query(recording.url, "SELECT * FROM workflows"))
    assert "secret" not in str(await query(recording.url, "SELECT * FROM workflow_nodes"))
    assert (await recording.past(before)).counts == {NodeState.SUCCEEDED: 1}
