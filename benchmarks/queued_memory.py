"""Measures the memory that a waiting job takes in Redis, with the recommended setting and with Redis's default."""

from argparse import Namespace
from typing import Any

from msgspec import Struct
from rig import NOOP, fill, report, rig

DEFAULT_VALUE_BYTES = 64
"""The size of a hash's value up to which Redis keeps the hash compact."""


class Held(Struct, frozen=True):
    """Bytes per waiting job with a payload of 200 bytes."""

    total: float
    events: float
    """The part of the total that its events take until they are trimmed."""
    setting: int


async def main(options: Namespace) -> dict[str, Any]:
    """Measure both settings, and print them."""
    recommended = await _measure(options.jobs, None)
    default = await _measure(options.jobs, DEFAULT_VALUE_BYTES)
    rows = []
    for held in (recommended, default):
        rows += [
            (f"bytes/job, hash-max-listpack-value {held.setting}", f"{held.total:,.0f}"),
            (f"of them events, hash-max-listpack-value {held.setting}", f"{held.events:,.0f}"),
        ]
    return report(
        "queued_memory",
        rows,
        measured={"queued_bytes": recommended.total},
        jobs=options.jobs,
        bytes=recommended.total,
        events_bytes=recommended.events,
        default_bytes=default.total,
    )


async def _measure(jobs: int, value_bytes: int | None) -> Held:
    async with rig() as one:
        client = one.broker.client
        if value_bytes is not None:
            await client.config_set("hash-max-ziplist-value", value_bytes)
        [setting] = (await client.config_get("hash-max-ziplist-value")).values()
        await fill(one, 100)
        before = (await client.info("memory"))["used_memory"]
        await fill(one, jobs)
        used = (await client.info("memory"))["used_memory"] - before
        events = await client.memory_usage(one.broker.keys.of(NOOP).events, samples=0)
        return Held(round(used / jobs, 1), round(events / (jobs + 100), 1), int(setting))
