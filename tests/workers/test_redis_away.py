"""When Redis goes away while jobs run, outcomes are kept and committed later, and the worker goes on by itself."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from waiting import wait_until
from workers.floor import Floor, open_floor

from millstream import App, Context
from millstream_cli.embedded import EmbeddedRedis, start_embedded_redis
from millstream_contracts import JobState
from millstream_streams import open_broker


class Outage:
    """A server that can be stopped and started again, on the same port and data."""

    def __init__(self, server: EmbeddedRedis) -> None:
        self.server = server
        self._binary = server.binary

    def begin(self) -> None:
        """Stop the server."""
        self.server.close()

    def end(self) -> None:
        """Start the server again."""
        self.server = start_embedded_redis(self.server.folder, self.server.port)


@pytest.fixture
async def outage(tmp_path: Path) -> AsyncIterator[Outage]:
    """Yield a server of this test's own that is up."""
    outage = Outage(start_embedded_redis(tmp_path / "redis"))
    yield outage
    outage.server.close()


@pytest.fixture
async def island(outage: Outage) -> AsyncIterator[Floor]:
    """Yield a floor on that server."""
    async with (
        open_broker(outage.server.url, namespace="away") as broker,
        open_floor(broker, outage.server.url) as floor,
    ):
        yield floor


class Gate:
    """A handler that runs until the test lets it end."""

    def __init__(self) -> None:
        self.app = App("test")
        self.started: list[int] = []
        self.ended: list[int] = []
        self.stopped: list[int] = []
        self.go = anyio.Event()

        @self.app.job("gate")
        async def gate(ctx: Context) -> str:
            self.started.append(ctx.fence)
            try:
                await self.go.wait()
            except anyio.get_cancelled_exc_class():
                self.stopped.append(ctx.fence)
                raise
            self.ended.append(ctx.fence)
            return "done meanwhile"


async def test_outcomes_of_jobs_that_end_during_an_outage_are_committed_after_it(island: Floor, outage: Outage) -> None:
    """Outcomes of an outage are kept and committed after it; no job runs twice, and new jobs run again."""
    gate = Gate()
    hired = await island.hire(gate.app)
    ids = await island.submit_many("gate", [None] * 5)
    await wait_until(lambda: len(gate.started) == 5, "all run")
    outage.begin()
    gate.go.set()
    await wait_until(lambda: len(gate.ended) == 5, "all have ended, without a Redis")
    await wait_until(lambda: hired.worker.parts.pipeline.committer.backlog == 5, "their outcomes wait")
    outage.end()
    for job_id in ids:
        job = await island.settled(job_id)
        assert (job.state, job.result, job.deliveries, job.crashes) == (JobState.SUCCEEDED, "done meanwhile", 1, 0)
    assert len(gate.started) == 5
    assert hired.attempts("gate", "ok") == 5
    assert (await island.run("gate")).state is JobState.SUCCEEDED


async def test_an_outage_costs_a_job_nothing(island: Floor, outage: Outage) -> None:
    """A handler whose lease cannot be renewed is stopped, and its job goes back without a crash once Redis responds."""
    gate = Gate()
    await island.hire(gate.app, lease_s=1.5, renew_every_s=0.1)
    job_id = await island.submit("gate")
    await wait_until(lambda: gate.started, "it runs")
    outage.begin()
    await wait_until(lambda: gate.stopped, "it is stopped")
    outage.end()
    await wait_until(lambda: len(gate.started) == 2, "it runs again, with no reaper about")
    gate.go.set()
    job = await island.settled(job_id)
    assert (job.state, job.attempts, job.crashes) == (JobState.SUCCEEDED, 1, 0)


async def test_jobs_run_again_when_redis_was_frozen(island: Floor, outage: Outage) -> None:
    """After a freeze of Redis new jobs run again, and no job has run twice."""
    gate = Gate()
    await island.hire(gate.app)
    first = await island.submit("gate")
    await wait_until(lambda: gate.started, "it runs")
    os.kill(outage.server.pid, signal.SIGSTOP)
    gate.go.set()
    await wait_until(lambda: gate.ended, "it has ended, without an answer")
    os.kill(outage.server.pid, signal.SIGCONT)
    assert (await island.settled(first)).deliveries == 1
    assert (await island.run("gate")).deliveries == 1
    assert gate.started == [1, 1]
