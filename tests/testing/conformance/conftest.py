"""The stage on which each test of the suite runs: first the test kit, then real workers."""

from collections.abc import AsyncIterator, Iterator

import pytest
from testing.conformance.stages import Stage, kit_stage, redis_stage
from testing.conformance.trade import ran

from millstream_streams import Broker


@pytest.fixture(scope="session", autouse=True)
def short_steps() -> Iterator[None]:
    """Let lease keepers look more often, because each test waits for a lease keeper to end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("millstream_workers.keeping.lease_keeper.POLL_S", 0.02)
        yield


@pytest.fixture(params=["kit", "redis"])
async def stage(request: pytest.FixtureRequest, broker: Broker, redis_url: str) -> AsyncIterator[Stage]:
    """Yield the stage of the parameter."""
    ran.clear()
    async with kit_stage() if request.param == "kit" else redis_stage(broker, redis_url) as stage:
        yield stage
