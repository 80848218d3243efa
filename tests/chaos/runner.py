"""Runs one scenario: start, load, faults, rest, evidence, verdict."""

import random
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from itertools import product
from pathlib import Path
from typing import NoReturn

import anyio
import msgspec
from chaos.checker import check
from chaos.fleet import NAMESPACE, Timing, open_fleet
from chaos.gatherer import gather
from chaos.history_keeper import HistoryKeeper
from chaos.journal import EVERYTHING, STALL, Fault, Journal, now_ms
from chaos.kubelet import Kubelet
from chaos.redis_keeper import RedisKeeper
from chaos.report import Report, report_of
from chaos.rest import come_to_rest
from chaos.scenario import Scenario
from chaos.stage import Keeper, Stage
from chaos.submitter import Submitter

from millstream_cli.redis_finder import RedisBinary
from millstream_contracts import DEFAULT_TENANT, Queue, Tenant
from millstream_streams import Broker, open_broker

STALL_TICK_S = 0.1
STALL_S = 0.5


async def run_scenario(
    scenario: Scenario, folder: Path, *, seed: int, seconds: float, binary: RedisBinary | None = None
) -> Report:
    """Run a scenario for about this many seconds of faults, in an empty folder. Returns: its report."""
    began = time.monotonic()
    async with (
        scenario.redis(folder / "redis", binary) as redis,
        _history(scenario) as history,
        open_fleet(folder, _way_to(redis), scenario.shape, _timing(scenario, history), scenario.program) as fleet,
        open_broker(redis.url, namespace=NAMESPACE, patience_s=10.0) as broker,
        Submitter(fleet.of("ingest"), random.Random(f"load {seed}"), scenario.headers) as submitter,
    ):
        journal = Journal()
        stage = Stage(
            fleet=fleet,
            redis=redis,
            broker=broker,
            submitter=submitter,
            journal=journal,
            kubelet=Kubelet(fleet, journal),
            timing=scenario.timing,
            # Not the one of the load: how fast submissions come must not change which faults do.
            rng=random.Random(f"{scenario.name} {seed}"),
            seconds=seconds,
            history=history,
        )
        await fleet.start_all()
        await _keep_events(broker, scenario.tenants)
        async with _watched(stage):
            loaded_ms = await _harm(scenario, stage)
            rest = await come_to_rest(stage)
        journal.write(folder / "faults.jsonl")
        evidence = await gather(
            broker,
            fleet,
            ledger=submitter.ledger,
            journal=journal,
            timing=scenario.timing,
            unrest=rest.unrest,
            counters=rest.counters,
            tenancy=stage.tenancy,
        )
        evidence.history = await history.records() if history else None
        stage.figures |= {name: describe(evidence) for name, describe in scenario.describe.items()}
        complaints = check(evidence, scenario.rules, scenario.waived)
        report = report_of(scenario, stage, evidence, complaints, loaded_ms, time.monotonic() - began)
    (folder / "report.json").write_bytes(msgspec.json.encode(report))
    return report


def _history(scenario: Scenario) -> AbstractAsyncContextManager[HistoryKeeper | None]:
    return scenario.history() if scenario.history else nullcontext()


def _timing(scenario: Scenario, history: HistoryKeeper | None) -> Timing:
    more = {"HISTORY_URL": history.url} if history else {}
    return msgspec.structs.replace(scenario.timing, more=scenario.timing.more | more)


def _way_to(redis: Keeper) -> tuple[str, int] | str:
    """Return what the proxies lead to, or the URL that services use without them."""
    return redis.address if isinstance(redis, RedisKeeper) else redis.url


async def _keep_events(broker: Broker, tenants: Iterable[Tenant]) -> None:
    """Add a group to every event stream that never acknowledges, so that no reaper trims its events."""
    for job_type, registration in (await broker.registry.types(DEFAULT_TENANT)).items():
        for tenant, partition in product(tenants, range(registration.policy.partitions)):
            events = broker.keys.of(Queue(tenant, job_type, partition)).events
            await broker.client.xgroup_create(events, "chaos", id="0", mkstream=True)


@asynccontextmanager
async def _watched(stage: Stage) -> AsyncIterator[None]:
    """Restart what ends, and record when the machine itself stood still, while the block lasts."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.kubelet.run)
        tasks.start_soon(_watch_machine, stage.journal)
        yield
        tasks.cancel_scope.cancel()


async def _watch_machine(journal: Journal) -> NoReturn:
    while True:
        due = time.monotonic() + STALL_TICK_S
        await anyio.sleep(STALL_TICK_S)
        late_s = time.monotonic() - due
        if late_s > STALL_S:
            now = now_ms()
            journal.faults.append(Fault(STALL, EVERYTHING, now - round(late_s * 1000), now))


async def _harm(scenario: Scenario, stage: Stage) -> tuple[int, int]:
    """Cause faults under load. Returns: the times between which there was load, Unix ms."""
    begun, stop = now_ms(), anyio.Event()
    stage.submitter.copies = scenario.copies
    async with anyio.create_task_group() as tasks:
        if scenario.rate_per_s:
            tasks.start_soon(stage.submitter.load, scenario.rate_per_s, scenario.mix, stop)
        try:
            await scenario.act(stage)
        except AssertionError as error:  # what the scenario waited for never came
            stage.expect(None, str(error))
        stop.set()
    return begun, now_ms()
