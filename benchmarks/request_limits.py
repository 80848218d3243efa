"""Measures what a limit adds to a request, and what a key without one pays for there being limits."""

import time
from argparse import Namespace
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from rig import median, report, rig

from millstream_contracts import RequestLimits, digest_of_key, limits, mint_key
from millstream_ingest.access.principal import Principal
from millstream_ingest.limiting.door import SUBMISSIONS, Door
from millstream_telemetry import IngestMetrics, MetricRegistry

CALLS = 20_000
BREATHE_EVERY = 100
"""Calls between two turns of the task that asks Redis, as other requests would come between."""

_ROOMY = RequestLimits(submissions_per_s=limits.MAX_API_RATE_PER_S, burst=limits.MAX_API_BURST)
_FREE = Principal(scopes=frozenset(), owner="free")
_LIMITED = Principal(scopes=frozenset(), owner="limited", limits=_ROOMY)


async def main(options: Namespace) -> dict[str, Any]:
    """Measure a key with a limit and one without, and print the medians."""
    rounds = [await _measure() for _ in range(options.rounds)]
    free_us, limited_us, fields_us, hash_us = (median(list(one)) for one in zip(*rounds, strict=True))
    rows = [
        ("us added to a request of a key without a limit", f"{free_us:.2f}"),
        ("us added by taking a token", f"{limited_us:.2f}"),
        ("us added by the two header fields", f"{fields_us:.2f}"),
        ("us of the SHA-256 of a key, beside it", f"{hash_us:.2f}"),
        ("times that, without a limit", f"{free_us / hash_us:.2f}"),
        ("times that, with a limit", f"{(limited_us + fields_us) / hash_us:.2f}"),
    ]
    return report(
        "request_limits",
        rows,
        measured={"no_limit": free_us},
        rounds=options.rounds,
        free_us=free_us,
        limited_us=limited_us,
        fields_us=fields_us,
        hash_us=hash_us,
    )


async def _measure() -> tuple[float, float, float, float]:
    """Return the us of a request without a limit, with one, of the fields, and of one SHA-256."""
    async with rig() as one, anyio.create_task_group() as tasks:
        door = Door(one.broker.rate_tokens, IngestMetrics(MetricRegistry()), RequestLimits())
        tasks.start_soon(door.run)
        found = door.limits_of(_LIMITED, SUBMISSIONS)
        assert found is not None
        text = mint_key().text.encode()

        async def nothing() -> None:
            return None

        async def free() -> None:
            assert door.limits_of(_FREE, SUBMISSIONS) is None

        async def limited() -> None:
            held = door.limits_of(_LIMITED, SUBMISSIONS)
            assert held is not None
            await door.take(held)

        async def fields() -> None:
            found.fields()

        async def digest() -> None:
            digest_of_key(text)

        for call in (free, limited, fields):
            await _time(call, CALLS // 10)
        base = await _time(nothing, CALLS)
        times = [await _time(call, CALLS) - base for call in (free, limited, fields, digest)]
        tasks.cancel_scope.cancel()
    return times[0], times[1], times[2], times[3]


async def _time(call: Callable[[], Awaitable[None]], calls: int) -> float:
    """Return the us of one call, of the CPU: the machine may be busy with more."""
    spent = 0.0
    for _ in range(calls // BREATHE_EVERY):
        begun = time.thread_time()
        for _ in range(BREATHE_EVERY):
            await call()
        spent += time.thread_time() - begun
        await checkpoint()
    return spent / calls * 1e6
