"""Runs benchmarks: `python benchmarks [NAME ...] [--jobs N] [--rounds N] [--concurrency N] [--save FILE]`."""

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import anyio
from rig import show
from targets import summary

BENCHMARKS = (
    "noop_drain",
    "two_workers",
    "io_jobs",
    "batch_handlers",
    "bulk_enqueue",
    "http_single",
    "authentication",
    "request_limits",
    "audited_request",
    "codec",
    "idle_latency",
    "redis_cpu",
    "instructions",
    "queued_memory",
    "idle",
    "promotion",
    "schedules",
    "dependencies",
    "workflows",
    "batches",
    "flow_limits",
    "history",
)
LONG = ("soak", "scale", "capacity", "search", "live", "console", "many_tenants")
"""Only run when named: they take minutes, or write into docs/."""


def main() -> None:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, *LONG, []], help="which to run; all by default")
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--history-jobs", type=int, default=8_000_000, help="that `search` has in its history")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=100, help="of the worker")
    parser.add_argument("--seconds", type=float, default=10.0, help="for which `idle` watches and `live` makes events")
    parser.add_argument("--max", type=int, default=5_000_000, help="largest backlog of `scale`")
    parser.add_argument(
        "--only", nargs="*", help="parts of `scale`, numbers of tenants of `many_tenants`; all by default"
    )
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where charts and figures are written")
    parser.add_argument("--measured", type=Path, help="figures for `capacity`, as --save wrote them")
    parser.add_argument(
        "--given", nargs="*", default=[], help="NAME=VALUE, costs for `capacity` in place of measured ones"
    )
    parser.add_argument("--save", type=Path, help="file to keep the JSON lines in, one of each benchmark")
    parser.add_argument("--strict", action="store_true", help="end with status 1 when a target is missed")
    options = parser.parse_args()
    records = []
    for name in options.names or BENCHMARKS:
        module = importlib.import_module(name)
        records.append(anyio.run(module.main, options, backend_options={"use_uvloop": True}))
        if options.save:
            save(options.save, records[-1])
    show("all targets: measured / target", summary(records))
    if options.strict and not all(verdict["reached"] for record in records for verdict in record["targets"].values()):
        sys.exit(1)


def save(file: Path, record: dict[str, Any]) -> None:
    """Write a record into the file, in place of an older one of the same benchmark."""
    lines = file.read_text().splitlines() if file.exists() else []
    kept = {known["benchmark"]: known for known in map(json.loads, lines)}
    kept[record["benchmark"]] = record
    file.write_text("".join(json.dumps(known) + "\n" for known in kept.values()))


main()
