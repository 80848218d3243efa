"""Workflows pass on results of encrypted jobs, and nothing of these stands in Redis as it is."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from dispatcher.workflows.conftest import QUEUES, Mill, T, node
from dispatcher.workflows.test_maps import mapped
from msgspec.structs import replace
from streams.seeds import TTL_MS, take
from workers.test_encrypted_jobs import codec, whole_store_of

from millstream_codec import PAYLOAD, Place, is_sealed
from millstream_contracts import (
    Coding,
    NodeState,
    Succeeded,
    TypePolicy,
    TypeRegistration,
    WorkflowId,
    WorkflowState,
)
from millstream_dispatcher.workflows.recorder import ENCRYPTED, WorkflowRecorder
from millstream_history import open_history
from millstream_ingest.workflows.workflow_finder import WorkflowFinder
from millstream_streams import Broker, Commit, StoreUnavailableError, open_broker
from millstream_telemetry import HistoryMetrics
from millstream_workflows.blueprints import encode

CANARY = "canary-4711"
ENCRYPT = Coding(encrypt=True)


@pytest.fixture
async def ours(broker: Broker) -> AsyncIterator[Mill]:
    """Yield a mill whose dispatchers have the keys."""
    async with open_broker(broker.address, namespace=broker.keys.namespace, codec=codec()) as opened:
        yield Mill(opened)


async def run(mill: Mill, results: dict[str, Any], *, first: str) -> dict[str, Any]:
    """Run all that becomes ready, the first node as one of an encrypted type. Return the payloads of jobs by name.

    A worker encrypts what a job gives whose payload is encrypted.
    """
    payloads: dict[str, Any] = {}
    while True:
        await mill.turn()
        taken = [one for queue in QUEUES for one in await take(mill.broker, queue, limit=100)]
        if not taken:
            return payloads
        for one in taken:
            sealed = is_sealed(one.spec.payload)
            place = Place(T, one.id, PAYLOAD)
            payload = msgspec.msgpack.decode(await mill.broker.codec.read(bytes(one.spec.payload), place))
            name = payload if isinstance(payload, str) else payload["name"]
            assert sealed is (name != first), name
            payloads[name] = payload
            outcome = Succeeded(msgspec.Raw(msgspec.msgpack.encode(results.get(name, name))))
            coding = ENCRYPT if sealed or name == first else Coding()
            commit = Commit(one, outcome, TTL_MS, coding=coding)
            await mill.broker.store.commit(one.queue, worker="w1", commits=[commit])


async def test_results_reach_nodes_whose_jobs_are_encrypted_then(ours: Mill) -> None:
    """A node gets the result of an encrypted job, whole or in part; its job is encrypted, and so is all behind it."""
    nodes = [
        node("a"),
        node("b", [0], inputs=[0], payload={"name": "b", "of": {"$result": "a", "path": "/card"}}),
        node("c", [1], at=1, inputs=[1], payload={"name": "c", "of": {"$result": "b"}}),
    ]
    workflow = await ours.create(nodes, result_inputs=[2])
    payloads = await run(ours, {"a": {"card": CANARY}, "b": [CANARY]}, first="a")
    assert payloads == {"a": "a", "b": {"name": "b", "of": CANARY}, "c": {"name": "c", "of": [CANARY]}}
    assert await ours.state(workflow) is WorkflowState.SUCCEEDED
    assert CANARY.encode() not in await whole_store_of(ours.broker)


async def test_items_of_an_encrypted_list_are_encrypted(ours: Mill) -> None:
    """A node with `map` has an encrypted job for each item of an encrypted list, and their results are a list."""
    workflow = await ours.create(mapped())
    items = [f"{CANARY}-{at}" for at in range(120)]
    payloads = await run(ours, {"list": items}, first="list")
    assert payloads["all"] == {"name": "all", "of": items}
    assert await ours.state(workflow) is WorkflowState.SUCCEEDED
    assert CANARY.encode() not in await whole_store_of(ours.broker)


async def start_with_a_result(mill: Mill) -> WorkflowId:
    """Have a node be ready that takes the result of an encrypted job."""
    nodes = [node("a"), node("b", [0], inputs=[0], payload={"name": "b", "of": {"$result": "a"}})]
    workflow = await mill.create(nodes)
    await mill.turn()
    [one] = await take(mill.broker, QUEUES[0], limit=1)
    outcome = Succeeded(msgspec.Raw(msgspec.msgpack.encode(CANARY)))
    await mill.broker.store.commit(one.queue, worker="w1", commits=[Commit(one, outcome, TTL_MS, coding=ENCRYPT)])
    await mill.messenger().run_once()
    return workflow


async def test_a_dispatcher_without_keys_leaves_the_node_to_others(ours: Mill, mill: Mill) -> None:
    """Without keys a node that takes an encrypted result is not started, and not refused either."""
    workflow = await start_with_a_result(ours)
    with pytest.raises(StoreUnavailableError, match="MILLSTREAM_ENCRYPTION_KEYS is unset"):
        await mill.starter().run_once()
    assert (await mill.states(workflow))["b"] is NodeState.STARTING
    await ours.free_leases()
    await ours.turn()
    [one] = await take(ours.broker, QUEUES[0], limit=1)
    assert is_sealed(one.spec.payload)


async def test_a_key_of_a_payload_with_such_a_result_is_refused(ours: Mill) -> None:
    """A node whose type takes its key from the payload is dead, because the key would be stored as it is."""
    policy = TypePolicy(key="of")
    await ours.broker.registry.add_types(T, [TypeRegistration(QUEUES[0].type, policy)])
    workflow = await start_with_a_result(ours)
    await ours.turn()
    [_, found] = await ours.nodes(workflow)
    assert (found.state, found.reason) == (NodeState.DEAD, "input_encrypted")
    assert CANARY.encode() not in await whole_store_of(ours.broker)


async def with_result(mill: Mill) -> WorkflowId:
    """Run a workflow whose result is that of an encrypted job."""
    new = replace(mill.new([node("a")], result_inputs=[0]), result=encode({"of": {"$result": "a"}}))
    await mill.broker.workflows.create(T, new)
    await run(mill, {"a": CANARY}, first="a")
    return new.id


async def test_the_result_of_a_workflow_is_shown_to_those_who_have_the_keys(ours: Mill, mill: Mill) -> None:
    """An ingest with keys shows the result, one without them says that it cannot be decrypted."""
    workflow = await with_result(ours)
    shown = (await WorkflowFinder(ours.broker, None).find(T, workflow)).status
    assert (shown.state, shown.result, shown.reason) == (WorkflowState.SUCCEEDED, {"of": CANARY}, None)
    blind = (await WorkflowFinder(mill.broker, None).find(T, workflow)).status
    assert (blind.state, blind.result) == (WorkflowState.SUCCEEDED, None)
    assert blind.reason == "the result cannot be decrypted"


async def test_the_history_does_not_keep_such_a_result(ours: Mill, history_url: str) -> None:
    """The history has the workflow without its result, and says why."""
    workflow = await with_result(ours)
    async with open_history(history_url) as history:
        recorder = WorkflowRecorder(ours.broker, history, HistoryMetrics(ours.registry))
        assert (await recorder.run_once()).stored == 1
        past = await history.workflows.find(T, workflow)
    assert past is not None
    assert (past.state, past.result, past.reason) == (WorkflowState.SUCCEEDED, None, ENCRYPTED)
