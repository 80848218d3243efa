"""The targets of Millstream as data, and the distance of measured figures from them."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

Direction = Literal["at least", "at most"]
_SIGNS: dict[Direction, str] = {"at least": "≥", "at most": "≤"}


class Target(Struct, frozen=True):
    """A figure to reach."""

    name: str
    what: str
    bound: float
    direction: Direction
    measured_by: str
    """The benchmark that measures it."""


class Verdict(Struct, frozen=True):
    """A measured figure beside its target."""

    measured: float
    target: float
    direction: Direction
    reached: bool
    missing_by: float
    """Share of the target that is missing, or by which it is exceeded; 0 when it is reached."""


_TABLE = (
    Target("noop_to_bullmq", "no-op jobs, one worker process, ratio to BullMQ", 1.3, "at least", "peers"),
    Target("noop_to_taskiq", "no-op jobs, one worker process, ratio to taskiq", 5.0, "at least", "peers"),
    Target("two_workers", "two worker processes against one, ratio", 1.3, "at least", "two_workers"),
    Target("io_share", "10 ms I/O jobs, concurrency 100, share of the limit", 0.8, "at least", "io_jobs"),
    Target("http_batch", "batches over HTTP, MessagePack, jobs/s", 20_000, "at least", "bulk_enqueue"),
    Target("http_single", "single submissions over HTTP, ratio to bare ASGI", 0.55, "at least", "http_single"),
    Target("http_single_p99", "single submissions over HTTP, p99 ms", 25, "at most", "http_single"),
    Target("authentication", "what a key adds to a request, us", 3, "at most", "authentication"),
    Target("no_limit", "what limits cost a key without one, us", 1, "at most", "request_limits"),
    Target("idle_http", "HTTP to handler, idle, p50 ms", 3, "at most", "idle_latency"),
    Target("idle_store", "client on Redis to handler, idle, ratio to the floor", 2, "at most", "idle_latency"),
    Target("redis_cpu", "CPU of Redis per job, batches of 100, us", 35, "at most", "redis_cpu"),
    Target("queued_bytes", "memory of Redis per queued job, bytes", 700, "at most", "queued_memory"),
    Target("idle_commands", "idle worker, commands per second and queue", 2, "at most", "idle"),
    Target("idle_worker_cpu", "idle worker, share of a core", 0.01, "at most", "idle"),
    Target("queues_start", "start of a worker, a job in each queue, s per 1,000 queues", 1, "at most", "many_tenants"),
    Target("queues_dormant", "worker and Redis over dormant queues, share of a core", 0.02, "at most", "many_tenants"),
    Target("worker_growth", "memory of a worker over a million jobs, growth", 0.05, "at most", "soak"),
    Target("flat_backlog", "cost per job by backlog, largest change", 0.1, "at most", "scale"),
    Target("flat_types", "cost per job by job types, largest change", 0.1, "at most", "scale"),
    Target("promotion", "delayed jobs made ready, one dispatcher, jobs/s", 20_000, "at least", "promotion"),
    Target("schedules_due", "10,000 schedules due at once, one dispatcher, s", 5, "at most", "schedules"),
    Target(
        "fan_out_growth",
        "10,000 children of a job, CPU of each, times that of 1,000",
        1.3,
        "at most",
        "dependencies",
    ),
    Target("workflow_node", "CPU of Redis for a node of a workflow, in plain jobs", 3.5, "at most", "workflows"),
    Target("workflow_edge", "CPU of Redis for an edge more of a workflow, in plain jobs", 0.25, "at most", "workflows"),
    Target(
        "instructions_shared_keys",
        "instructions of Redis per job, limits of ten keys and all limits at once, ratio to none",
        1.5,
        "at most",
        "instructions",
    ),
    Target(
        "instructions_own_keys",
        "instructions of Redis per job, a limit of keys and a key for each job, ratio to none",
        1.5,
        "at most",
        "instructions",
    ),
    Target(
        "instructions_limits_removed",
        "instructions of Redis per job, limits that were removed, ratio to none",
        1.03,
        "at most",
        "instructions",
    ),
    Target("batch_member", "CPU of Redis for a member of a batch, in plain jobs", 3.5, "at most", "batches"),
    Target("shared_keys", "CPU of Redis for a job of one of ten keys, in plain jobs", 1.5, "at most", "flow_limits"),
    Target("history_rate", "history projection, jobs/s per dispatcher", 10_000, "at least", "history"),
    Target("history_lag", "history projection, lag at 5,000 jobs/s, s", 1, "at most", "history"),
    Target("search_p95", "search in 8 million jobs, slowest indexed kind, p95 ms", 50, "at most", "search"),
    Target("console_p95", "console over 200 queues, slowest page, p95 ms", 50, "at most", "console"),
    Target("console_fan_out", "CPU of ingest for 500 open pages, times that for 5", 1.5, "at most", "console"),
)
TARGETS: Mapping[str, Target] = {target.name: target for target in _TABLE}


def judge(name: str, measured: float) -> Verdict:
    """Compare a measured figure with its target. Raises: KeyError."""
    target = TARGETS[name]
    missing = target.bound - measured if target.direction == "at least" else measured - target.bound
    share = round(max(0.0, missing) / target.bound, 4)
    return Verdict(round(measured, 4), target.bound, target.direction, missing <= 0, share)


def lines_of(verdicts: Mapping[str, Verdict]) -> list[tuple[str, str]]:
    """Return a table row for each: name, measured, target, and reached or missing by how much."""
    return [(TARGETS[name].what, _sentence(verdict)) for name, verdict in verdicts.items()]


def summary(records: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the whole table of targets, as far as these records of benchmarks contain them."""
    found: dict[str, Verdict] = {}
    for record in records:
        found |= msgspec.convert(record.get("targets", {}), dict[str, Verdict])
    return [(target.what, _line(target, found.get(target.name))) for target in _TABLE]


def _line(target: Target, verdict: Verdict | None) -> str:
    if verdict is not None:
        return _sentence(verdict)
    bound = f"{_SIGNS[target.direction]} {target.bound:,g}"
    return f"- / {bound} / not measured in this run, see {target.measured_by}"


def _sentence(verdict: Verdict) -> str:
    outcome = "reached" if verdict.reached else f"missing by {verdict.missing_by:.1%}"
    return f"{_shown(verdict.measured)} / {_SIGNS[verdict.direction]} {verdict.target:,g} / {outcome}"


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
