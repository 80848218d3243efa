"""Tells Redis which processes of which services live, of which release, and with which settings.

`millstream doctor` compares them: two releases side by side, a service that is missing, leases of different length.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from random import uniform
from typing import NoReturn

import anyio
from msgspec.structs import asdict, replace

from millstream_contracts import DutyInfo, ServiceInfo
from millstream_runtime.settings.reader import variables_of
from millstream_runtime.settings.service_settings import ServiceSettings
from millstream_streams import Registry, StoreError, consumer_name

BEAT_EVERY_S = 10.0
"""As rarely as a worker's heartbeat at most, so that `ALIVE_FOR` holds for both."""

LEAVE_WITHIN_S = 1.0
"""A process that ends does not wait longer than this to be taken off the list."""

AGREED = ("lease_s", "max_crashes", "unknown_types", "events_kept", "worker_silent_s", "due_soon_s", "history_days")
"""The settings on which all processes that have them must agree."""


@asynccontextmanager
async def beating(
    service: str,
    settings: ServiceSettings,
    registry: Registry,
    *,
    every_s: float = BEAT_EVERY_S,
    duties: Callable[[], list[DutyInfo]] = list,
) -> AsyncIterator[None]:
    """Send heartbeats of this process while the block lasts, the first one at once, each with what `duties` returns.

    While Redis is away none is sent; other calls of the service report that.
    """
    process = describe(service, settings)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_beat, registry, process, every_s, duties)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()
            with suppress(StoreError), anyio.move_on_after(LEAVE_WITHIN_S, shield=True):
                await registry.leave_service(process.name)


def describe(service: str, settings: ServiceSettings) -> ServiceInfo:
    """Return what a process that starts now says of itself."""
    now = datetime.now(UTC)
    agreed = {variables_of(name)[0]: value for name, value in asdict(settings).items() if name in AGREED}
    return ServiceInfo(
        name=consumer_name(),
        service=service,
        version=version("millstream"),
        settings=agreed,
        started_at=now,
        sent_at=now,
        seen_at=now,
    )


async def _beat(
    registry: Registry, process: ServiceInfo, every_s: float, duties: Callable[[], list[DutyInfo]]
) -> NoReturn:
    while True:
        with suppress(StoreError):
            await registry.note_service(replace(process, sent_at=datetime.now(UTC), duties=duties()))
        # Processes that were started together do not come together for ever.
        await anyio.sleep(uniform(0.8, 1.0) * every_s)
