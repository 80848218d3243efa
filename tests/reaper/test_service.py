"""A reaper as a whole: what it makes of the Redis that it finds at its start, and of the order to stop."""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
import structlog
from waiting import wait_until

from millstream_cli.embedded import EmbeddedRedis, start_embedded_redis
from millstream_reaper.service import reap
from millstream_reaper.settings import ReaperSettings
from millstream_runtime import Service, open_service
from millstream_telemetry import JobTracer

GRACE = {"leases are given time after an outage", "leases are given time after the start of redis"}


@asynccontextmanager
async def running(settings: ReaperSettings) -> AsyncIterator[Service[ReaperSettings]]:
    """Run a reaper; at the end of the block it is ordered to stop, and leaves."""
    async with (
        open_service("reaper", settings, JobTracer(None), lambda: pytest.fail("no thread is left")) as service,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(reap, service)
        yield service
        service.orders.stop.set()


async def events_of(settings: ReaperSettings, meanwhile: Callable[[Service[ReaperSettings]], object] | None = None):
    """Return what a reaper has logged by the end of the first pass of all its duties."""
    with structlog.testing.capture_logs() as lines:
        async with running(settings) as service:
            if meanwhile:
                await wait_until(lambda: service.failures.failures, "Redis was asked")
                await anyio.to_thread.run_sync(meanwhile, service)
            await wait_until(lambda: service.report.ready().ok, "each duty has passed once")
    return [line["event"] for line in lines]


@pytest.mark.parametrize(("lease_s", "has_grace"), [(600.0, True), (0.0, False)])
async def test_leases_are_given_time_where_redis_is_up_for_less_than_a_lease(
    own_redis: EmbeddedRedis, lease_s: float, has_grace: bool
) -> None:
    """Workers may not have been able to renew before it came up, also where this reaper came after it."""
    events = await events_of(ReaperSettings(redis_url=own_redis.url, lease_s=lease_s))
    assert bool(GRACE & set(events)) is has_grace


async def test_leases_are_given_time_where_the_reaper_waited_for_redis(tmp_path: Path) -> None:
    """While it waited no worker could renew, however short the lease."""
    with start_embedded_redis(tmp_path / "redis") as server:
        url, port = server.url, server.port
    with ExitStack() as servers:
        events = await events_of(
            ReaperSettings(redis_url=url, lease_s=0.0),
            lambda _: servers.enter_context(start_embedded_redis(tmp_path / "redis", port)),
        )
    assert GRACE & set(events)
