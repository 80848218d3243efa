"""A full Redis takes no batch and no member, and goes on with those it has."""

import pytest
from dispatcher.batches.conftest import COMPLETE, SUCCESS, Depot, T
from streams.seeds import commit

from millstream_contracts import MemberState
from millstream_streams import ActionCode, StoreFullError


async def test_a_full_redis_takes_no_batch_and_goes_on_with_those_it_has(roomy: Depot) -> None:
    """While Redis is full ends are noted and a batch is closed; callbacks are stored when there is room again."""
    depot = roomy
    batch = await depot.create((SUCCESS, COMPLETE), members=2)
    taken = await depot.claim()
    await depot.broker.client.config_set("maxmemory", 1)
    with pytest.raises(StoreFullError):
        await depot.broker.batches.create(T, depot.new())
    with pytest.raises(StoreFullError):
        await depot.promise(batch, depot.jobs(batch))
    for one in taken:
        await commit(depot.broker, one)
    await depot.messenger().run_once()
    assert await depot.counts(batch) == {MemberState.SUCCEEDED: 2}
    assert await depot.broker.batches.close(T, batch) is ActionCode.DONE
    with pytest.raises(StoreFullError):
        await depot.starter().run_once()
    await depot.broker.client.config_set("maxmemory", 0)
    await depot.free_leases()
    assert await depot.run_callbacks() == ["on_complete", "on_success"]


async def test_a_full_redis_cancels_batches(roomy: Depot) -> None:
    """While Redis is full a batch is cancelled, with its members, and promises that have run out are dropped."""
    batch = await roomy.create(members=2)
    await roomy.promise(batch, roomy.jobs(batch))
    await roomy.let_promises_run_out(batch)
    await roomy.broker.client.config_set("maxmemory", 1)
    assert await roomy.broker.batches.cancel(T, batch) is ActionCode.REQUESTED
    await roomy.turn()
    await roomy.auditor().run_once()
    assert await roomy.counts(batch) == {MemberState.CANCELLED: 2}
    await roomy.broker.client.config_set("maxmemory", 0)
