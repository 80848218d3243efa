"""Measures single submissions over HTTP: one ingest process and a bare ASGI callable with one XADD, in turn."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import anyio
import msgspec
from msgspec import Struct
from rig import CLI, HERE, NOOP, median, process_cpu_s, processes, report, rig

from millstream_cli.embedded import free_ports
from millstream_cli.readiness import wait_until_ready

CONNECTIONS = 64
BODY_BYTES = 200
WARM_UP = 2_000


class Loaded(Struct, frozen=True):
    """The results of one run of the load."""

    per_s: float
    p50_ms: float
    p99_ms: float
    own_share: float
    """The share of a core that the load itself took."""
    server_us: float = 0.0
    """CPU of the server per request."""


async def main(options: Namespace) -> dict[str, Any]:
    """Measure the floor and ingest in turn, and print the medians."""
    servers = {"bare": (sys.executable, str(HERE / "bare_server.py")), "ingest": (*CLI, "ingest", "--port")}
    found: dict[str, list[Loaded]] = {name: [] for name in servers}
    for _ in range(options.rounds):
        for name, command in servers.items():
            found[name].append(await _measure(command, options.jobs))
    # Of each round, since a machine is faster in one minute than in the next.
    ratio = median([ours.per_s / floor.per_s for ours, floor in zip(found["ingest"], found["bare"], strict=True)])
    bare, ingest = (_medians(found[name]) for name in servers)
    rows = [
        ("requests/s, ingest", f"{ingest.per_s:,.0f}"),
        ("requests/s, floor: bare ASGI, hand-pipelined", f"{bare.per_s:,.0f}"),
        ("p50 / p99 ms, ingest", f"{ingest.p50_ms:.1f} / {ingest.p99_ms:.1f}"),
        ("p50 / p99 ms, floor", f"{bare.p50_ms:.1f} / {bare.p99_ms:.1f}"),
        ("CPU of ingest, us/request", f"{ingest.server_us:.0f}"),
        ("CPU of the floor, us/request", f"{bare.server_us:.0f}"),
        ("share of a core that the load took, ingest / floor", f"{ingest.own_share:.2f} / {bare.own_share:.2f}"),
    ]
    return report(
        "http_single",
        rows,
        measured={"http_single": ratio, "http_single_p99": ingest.p99_ms},
        requests=options.jobs,
        rounds=options.rounds,
        connections=CONNECTIONS,
        ingest=msgspec.to_builtins(ingest),
        floor=msgspec.to_builtins(bare),
    )


async def _measure(command: Sequence[str], requests: int) -> Loaded:
    [port] = free_ports(1)
    async with rig() as one, processes(one, {"server": (*command, str(port))}) as supervisor:
        await wait_until_ready([f"http://127.0.0.1:{port}/readyz"], timeout_s=60)
        await _load(port, WARM_UP)
        cpu_s = process_cpu_s(supervisor.pid("server"))
        loaded = await _load(port, requests)
        server_s = process_cpu_s(supervisor.pid("server")) - cpu_s
        return msgspec.structs.replace(loaded, server_us=server_s / requests * 1e6)


async def _load(port: int, requests: int) -> Loaded:
    command = [sys.executable, str(HERE / "http_load.py"), str(port), str(CONNECTIONS), str(requests)]
    done = await anyio.run_process(command, input=_request(port), stderr=None)
    return msgspec.json.decode(done.stdout, type=Loaded)


def _request(port: int) -> bytes:
    frame = len(msgspec.json.encode({"type": NOOP.type, "payload": ""}))
    body = msgspec.json.encode({"type": NOOP.type, "payload": "x" * (BODY_BYTES - frame)})
    head = (
        f"POST /v1/jobs HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\naccept: application/json\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _medians(runs: Sequence[Loaded]) -> Loaded:
    return Loaded(*(round(median([getattr(run, name) for run in runs]), 3) for name in Loaded.__struct_fields__))
