"""Opens the kit: the states of the handlers, and the parts that run their jobs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from msgspec import Struct

from millstream import App
from millstream.app import FROM_LIFESPAN
from millstream.handler import Handler
from millstream_contracts import JobType
from millstream_testing.bound_apps import bound_apps
from millstream_testing.memory.ledger import Ledger
from millstream_testing.memory.memory_broker import memory_broker
from millstream_testing.running.faults import Faults
from millstream_testing.running.job_runner import JobRunner
from millstream_testing.running.kit_caller import KitCaller
from millstream_testing.running.parts import runner_parts
from millstream_testing.surface.endpoint import Endpoint
from millstream_testing.surface.kit_clients import KitClient
from millstream_testing.virtual_clock import VirtualClock
from millstream_workers.service import opened_states


class OpenKit(Struct, frozen=True):
    """What there is while the kit is open."""

    runner: JobRunner
    endpoint: Endpoint
    client: KitClient
    states: dict[JobType, Any]


@asynccontextmanager
async def open_kit(
    app: App[Any],
    handlers: dict[JobType, Handler],
    caller: KitCaller,
    *,
    state: Any,
    ledger: Ledger,
    clock: VirtualClock,
    faults: Faults,
) -> AsyncIterator[OpenKit]:
    """Open the states and bind the app to the kit while the block lasts; handlers that still run are stopped then."""
    given = {} if state is FROM_LIFESPAN else {app.state_of: state}
    async with opened_states(app, handlers, given) as states:
        for type_, handler in handlers.items():
            ledger.limits.declare(type_, handler.limits)
        broker = memory_broker(ledger, clock, faults.lose_at)
        make_parts = partial(runner_parts, broker, handlers, states, caller)
        runner = JobRunner(ledger, clock, faults, make_parts, app.schedules.values())
        endpoint = Endpoint(runner.parts, ledger, runner, clock)
        client = KitClient(endpoint, clock)
        with bound_apps(app, client):
            await runner.parts.announcer.begin()
            try:
                yield OpenKit(runner, endpoint, client, states)
            finally:
                await runner.close()
