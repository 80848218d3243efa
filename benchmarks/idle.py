"""Measures an idle system: commands, CPU and memory of a worker alone and of all services, with 1 and 200 types."""

from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from typing import Any

import anyio
import msgspec
from many_app import TYPES
from msgspec import Struct
from rig import Rig, process_cpu_s, process_rss_bytes, redis_cpu_s, report, rig, services, wait_for_workers

from millstream_cli.embedded import free_ports
from millstream_cli.readiness import wait_until_ready
from millstream_cli.supervisor import Supervisor
from millstream_contracts import DEFAULT_TENANT, JobType, Queue

SETTLE_S = 3.0
"""The time that services need at their start."""
COUNTS = (1, len(TYPES))
MIB = 1 << 20
SHOWN = 4


class Idle(Struct, frozen=True):
    """The measurements, per second."""

    commands: dict[str, float]
    """Commands by name, as clients sent them, without those that scripts call."""
    cpu: dict[str, float]
    """Share of a core, by process."""
    rss_bytes: dict[str, int]

    @property
    def per_s(self) -> float:
        """All commands per second."""
        return sum(self.commands.values())


async def main(options: Namespace) -> dict[str, Any]:
    """Measure each system in turn, and print the results."""
    rows: list[tuple[str, str]] = []
    found: dict[str, Idle] = {}
    for count in COUNTS:
        for label, with_all in (("worker", False), ("system", True)):
            name = f"{label}, {count} type(s)"
            found[name] = await _watch(count, options.seconds, with_all=with_all)
            rows += _rows(name, found[name])
    busiest = max(found[f"worker, {count} type(s)"].per_s / count for count in COUNTS)
    worker_cpu = max(found[f"worker, {count} type(s)"].cpu["worker"] for count in COUNTS)
    return report(
        "idle",
        rows,
        measured={"idle_commands": busiest, "idle_worker_cpu": worker_cpu},
        seconds=options.seconds,
        seen={name: msgspec.to_builtins(seen) for name, seen in found.items()},
    )


async def _watch(types: int, seconds: float, *, with_all: bool) -> Idle:
    queues = [Queue(DEFAULT_TENANT, JobType(name)) for name in TYPES[:types]]
    chosen = [word for queue in queues for word in ("--types", queue.type)]
    commands: dict[str, Sequence[str]] = {"worker": ("worker", "many_app:app", *chosen)}
    [port] = free_ports(1)
    if with_all:
        commands |= {"dispatcher": ("dispatcher",), "reaper": ("reaper",), "ingest": ("ingest", "--port", str(port))}
    async with rig() as one, services(one, **commands) as supervisor:
        await one.broker.registry.add_queues(queues)
        await wait_for_workers(one, 1)
        if with_all:
            await wait_until_ready([f"http://127.0.0.1:{port}/readyz"], timeout_s=60)
        await anyio.sleep(SETTLE_S)
        return await _seen(one, supervisor, list(commands), seconds)


async def _seen(one: Rig, supervisor: Supervisor, names: Sequence[str], seconds: float) -> Idle:
    pids = {name: supervisor.pid(name) for name in names}
    before_s = {name: process_cpu_s(pid) for name, pid in pids.items()} | {"redis": await redis_cpu_s(one)}
    commands = await _listen(one, seconds)
    after_s = {name: process_cpu_s(pid) for name, pid in pids.items()} | {"redis": await redis_cpu_s(one)}
    return Idle(
        commands={name: round(calls / seconds, 2) for name, calls in commands.most_common()},
        cpu={name: round((after_s[name] - before_s[name]) / seconds, 4) for name in after_s},
        rss_bytes={name: process_rss_bytes(pid) for name, pid in (pids | {"redis": one.redis_pid}).items()},
    )


async def _listen(one: Rig, seconds: float) -> Counter[str]:
    """Count the commands that clients send. MONITOR distinguishes them from calls of scripts, which INFO does not."""
    seen: Counter[str] = Counter()
    async with one.broker.client.monitor() as monitor:
        with anyio.move_on_after(seconds):
            while True:
                command = await monitor.next_command()
                if command["client_type"] != "lua":
                    seen[command["command"].partition(" ")[0].lower()] += 1
    return seen


def _rows(name: str, seen: Idle) -> list[tuple[str, str]]:
    busiest = ", ".join(f"{command} {per_s:.1f}" for command, per_s in list(seen.commands.items())[:SHOWN])
    cpu = ", ".join(f"{process} {share:.2%}" for process, share in seen.cpu.items())
    rss = ", ".join(f"{process} {size / MIB:.0f}" for process, size in seen.rss_bytes.items())
    return [
        (f"{name}: commands/s", f"{seen.per_s:.1f} ({busiest})"),
        (f"{name}: share of a core", cpu),
        (f"{name}: memory, MiB", rss),
    ]
