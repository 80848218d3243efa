"""The capacity model: it computes the needs of a rate from the cost of a job, without I/O."""

import math

from msgspec import Struct

GIB = 1 << 30


class Costs(Struct, frozen=True):
    """The measured costs of one no-op job with a payload of 200 bytes."""

    redis_us: float
    """CPU of Redis, submission to success, with the batches of a real worker and an AOF."""
    worker_us: float
    ingest_us: float
    """CPU of ingest for a job of a batch."""
    single_us: float
    """CPU of ingest for a single submission."""
    queued_bytes: float
    ended_bytes: float
    """Memory of an ended job until its `result_ttl` is over."""
    aof_bytes: float
    network_bytes: float
    """Into and out of Redis."""


class Machine(Struct, frozen=True):
    """The resources of a shard. None of them is measured, so replace them by your own."""

    busy_share: float = 0.7
    """The share of each resource that is planned for; the rest is for peaks, forks and failovers."""
    memory_bytes: float = 32 * GIB
    network_bytes_per_s: float = 10e9 / 8
    disk_bytes_per_s: float = 250e6
    cluster_nodes: int = 1_000
    """The largest number of nodes in one Redis Cluster that its authors advise."""
    type_partitions: int = 256
    connections_per_worker: int = 5
    """Connections to each shard that a worker claims from: scripts, blocking read, registry, renewals, hints."""
    max_clients: int = 10_000


class Need(Struct, frozen=True):
    """The resources that a rate needs."""

    rate: int
    shards: int
    worker_cores: int
    ingest_cores: int
    single_cores: int
    """Cores of ingest when every job is a single submission, in place of `ingest_cores`."""
    ended_gib: float
    network_gbit: float
    clusters: int
    types: int
    """The smallest number of hot types, each with at most MAX_PARTITIONS partitions."""
    workers_per_shard: int
    """The most workers that the connections of one Redis allow."""


def bounds_of(costs: Costs, machine: Machine, result_ttl_s: float) -> dict[str, float]:
    """Return for each resource the jobs/s at which a shard has used its share of it."""
    bounds = {
        "core": 1e6 / costs.redis_us,
        "memory of ended jobs": machine.memory_bytes / (costs.ended_bytes * result_ttl_s),
        "network": machine.network_bytes_per_s / costs.network_bytes,
        "disk for the AOF": machine.disk_bytes_per_s / costs.aof_bytes,
    }
    return {name: rate * machine.busy_share for name, rate in bounds.items()}


def need_of(costs: Costs, machine: Machine, rate: int, result_ttl_s: float) -> Need:
    """Return the needs of a rate in jobs/s."""
    shard_rate = min(bounds_of(costs, machine, result_ttl_s).values())
    shards = math.ceil(rate / shard_rate)

    def cores(us: float) -> int:
        return math.ceil(rate * us / 1e6 / machine.busy_share)

    return Need(
        rate=rate,
        shards=shards,
        worker_cores=cores(costs.worker_us),
        ingest_cores=cores(costs.ingest_us),
        single_cores=cores(costs.single_us),
        ended_gib=rate * result_ttl_s * costs.ended_bytes / GIB,
        network_gbit=rate * costs.network_bytes * 8 / 1e9,
        clusters=math.ceil(shards / machine.cluster_nodes),
        types=math.ceil(shards / machine.type_partitions),
        workers_per_shard=machine.max_clients // machine.connections_per_worker,
    )


def first_bound(costs: Costs, machine: Machine, result_ttl_s: float) -> tuple[str, float]:
    """Return the resource that a shard uses up first, and at how many jobs/s."""
    return min(bounds_of(costs, machine, result_ttl_s).items(), key=lambda bound: bound[1])
