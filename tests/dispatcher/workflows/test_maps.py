"""A node with `map` has one job for each item of a list, and ends with the last of them."""

import msgspec
import pytest
from dispatcher.workflows.conftest import DEAD, QUEUES, Mill, T, node
from streams.seeds import commit

from millstream_contracts import Cancelled, JobId, NodeState, Outcome, Succeeded, WorkflowId, WorkflowState
from millstream_streams import WORKFLOW_KIND, ActionCode, FlowNews, RerunCode, StoredItems

encode = msgspec.msgpack.encode


AGAIN = [("succeeded", "3"), ("succeeded", "3"), ("dead", "2")]
"""News that come twice, and late ones."""


def mapped(max_failures: int = 0) -> list:  # type: ignore[type-arg]
    """Return a node that answers a list, one with a job for each item, and one that takes their results."""
    return [
        node("list"),
        node("each", [0], inputs=[0], over="list", payload={"name": {"$item": ""}}, max_failures=max_failures),
        node("all", [1], inputs=[1], payload={"name": "all", "of": {"$result": "each"}}),
    ]


def items(count: int) -> list[str]:
    """Return the names of items, which are the payloads of their jobs."""
    return [f"i{at}" for at in range(count)]


async def run(mill: Mill, count: int, outcomes: dict[str, Outcome] | None = None) -> tuple[list[str], object]:
    """Run all that there is; return what ran, and what the last node got."""
    given = {"list": Succeeded(encode(items(count))), **(outcomes or {})}
    ran = await mill.work(given)
    return ran, mill.payloads.get("all")


@pytest.mark.parametrize("count", [0, 1, 5, 250])
async def test_each_item_has_a_job_and_the_results_are_in_order(mill: Mill, count: int) -> None:
    """A job runs for each item, also of an empty list and of a long one, and the result is a list in their order."""
    workflow = await mill.create(mapped())
    ran, got = await run(mill, count)
    assert (ran[0], sorted(ran[1:-1]), ran[-1]) == ("list", sorted(items(count)), "all")
    assert got == {"name": "all", "of": items(count)}
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED
    each = (await mill.nodes(workflow))[1]
    counts = {NodeState.SUCCEEDED: count} if count else {}
    assert (each.items, each.job_id, each.is_map) == (StoredItems(count, counts), None, True)


async def test_items_that_failed_within_the_bound_are_null(mill: Mill) -> None:
    """A node with `map` succeeds when no more of its jobs have failed than may, and their results are null."""
    workflow = await mill.create(mapped(max_failures=2))
    _, got = await run(mill, 4, {"i1": DEAD, "i3": Cancelled("no")})
    assert got == {"name": "all", "of": ["i0", None, "i2", None]}
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED


async def test_more_failures_than_may_be_make_the_node_dead_until_one_is_redriven(mill: Mill) -> None:
    """A node with `map` is dead when too many jobs have failed, and succeeds after a redrive of one."""
    workflow = await mill.create(mapped(max_failures=1))
    ran, _ = await run(mill, 3, {"i1": DEAD, "i2": DEAD})
    assert "all" not in ran
    assert await mill.state(workflow) is WorkflowState.STALLED
    each = (await mill.nodes(workflow))[1]
    assert (each.state, each.reason) == (NodeState.DEAD, "items_failed")
    assert each.items == StoredItems(3, {NodeState.SUCCEEDED: 1, NodeState.DEAD: 2})
    letter = mill.ids["i2"]
    assert await mill.broker.store.redrive(QUEUES[0], [letter]) == [ActionCode.DONE]
    assert await mill.work() == ["i2", "all"]
    assert mill.payloads["all"] == {"name": "all", "of": ["i0", None, "i2"]}
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED


async def test_a_map_does_not_run_again_beside_an_item_that_was_redriven(mill: Mill) -> None:
    """A map that has succeeded without an item runs again only once that item, which was redriven, has ended."""
    workflow = await mill.create(mapped(max_failures=1))
    await run(mill, 2, {"i1": DEAD})
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED
    await mill.broker.store.redrive(QUEUES[0], [mill.ids["i1"]])
    for request in (b"before it is told", b"after"):
        assert await mill.broker.workflows.rerun(T, workflow, [1], request=request) is RerunCode.RUNNING
        await mill.turn()
    assert await mill.work() == ["i1"]
    assert await mill.broker.workflows.rerun(T, workflow, [1], request=b"at last") is RerunCode.DONE
    assert sorted(await mill.work()) == ["all", "i0", "i1"]


async def test_news_of_an_item_count_once(mill: Mill) -> None:
    """A node with `map` does not end by one item that is told of twice."""
    workflow = await mill.create(mapped())
    await mill.work_until_started({"list": Succeeded(encode(items(2)))})
    await mill.turn()
    taken = await mill.claim()
    await commit(mill.broker, taken["i0"], Succeeded(encode("i0")))
    await mill.turn()
    shard = WORKFLOW_KIND.shard_of(T, workflow)
    assert shard is not None
    news = [FlowNews(workflow, "1.0", 1, JobId(""), state, version, encode("i0")) for state, version in AGAIN]
    await mill.broker.workflows.note(shard, news)
    assert (await mill.nodes(workflow))[1].state is NodeState.STARTED
    await commit(mill.broker, taken["i1"], Succeeded(encode("i1")))
    assert await mill.work() == ["all"]
    assert mill.payloads["all"] == {"name": "all", "of": items(2)}


async def test_what_is_no_list_makes_the_node_dead(mill: Mill) -> None:
    """A node whose `map` refers to something else than a list is dead with a reason."""
    workflow = await mill.create(mapped())
    await mill.work({"list": Succeeded(encode("text"))})
    each = (await mill.nodes(workflow))[1]
    assert (each.state, each.reason) == (NodeState.DEAD, "input_no_list")


async def test_a_dispatcher_that_died_between_two_rounds_starts_no_item_twice(mill: Mill) -> None:
    """Items that were stored and not confirmed are taken again after the lease; those that ended are passed over."""
    workflow = await mill.create(mapped())
    await mill.work_until_started({"list": Succeeded(encode(items(150)))})
    await mill.unconfirmed_starter().run_once()
    first = await mill.claim()
    assert len(first) == 100
    for one in first.values():
        await commit(mill.broker, one, Succeeded(encode(mill.payload(one)["name"])))  # type: ignore[index]
    await mill.messenger().run_once()
    await mill.forget(first.values())
    await mill.free_leases()
    ran = await mill.work()
    assert len(ran) == 51
    assert mill.payloads["all"] == {"name": "all", "of": items(150)}
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED


@pytest.mark.parametrize("confirmed", [True, False])
async def test_a_cancelled_workflow_ends_the_jobs_of_items(mill: Mill, *, confirmed: bool) -> None:
    """Jobs of items that wait are cancelled, and no further ones are started, also where a round was not confirmed."""
    workflow = await mill.create(mapped())
    await mill.work_until_started({"list": Succeeded(encode(items(250)))})
    await (mill.starter() if confirmed else mill.unconfirmed_starter()).run_once()
    await mill.broker.workflows.cancel(T, workflow)
    await mill.turn()
    await mill.free_leases()
    assert await mill.work() == []
    assert await mill.state(workflow) is WorkflowState.CANCELLED
    assert (await mill.nodes(workflow))[1].items == StoredItems(250, {NodeState.CANCELLED: 250})


async def test_the_auditor_starts_items_again_that_redis_has_lost(mill: Mill) -> None:
    """Of the jobs of items those are started again that are gone, and no others."""
    workflow = await mill.create(mapped())
    await mill.work_until_started({"list": Succeeded(encode(items(5)))})
    await mill.turn()
    taken = await mill.claim()
    await commit(mill.broker, taken["i0"])
    await mill.turn()
    await mill.forget([taken["i0"], taken["i2"]])
    await mill.make_checked(workflow)
    await mill.auditor().run_once()
    assert await mill.work() == ["i2"]
    for name in ("i1", "i3", "i4"):
        await commit(mill.broker, taken[name])
    assert await mill.work() == ["all"]
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED


async def test_a_redriven_item_that_redis_has_lost_is_started_again_although_its_round_was_not_confirmed(
    mill: Mill,
) -> None:
    """A map that has ended has no item that is yet to be started, so the auditor looks for each of them."""
    workflow = await mill.create(mapped())
    await mill.work_until_started({"list": Succeeded(encode(items(150)))})
    starter = mill.unconfirmed_starter(after=1)
    while (await starter.run_once()).stored:
        pass
    taken = {**await mill.claim(), **await mill.claim()}
    assert sorted(taken) == sorted(items(150))
    for name, one in taken.items():
        await commit(mill.broker, one, DEAD if name == "i120" else Succeeded(encode(name)))
    await mill.turn()
    assert await mill.state(workflow) is WorkflowState.STALLED
    await mill.broker.store.redrive(QUEUES[0], [mill.ids["i120"]])
    await mill.turn()
    await mill.forget((await mill.claim()).values())
    await mill.make_checked(workflow)
    await mill.auditor().run_once()
    assert await mill.work() == ["i120", "all"]
    assert mill.payloads["all"] == {"name": "all", "of": items(150)}


async def test_an_item_that_is_known_is_not_stored_as_another_life(mill: Mill) -> None:
    """A job that was lost after a redrive is started again by the auditor, which forgets the versions of its life."""
    workflow = await mill.create(mapped())
    await mill.work_until_started({"list": Succeeded(encode(items(2)))})
    await mill.unconfirmed_starter().run_once()
    taken = await mill.claim()
    await commit(mill.broker, taken["i0"], DEAD)
    await mill.messenger().run_once()
    await mill.broker.store.redrive(QUEUES[0], [taken["i0"].id])
    await mill.messenger().run_once()
    await mill.forget((await mill.claim()).values())
    await mill.free_leases()
    await mill.turn()
    await mill.make_checked(workflow)
    await mill.auditor().run_once()
    await commit(mill.broker, taken["i1"], Succeeded(encode("i1")))
    assert await mill.work() == ["i0", "all"]
    assert mill.payloads["all"] == {"name": "all", "of": items(2)}


async def test_items_that_are_confirmed_late_free_no_lease_of_another_dispatcher(mill: Mill) -> None:
    """A dispatcher that was slow confirms what another one has confirmed, while a third starts the next items."""
    workflow = await mill.create(mapped())
    await mill.work_until_started({"list": Succeeded(encode(items(250)))})
    shard = WORKFLOW_KIND.shard_of(T, workflow)
    assert shard is not None
    slow, confirmed = await mill.store_items(shard)
    await mill.free_leases()
    assert await mill.store_items(shard) == (slow, confirmed)
    await mill.broker.workflows.take_starts(shard, 0, confirmed)
    next_round, _ = await mill.store_items(shard)
    assert next_round > slow
    await mill.broker.workflows.take_starts(shard, 0, confirmed)
    assert (await mill.broker.workflows.take_starts(shard, 1)).tasks == []


async def test_a_node_with_map_is_forgotten_with_its_items(mill: Mill) -> None:
    """The auditor forgets the items of a workflow with it."""
    workflow: WorkflowId = await mill.create(mapped())
    await run(mill, 3, {"i1": DEAD})
    await mill.broker.workflows.cancel(T, workflow)
    await mill.turn()
    await mill.make_checked(workflow)
    await mill.auditor().run_once()
    assert await mill.keys_of(workflow) == []
