"""While Redis is away, silent or full, a worker stops jobs in time, retries with pauses, and stays up."""

import os
import threading
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from chaos.fault_proxy import FaultProxy
from waiting import wait_until
from workers.floor import Floor, Hired, open_floor, queue_of_type
from workers.plant import open_plant

from millstream import App, Context
from millstream_cli.embedded import EmbeddedRedis
from millstream_contracts import JobId, JobState
from millstream_streams import ReadyReader, open_broker
from millstream_telemetry import configure_logs

AWAY_S = 4.0
FAR_S = 600.0
"""A time so long that it cannot be what made something happen within a test."""


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_a_worker_waits_out_a_redis_that_resets_connections_without_hammering(
    floor: Floor, link: FaultProxy, tmp_path: Path
) -> None:
    """A worker whose connections are reset retries and logs now and then, and its jobs go on afterwards."""
    with open_plant(floor, link.url, tmp_path) as plant:
        machine = await plant.start()
        kinds = ("gate", "defiant", "stubborn", "parent")
        ids = [await floor.submit(kind, plant.payload, max_attempts=1) for kind in kinds]
        await plant.started(len(ids))
        link.refuse()
        traffic, lines, used_s, begun = link.traffic, len(machine.log), cpu_s(machine.pid), time.monotonic()
        await wait_until(lambda: time.monotonic() > begun + AWAY_S, "the outage has lasted")
        away_s = time.monotonic() - begun
        assert machine.process.poll() is None
        # Each of the five parts that ask waits twice as long after each failure, from 0.05 s on: some 35 connections
        # at first. Without the doubling they would ask a hundred times a second.
        assert link.traffic.since(traffic).connections < 20 * away_s
        assert len(machine.log) - lines < 5 * away_s
        assert cpu_s(machine.pid) - used_s < 0.5 * away_s
        link.heal()
        plant.let_go()
        for job_id in ids:
            job = await floor.settled(job_id)
            assert (job.state, job.deliveries, job.crashes) == (JobState.SUCCEEDED, 1, 0)
        (child,) = [note for note in await plant.started(len(ids) + 1) if note["job"] not in ids]
        assert child["pid"] == machine.pid


class Types:
    """An app with handlers of several types that run until the test lets them end, and a record of their events."""

    def __init__(self, count: int) -> None:
        self.app = App("test")
        self.names = [f"t{number}" for number in range(count)]
        self.story: list[tuple[str, JobId, int]] = []
        self.go = anyio.Event()
        for name in self.names:
            self.app.job(name)(self._run)

    async def _run(self, ctx: Context) -> int:
        self.story.append(("started", ctx.job_id, ctx.fence))
        try:
            await self.go.wait()
        except anyio.get_cancelled_exc_class():
            self.story.append(("stopped", ctx.job_id, ctx.fence))
            raise
        return ctx.fence

    def count(self, event: str, fence: int) -> int:
        """Return in how many deliveries of this number the event has happened."""
        return sum((event, fence) == (one, number) for one, _, number in self.story)


async def test_handlers_are_stopped_before_their_leases_end_when_redis_says_nothing(
    floor: Floor, link: FaultProxy
) -> None:
    """Handlers of a worker whose Redis does not respond are stopped before their leases end.

    A reaper with a working link would give their jobs to other workers. The time does not depend on the number of
    types, whose renewals all wait for a response.
    """
    # As in a worker process: what structlog makes of an exception in a terminal takes seconds.
    configure_logs("workers", "info", StringIO())
    lease_s, types = 4.0, Types(8)
    await floor.hire(types.app, redis_url=link.url, lease_s=lease_s, renew_every_s=0.2)
    ids = [await floor.submit(name) for name in types.names]
    await wait_until(lambda: types.count("started", 1) == len(ids), "all run")
    link.swallow()
    await floor.hire(types.app, lease_s=lease_s, renew_every_s=0.2)

    async def run_elsewhere() -> bool:
        for name in types.names:
            await floor.broker.store.recover(queue_of_type(name), lease_ms=round(lease_s * 1000), max_crashes=3)
        return types.count("started", 2) == len(ids)

    await wait_until(run_elsewhere, "all run elsewhere")
    for job_id in ids:
        assert types.story.index(("stopped", job_id, 1)) < types.story.index(("started", job_id, 2))
    link.cut()
    link.heal()
    types.go.set()
    assert {(await floor.settled(job_id)).deliveries for job_id in ids} == {2}


async def test_a_worker_that_starts_while_redis_is_full_empties_it(own_redis: EmbeddedRedis, tmp_path: Path) -> None:
    """A worker that starts while Redis is full runs its jobs, though there is no room for its registration."""
    async with (
        open_broker(own_redis.url, namespace="full") as broker,
        open_floor(broker, own_redis.url) as floor,
    ):
        with open_plant(floor, own_redis.url, tmp_path) as plant:
            plant.let_go()
            ids = [await floor.submit(kind, plant.payload) for kind in ("gate", "stubborn")]
            await broker.client.config_set("maxmemory", "1")
            machine = plant.launch()
            for job_id in ids:
                assert (await floor.settled(job_id)).state is JobState.SUCCEEDED
            assert machine.process.poll() is None
            assert await broker.registry.workers() == []
            await broker.client.config_set("maxmemory", "0")
            await wait_until(broker.registry.workers, "it is on the list once there is room")


async def test_a_queue_that_refuses_outcomes_does_not_delay_those_of_others(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue that refuses outcomes has a pause of its own, and the outcomes of other queues are committed."""
    monkeypatch.setattr("millstream_workers.keeping.committer.backoff_s", lambda _: 3600.0)
    types = Types(2)
    hired = await floor.hire(types.app)
    broken, sound = types.names
    await floor.submit(broken)
    await wait_until(lambda: types.count("started", 1) == 1, "it runs")
    stream = floor.broker.keys.of(queue_of_type(broken)).ready[1]
    await floor.broker.client.rename(stream, f"{stream}:aside")
    await floor.broker.client.set(stream, "no stream")
    types.go.set()
    await wait_until(lambda: hired.worker.parts.pipeline.committer.backlog == 1, "its outcome waits")
    for _ in range(3):
        assert (await floor.run(sound)).state is JobState.SUCCEEDED
    assert hired.worker.parts.pipeline.committer.backlog == 1
    await floor.broker.client.rename(f"{stream}:aside", stream)


@pytest.mark.parametrize("note", ["\ud800", "nul \0 and a cut emoji \ud83d", 4711], ids=["surrogate", "nul", "number"])
async def test_no_progress_note_ends_a_worker(floor: Floor, note: Any) -> None:
    """A progress note that cannot be stored as it is costs neither its worker nor a lease."""
    app, go = App("test"), anyio.Event()

    @app.job("one")
    async def one(ctx: Context) -> None:
        ctx.progress(50, note)
        await go.wait()

    hired = await floor.hire(app, renew_every_s=0.1)
    job_id = await floor.submit("one")

    async def is_seen() -> bool:
        floor.check()
        return (await floor.job(job_id)).progress is not None

    await wait_until(is_seen, "the progress is in Redis")
    go.set()
    assert (await floor.settled(job_id)).deliveries == 1
    assert hired.is_running


def failing(hired: Hired) -> list[str]:
    """Return the names of the checks that make a worker not live."""
    return [check.name for check in hired.worker.live().checks if not check.ok]


async def test_a_worker_is_not_live_while_a_handler_blocks_its_loop(floor: Floor) -> None:
    """While a handler blocks the loop, the probe, which another thread answers, reports the worker as not live."""
    app, blocked, may_end = App("test"), threading.Event(), threading.Event()
    seen: list[list[str]] = []

    @app.job("block")
    async def block() -> None:
        blocked.set()
        may_end.wait(30.0)

    hired = await floor.hire(app, stalled_loop_s=0.6)

    def probe() -> None:
        blocked.wait(30.0)
        give_up_at = time.monotonic() + 20.0
        while not failing(hired) and time.monotonic() < give_up_at:
            time.sleep(0.01)
        seen.append(failing(hired))
        may_end.set()

    prober = threading.Thread(target=probe)
    prober.start()
    assert (await floor.run("block")).state is JobState.SUCCEEDED
    prober.join(timeout=30.0)
    assert seen == [["event loop"]]
    await wait_until(lambda: not failing(hired), "it is live again")


class OddLease:
    """A delivery in the lease keeper's list that runs code of the test whenever the lease keeper reads it."""

    def __init__(self, look: Callable[[], object]) -> None:
        self.delivery = SimpleNamespace(key=("odd", ""))
        self.interruption = None
        self._look = look

    @property
    def renewed_at(self) -> float:
        """Return the present time, as if the lease were just renewed."""
        self._look()
        return time.monotonic()

    @property
    def id(self) -> str:
        """Return an id that no hint names."""
        return "odd"


async def test_a_worker_is_not_live_when_its_lease_keeper_hangs(floor: Floor) -> None:
    """A worker whose lease keeper has been hanging for three lease lengths is not live."""
    app, may_go_on = App("test"), threading.Event()

    @app.job("any")
    async def any_job() -> None: ...

    hired = await floor.hire(app, lease_s=0.3, renew_every_s=0.1)
    assert failing(hired) == []
    odd = OddLease(lambda: may_go_on.wait(30.0))
    hired.worker.parts.leases.hold(odd)  # type: ignore[arg-type]
    try:
        await wait_until(lambda: "lease keeper" in failing(hired), "the probe fails")
    finally:
        hired.worker.parts.leases.let_go(odd.delivery)  # type: ignore[arg-type]
        may_go_on.set()


async def test_a_worker_ends_when_its_lease_keeper_dies(floor: Floor) -> None:
    """A worker whose lease keeper dies ends with the cause, because its jobs would soon run elsewhere as well."""
    app = App("test")

    @app.job("any")
    async def any_job() -> None: ...

    hired = await floor.hire(app)

    def die() -> None:
        raise MemoryError("no room for a lease")

    odd = OddLease(die)
    hired.worker.parts.leases.hold(odd)  # type: ignore[arg-type]
    await wait_until(lambda: not hired.is_running, "the worker has ended")
    hired.worker.parts.leases.let_go(odd.delivery)  # type: ignore[arg-type]
    crash, hired.crash = hired.crash, None
    assert crash is not None
    assert "MemoryError: no room for a lease" in str(crash.exceptions[0])


async def test_a_worker_is_not_live_when_it_neither_claims_nor_asks(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker with free slots that has sent no claim in three lease lengths is not live."""
    monkeypatch.setattr("millstream_workers.assembly.SILENT_READ_S", 0.0)
    app = App("test")

    @app.job("any")
    async def any_job() -> None: ...

    async def hang(*_: object, **__: object) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(ReadyReader, "wait", hang)
    hired = await floor.hire(app, lease_s=0.3, renew_every_s=0.1)
    await wait_until(lambda: failing(hired) == ["intake"], "the probe fails")


async def test_a_worker_that_drains_for_long_is_live(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that drains for long is live, though it claims nothing, because it still runs jobs."""
    monkeypatch.setattr("millstream_workers.assembly.SILENT_READ_S", 0.0)
    types = Types(1)
    hired = await floor.hire(types.app, lease_s=0.3, renew_every_s=0.1, grace_s=FAR_S)
    job_id = await floor.submit(types.names[0])
    await wait_until(lambda: types.count("started", 1) == 1, "it runs")
    hired.orders.stop.set()
    await wait_until(lambda: not hired.worker.parts.pulse.check().ok, "it has asked for nothing in three lease lengths")
    assert failing(hired) == []
    types.go.set()
    await wait_until(lambda: not hired.is_running, "the worker has ended")
    assert (await floor.job(job_id)).state is JobState.SUCCEEDED
