"""Batches run on every server, and on a cluster with their jobs on other nodes than they are."""

import pytest
from dispatcher.batches import test_batches
from dispatcher.batches.conftest import COMPLETE, QUEUES, Depot, T

from millstream_contracts import BatchState
from millstream_streams import Broker


@pytest.fixture
def depot(broker: Broker) -> Depot:
    """Return a depot on this server."""
    return Depot(broker)


async def test_callbacks_run_on_every_server(depot: Depot) -> None:
    """Callbacks are submitted at the end of a batch, and after a redrive."""
    await test_batches.test_callbacks_run_when_all_members_have_succeeded(depot)
    await test_batches.test_a_redriven_member_lets_its_batch_succeed(depot)


async def test_promises_and_members_that_add_on_every_server(depot: Depot) -> None:
    """Promises count until they have run out, and a member adds until it has ended."""
    await test_batches.test_a_promise_counts_until_it_has_run_out(depot)
    await test_batches.test_a_member_adds_until_it_has_ended(depot)


async def test_cancels_and_repairs_on_every_server(depot: Depot) -> None:
    """Members of a cancelled batch end, and what was lost is made up for."""
    await test_batches.test_cancel_ends_members_and_callbacks_still_run(depot)
    await test_batches.test_lost_members_and_callbacks_are_made_up_for(depot)


async def test_lists_and_retention_on_every_server(depot: Depot) -> None:
    """Members are listed page by page, and a batch is forgotten after its retention."""
    await test_batches.test_members_are_listed_by_state_page_by_page(depot)
    await test_batches.test_a_batch_is_forgotten_after_its_retention(depot)


async def test_many_shards_have_their_own_batches(depot: Depot) -> None:
    """Batches of all shards end, are listed once each, and are found by their ids."""
    made = [await depot.create((COMPLETE,), members=2) for _ in range(12)]
    for one in made:
        await depot.broker.batches.close(T, one)
    await depot.run_members()
    assert await depot.run_callbacks() == ["on_complete"] * 12
    assert {(await depot.read(one)).state for one in made} == {BatchState.SUCCEEDED}
    found, start = [], None
    while True:
        page, start = await depot.broker.batches.page(T, start=start, limit=5)
        found += [one.id for one in page]
        if start is None:
            break
    assert sorted(found) == sorted(made)
    assert {queue.type for queue in await depot.broker.registry.queues()} == {queue.type for queue in QUEUES}
