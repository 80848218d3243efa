"""Computes what 10 thousand, 1 million and 10 million jobs a second need, from measured costs.

The costs come from the JSON lines that the other benchmarks saved; the figures go into docs/capacity.md. One machine
allows one check: the cost of a hot type over 1, 2 and 3 partitions of a real cluster.
"""

import json
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from capacity_model import GIB, Costs, Machine, bounds_of, first_bound, need_of
from cluster_check import Spread, check
from rig import median, report

RATES = (10_000, 1_000_000, 10_000_000)
RESULT_TTLS_S = (3_600.0, 60.0)
BEGIN, END = "<!-- figures: written by `make capacity` -->\n", "<!-- end of figures -->\n"


async def main(options: Namespace) -> dict[str, Any]:
    """Compute, check, write the figures into the page, and print them."""
    costs, machine = read_costs(options), Machine()
    spreads = await check(options)
    tables = [_costs_table(costs), *(_table(costs, machine, ttl_s) for ttl_s in RESULT_TTLS_S), _check_table(spreads)]
    page = options.docs / "capacity.md"
    head, _, rest = page.read_text().partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        sys.exit(f"{page} lacks the lines between which the figures belong:\n{BEGIN}and\n{END}")
    page.write_text(head + BEGIN + "\n" + "\n\n".join(tables) + "\n\n" + END + tail)
    rows = [
        (f"jobs/s of a shard, results for {ttl_s:g} s", f"{rate:,.0f}, bound by {bound}")
        for ttl_s in RESULT_TTLS_S
        for bound, rate in [first_bound(costs, machine, ttl_s)]
    ]
    rows += [
        (f"a type over {one.partitions} of 3 nodes, against the model", _deviation(one, spreads)) for one in spreads
    ]
    return report("capacity", rows, costs=msgspec.to_builtins(costs), spreads=msgspec.to_builtins(spreads))


def read_costs(options: Namespace) -> Costs:
    """Return the measured costs, or those given in their place.

    Raises: SystemExit, with the names of the missing ones.
    """
    file = options.measured or options.save
    lines = file.read_text().splitlines() if file and file.exists() else []
    records = {record["benchmark"]: record for record in map(json.loads, lines)}
    given = {name: float(value) for name, _, value in (pair.partition("=") for pair in options.given)}
    try:
        return msgspec.convert(given if len(given) == len(Costs.__struct_fields__) else _costs(records) | given, Costs)
    except KeyError as missing:
        sys.exit(f"no figures of {missing}: run it with --save FILE, or give all of {Costs.__struct_fields__}")


def _costs(records: Mapping[str, Any]) -> dict[str, float]:
    redis = records["redis_cpu"]
    return {
        "redis_us": redis["worked_redis_us"] + redis["aof_redis_us"] - redis["redis_us"],
        "worker_us": median(records["noop_drain"]["worker_cpu_us"]),
        "ingest_us": median(records["bulk_enqueue"]["http_cpu_us"]),
        "single_us": records["http_single"]["ingest"]["server_us"],
        "queued_bytes": records["queued_memory"]["bytes"],
        "ended_bytes": redis["kept_bytes"],
        "aof_bytes": redis["aof_bytes"],
        "network_bytes": redis["in_bytes"] + redis["out_bytes"],
    }


def _costs_table(costs: Costs) -> str:
    rows = [
        ["CPU of Redis, us a job", f"{costs.redis_us:.0f}"],
        ["CPU of a worker, us a job, without the handler", f"{costs.worker_us:.0f}"],
        ["CPU of ingest, us a job, in batches", f"{costs.ingest_us:.0f}"],
        ["CPU of ingest, us a single submission", f"{costs.single_us:.0f}"],
        ["memory of a million queued jobs, GiB", f"{costs.queued_bytes * 1e6 / GIB:.2f}"],
        ["memory of a million ended jobs, GiB", f"{costs.ended_bytes * 1e6 / GIB:.2f}"],
        ["AOF, bytes a job", f"{costs.aof_bytes:,.0f}"],
        ["network of Redis, bytes a job", f"{costs.network_bytes:,.0f}"],
    ]
    return _markdown(["measured", ""], rows)


def _table(costs: Costs, machine: Machine, ttl_s: float) -> str:
    bounds = sorted(bounds_of(costs, machine, ttl_s).items(), key=lambda bound: bound[1])
    limits = "; ".join(f"{name} {rate:,.0f}" for name, rate in bounds)
    needs = [need_of(costs, machine, rate, ttl_s) for rate in RATES]
    rows = [
        ["shards (Redis primaries)", *(f"{need.shards:,}" for need in needs)],
        ["Redis Clusters for these shards", *(f"{need.clusters:,}" for need in needs)],
        ["worker pods, a core each", *(f"{need.worker_cores:,}" for need in needs)],
        ["ingest pods, a core each, batches", *(f"{need.ingest_cores:,}" for need in needs)],
        ["ingest pods, a core each, single submissions", *(f"{need.single_cores:,}" for need in needs)],
        ["memory of ended jobs, GiB", *(f"{need.ended_gib:,.0f}" for need in needs)],
        ["network of Redis, Gbit/s", *(f"{need.network_gbit:,.1f}" for need in needs)],
        ["hot types, at the least", *(f"{need.types:,}" for need in needs)],
        ["workers per shard, at the most", *(f"{need.workers_per_shard:,}" for need in needs)],
    ]
    head = [f"results kept for {ttl_s:g} s", *(f"{rate:,} jobs/s" for rate in RATES)]
    return f"Bounds of a shard in jobs/s, the lowest first: {limits}.\n\n{_markdown(head, rows)}"


def _check_table(spreads: Sequence[Spread]) -> str:
    rows = [
        [str(one.partitions), f"{one.total_us:.1f}", f"{one.busiest_us:.1f}", _deviation(one, spreads)]
        for one in spreads
    ]
    head = ["partitions", "CPU of all nodes, us a job", "of the busiest node", "against the model"]
    return _markdown(head, rows)


def _deviation(one: Spread, spreads: Sequence[Spread]) -> str:
    """Return how far the busiest node is from its share of what one node alone spends."""
    return f"{one.busiest_us * one.partitions / spreads[0].busiest_us - 1:+.0%}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])
