"""The liveness probe of a worker fails only when a restart would help."""

import anyio
import pytest
from msgspec.structs import replace
from waiting import wait_until
from workers.floor import Floor, open_floor

from millstream import App
from millstream_cli.embedded import EmbeddedRedis
from millstream_runtime import HealthCheck
from millstream_streams import JobStore, ReadyReader, StoreUnavailableError, open_broker
from millstream_workers.worker import Worker


class Stale:
    """A pulse that is always too old."""

    def check(self) -> HealthCheck:
        """Return the check of a pulse that is too old."""
        return HealthCheck("intake", ok=False, detail="too long ago")


async def test_a_worker_is_live_while_every_slot_is_busy(floor: Floor) -> None:
    """A worker whose slots are all busy claims nothing, and is live."""
    app, gate = App("test"), anyio.Event()

    @app.job("long")
    async def long() -> None:
        await gate.wait()

    hired = await floor.hire(app, concurrency=1)
    worker = hired.worker
    await floor.submit("long")
    await wait_until(lambda: worker.parts.slots.free == 0, "the slot is busy")
    stale = Worker(worker._settings, replace(worker.parts, pulse=Stale()))
    assert stale.live().ok
    gate.set()
    await wait_until(lambda: worker.parts.slots.free == 1, "the slot is free")
    assert [check.name for check in stale.live().checks if not check.ok] == ["intake"]


async def test_a_worker_that_asks_in_vain_is_live(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that claims in vain while Redis is away is live, because a restart would not help."""
    app = App("test")

    @app.job("any")
    async def any_job() -> None: ...

    asked: list[int] = []

    async def fail(*_: object, **__: object) -> None:
        raise StoreUnavailableError("away")

    hired = await floor.hire(app)
    monkeypatch.setattr(hired.worker.parts.pulse, "beat", lambda: asked.append(1))
    monkeypatch.setattr(ReadyReader, "wait", fail)
    monkeypatch.setattr(JobStore, "claim", fail)
    await wait_until(lambda: len(asked) >= 2, "it has asked again")


async def test_a_worker_that_may_beat_and_claim_nothing_is_unready_and_says_why(own_redis: EmbeddedRedis) -> None:
    """A worker with the right to send heartbeats and none to claim is unready, and names the reason."""
    app = App("test")

    @app.job("any")
    async def any_job() -> None: ...

    async with open_broker(own_redis.url, namespace="liveness") as broker, open_floor(broker, own_redis.url) as floor:

        async def allow(rule: str) -> None:
            await broker.client.execute_command("ACL", "SETUSER", "default", rule)

        worker = (await floor.hire(app)).worker
        await wait_until(lambda: worker.ready().ok, "the worker is ready")
        await allow("-xreadgroup")
        await wait_until(lambda: not worker.ready().ok, "the worker is unready")
        assert [check.name for check in worker.ready().checks if not check.ok] == ["intake"]
        assert "+xreadgroup" in worker.ready().checks[-1].detail
        assert worker.live().ok
        await allow("+xreadgroup")
        await wait_until(lambda: worker.ready().ok, "the worker is ready again")
