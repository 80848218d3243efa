"""Runs benchmarks: `python benchmarks [NAME ...] [--jobs N] [--rounds N] [--concurrency N]`."""

import argparse
import importlib

import anyio

BENCHMARKS = ("noop_drain", "bulk_enqueue", "idle_latency")
LONG = ("soak",)
"""Only run when named: they take minutes."""


def main() -> None:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, *LONG, []], help="which to run; all by default")
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=100, help="of the worker")
    options = parser.parse_args()
    for name in options.names or BENCHMARKS:
        anyio.run(importlib.import_module(name).main, options, backend_options={"use_uvloop": True})


main()
