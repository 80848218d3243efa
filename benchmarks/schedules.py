"""Measures how long it takes until the jobs of 10,000 schedules that are due at one moment are stored."""

import time
from argparse import Namespace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import msgspec
from rig import NOOP, POLL_S, Rig, median, process_cpu_s, report, rig, services

from millstream_contracts import DEFAULT_TENANT, ScheduleRules, Submission
from millstream_streams import IndexLine, ScheduleChange

SCHEDULES = 10_000
AT_A_TIME = 100
ZONE = "Europe/Paris"
READY_WITHIN_S = 5.0
"""The time that a dispatcher has to start before the occasion."""

_encode = msgspec.msgpack.encode
_JOB = _encode(Submission(type=NOOP.type, payload=msgspec.Raw(_encode("x" * 198))))


async def main(options: Namespace) -> dict[str, Any]:
    """Measure one dispatcher, and print the medians."""
    seconds, dispatcher_us, redis_us = [], [], []
    for _ in range(options.rounds):
        async with rig() as one:
            wall_s, own_us, of_redis_us = await _fire(one)
            seconds.append(wall_s)
            dispatcher_us.append(own_us)
            redis_us.append(of_redis_us)
    return report(
        "schedules",
        [
            ("10,000 schedules due at once, s until all jobs are stored", f"{median(seconds):.2f}"),
            ("CPU of the dispatcher, us/occasion", f"{median(dispatcher_us):.0f}"),
            ("CPU of Redis, us/occasion", f"{median(redis_us):.0f}"),
        ],
        measured={"schedules_due": median(seconds)},
        rounds=options.rounds,
        seconds=[round(value, 2) for value in seconds],
    )


async def _fire(one: Rig) -> tuple[float, float, float]:
    """Return the seconds that all occasions took, and the CPU of dispatcher and Redis for each in us."""
    due_ms = int((time.time() + READY_WITHIN_S) // 60 + 1) * 60_000
    await _put(one, due_ms)
    async with services(one, dispatcher=("dispatcher",)) as supervisor:
        await anyio.sleep(max(0.0, due_ms / 1000 - time.time() - 0.2))
        own_s, redis_s = process_cpu_s(supervisor.pid("dispatcher")), process_cpu_s(one.redis_pid)
        stream = one.broker.keys.of(NOOP).ready[1]
        while await one.broker.client.xlen(stream) < SCHEDULES:
            await anyio.sleep(POLL_S)
        wall_s = time.time() - due_ms / 1000
        own_s = process_cpu_s(supervisor.pid("dispatcher")) - own_s
        redis_s = process_cpu_s(one.redis_pid) - redis_s
    return wall_s, own_s / SCHEDULES * 1e6, redis_s / SCHEDULES * 1e6


async def _put(one: Rig, due_ms: int) -> None:
    await one.broker.schedules.make_known(DEFAULT_TENANT, "s0")
    line = IndexLine("active", "api", NOOP.type).text()
    now_ms = str(round(datetime.now(UTC).timestamp() * 1000))
    # An expression costs most: it is read and followed for each occasion.
    at = datetime.fromtimestamp(due_ms / 1000, ZoneInfo(ZONE))
    rules = _encode(ScheduleRules(cron=f"{at.minute} {at.hour} * * *", tz=ZONE, late_s=3600.0))
    fields = {"state": "active", "type": NOOP.type, "rules": rules, "job": _JOB, "created_ms": now_ms}
    fields |= {"next_ms": str(due_ms), "fires_ms": str(due_ms)}
    for start in range(0, SCHEDULES, AT_A_TIME):
        changes = [
            ScheduleChange(name=f"s{number}", turn="", tick_ms=due_ms, line=line, fields=fields)
            for number in range(start, start + AT_A_TIME)
        ]
        await one.broker.schedules.change(DEFAULT_TENANT, changes)
