"""Workflows run on every server, and on a cluster with their jobs on other nodes than they are."""

import pytest
from dispatcher.workflows import test_maps, test_reruns, test_workflows
from dispatcher.workflows.conftest import QUEUES, Mill, T, node

from millstream_contracts import WorkflowState
from millstream_streams import Broker


@pytest.fixture
def mill(broker: Broker) -> Mill:
    """Return a mill on this server."""
    return Mill(broker)


async def test_nodes_run_in_order_on_every_server(mill: Mill) -> None:
    """A diamond over three queues runs in order, and another one is cancelled."""
    await test_workflows.test_nodes_run_in_order_and_the_workflow_succeeds(mill)
    await test_workflows.test_a_cancelled_node_that_was_not_stored_never_is(mill)


async def test_results_and_maps_on_every_server(mill: Mill) -> None:
    """Results reach the nodes that refer to them, and each item of a list has a job."""
    await test_workflows.test_results_reach_the_nodes_that_refer_to_them(mill)
    await test_maps.test_each_item_has_a_job_and_the_results_are_in_order(mill, 5)


async def test_reruns_and_redrives_on_every_server(mill: Mill) -> None:
    """Failed nodes run again, and a redriven one goes on."""
    await test_reruns.test_failed_nodes_run_again_with_those_behind_them(mill)
    await test_workflows.test_a_redriven_node_goes_on(mill, "wait")


async def test_many_shards_have_their_own_workflows(mill: Mill) -> None:
    """Workflows of all shards run, are listed once each, and are found by their ids."""
    made = [await mill.create([node("a", at=at), node("b", [0], at=at + 1)]) for at in range(12)]
    ran = await mill.work_all()
    assert ran == 24
    assert [await mill.state(one) for one in made] == [WorkflowState.SUCCEEDED] * 12
    found, start = [], None
    while True:
        page, start = await mill.broker.workflows.page(T, start=start, limit=5)
        found += [one.id for one in page]
        if start is None:
            break
    assert sorted(found) == sorted(made)
    assert {queue.type for queue in await mill.broker.registry.queues()} == {queue.type for queue in QUEUES}
