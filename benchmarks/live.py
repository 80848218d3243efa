"""Measures live events: a thousand clients follow all jobs over one ingest, at 30 events a second."""

import asyncio
import re
import time
from argparse import Namespace
from statistics import median, quantiles
from typing import Any, cast

import anyio
from rig import Rig, noop_jobs, process_cpu_s, process_rss_bytes, report, rig, services

from millstream_cli.embedded import free_ports
from millstream_cli.readiness import wait_until_ready
from millstream_contracts import DEFAULT_TENANT, JobType, Queue

LISTENERS = 1_000
EVENTS_PER_S = 30
PATIENCE_S = 20.0
QUEUE = Queue(DEFAULT_TENANT, JobType("bench.noop"))

_ENTRY = re.compile(rb"\nid: (\d+)-\d+\nevent: job\n")


class Listener(asyncio.Protocol):
    """One client, without the cost of an HTTP library."""

    def __init__(self) -> None:
        self.is_open = asyncio.Event()
        self.delays_ms: list[float] = []
        self.gaps = 0
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the events."""
        # That of uvloop is no `asyncio.Transport`.
        cast("asyncio.Transport", transport).write(b"GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        """Note how long after its event each frame has come."""
        self.is_open.set()
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        now_ms = time.time() * 1000
        for block in whole:
            self.gaps += b"event: gap" in block
            if found := _ENTRY.search(b"\n" + block + b"\n"):
                self.delays_ms.append(now_ms - int(found[1]))


async def main(options: Namespace) -> dict[str, Any]:
    """Run the clients, and print what they got."""
    [port] = free_ports(1)
    commands = {"ingest": ("ingest", "--port", str(port))}
    async with rig() as one, services(one, **commands) as supervisor:
        await one.broker.registry.add_queues([QUEUE])
        await wait_until_ready([f"http://127.0.0.1:{port}/readyz"], timeout_s=60)
        pid = supervisor.pid("ingest")
        idle_bytes = process_rss_bytes(pid)
        listeners = await _connected(port)
        before_s = process_cpu_s(pid)
        sent = await _make_events(one, options.seconds)
        expected = sent * LISTENERS
        with anyio.move_on_after(PATIENCE_S):
            while sum(len(listener.delays_ms) for listener in listeners) < expected:
                await anyio.sleep(0.1)
        cpu_s = process_cpu_s(pid) - before_s
        memory_bytes = process_rss_bytes(pid) - idle_bytes
    return _report(listeners, expected, cpu_s, memory_bytes)


async def _connected(port: int) -> list[Listener]:
    loop, listeners = asyncio.get_running_loop(), []
    for _ in range(LISTENERS):
        _, listener = await loop.create_connection(Listener, "127.0.0.1", port)
        listeners.append(listener)
    for listener in listeners:
        await listener.is_open.wait()
    return listeners


async def _make_events(one: Rig, seconds: float) -> int:
    """Submit jobs one by one, each of which is an event. Return how many."""
    count = round(seconds * EVENTS_PER_S)
    begin = time.monotonic()
    for number in range(count):
        await one.broker.store.enqueue(QUEUE, noop_jobs(1, QUEUE))
        await anyio.sleep(max(0.0, begin + (number + 1) / EVENTS_PER_S - time.monotonic()))
    return count


def _report(listeners: list[Listener], expected: int, cpu_s: float, memory_bytes: int) -> dict[str, Any]:
    delays = [delay for listener in listeners for delay in listener.delays_ms]
    p95 = quantiles(delays, n=20)[-1] if len(delays) > 1 else 0.0
    gaps = sum(listener.gaps for listener in listeners)
    rows = [
        ("clients, events/s", f"{LISTENERS:,}, {EVENTS_PER_S}"),
        ("frames delivered", f"{len(delays):,} of {expected:,}, {gaps} gaps"),
        ("delay, ms", f"median {median(delays):.0f}, p95 {p95:.0f}, longest {max(delays):.0f}"),
        ("CPU of ingest for each frame, us", f"{cpu_s / max(1, len(delays)) * 1e6:.1f}"),
        ("memory of ingest for each client, KiB", f"{memory_bytes / LISTENERS / 1024:.0f}"),
    ]
    return report(
        "live",
        rows,
        measured={},
        delivered=len(delays),
        expected=expected,
        gaps=gaps,
        cpu_us=cpu_s / max(1, len(delays)) * 1e6,
        p95_ms=p95,
        memory_bytes=memory_bytes,
    )
