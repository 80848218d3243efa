"""Every service starts in the same way. tests/cli/test_services.py runs them as processes."""

from contextlib import ExitStack, suppress
from typing import Any

import anyio
import pytest
from waiting import wait_until

from millstream_cli.embedded import start_embedded_redis
from millstream_runtime import ServiceSettings, StoppedEarlyError, open_service, suitable_redis, unwrapped
from millstream_streams import ANY_SERVICE
from millstream_telemetry import JobTracer

NOWHERE = "redis://127.0.0.1:9/0"


def opened(url: str) -> Any:
    """Return a service, not yet opened, on this Redis."""
    settings = ServiceSettings(redis_url=url, namespace="acme")
    return open_service("reaper", settings, JobTracer(None), lambda: None)


async def has_failed(service: Any) -> None:
    """Return once a request to Redis has failed."""
    await wait_until(lambda: service.failures.failures > 0, "Redis was asked")


async def test_a_service_is_unready_and_says_why_until_redis_is_there() -> None:
    """A service answers probes from its start: it is live, not ready without Redis, and says so."""
    async with opened(NOWHERE) as service, anyio.create_task_group() as tasks:
        assert service.report.live().ok
        assert [check.name for check in service.report.ready().checks] == ["redis"]

        async def wait() -> None:
            with suppress(StoppedEarlyError):
                async with suitable_redis(service, ANY_SERVICE, patience_s=0.0):
                    pytest.fail("there is none")

        tasks.start_soon(wait)
        await has_failed(service)
        (check,) = service.report.ready().checks
        assert (check.ok, "127.0.0.1:9" in check.detail) == (False, True)
        of_redis = {"component": "reaper", "check": "redis"}
        assert service.metrics.get_sample_value("millstream_ready", of_redis) == 0
        service.orders.stop.set()


async def test_the_order_to_stop_ends_the_wait_for_redis_before_anything_has_begun() -> None:
    """A stop ends the wait for Redis, and nothing is begun."""

    async def stop_after_a_failure(service: Any) -> None:
        await has_failed(service)
        service.orders.stop.set()

    async def run() -> None:
        with unwrapped():
            async with opened(NOWHERE) as service, anyio.create_task_group() as tasks:
                tasks.start_soon(stop_after_a_failure, service)
                async with suitable_redis(service, ANY_SERVICE, patience_s=0.0):
                    pytest.fail("there is none")

    with pytest.raises(StoppedEarlyError):
        await run()


async def test_a_redis_that_is_there_was_not_waited_for(redis_url: str) -> None:
    """A Redis that is there at the start was not waited for."""
    async with opened(redis_url) as service, suitable_redis(service, ANY_SERVICE, patience_s=0.0) as redis:
        assert not redis.was_waited_for
        assert redis.broker.keys.namespace == "acme"
        assert redis.broker.address == service.settings.redis
        await redis.broker.look_at_clock()


async def test_a_redis_that_came_later_was_waited_for(tmp_path) -> None:
    """A Redis that came later was waited for, at which a reaper gives workers the length of a lease."""
    with start_embedded_redis(tmp_path / "redis") as server:
        port = server.port
    with ExitStack() as servers:
        async with opened(f"redis://127.0.0.1:{port}") as service, anyio.create_task_group() as tasks:

            async def start_later() -> None:
                await has_failed(service)
                servers.enter_context(await anyio.to_thread.run_sync(start_embedded_redis, tmp_path / "redis", port))

            tasks.start_soon(start_later)
            async with suitable_redis(service, ANY_SERVICE, patience_s=0.0) as redis:
                assert redis.was_waited_for
                assert service.failures.failures == 0


async def test_a_single_error_leaves_its_groups_and_several_stay_together() -> None:
    """A single error is unwrapped from its groups, and several stay together."""
    with pytest.raises(KeyError), unwrapped():
        raise ExceptionGroup("outer", [ExceptionGroup("inner", [KeyError("x")])])
    with pytest.raises(ExceptionGroup, match="several"), unwrapped():
        raise ExceptionGroup("outer", [ExceptionGroup("several", [KeyError("x"), ValueError("y")])])
