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
    """The same for a job that comes alone."""
    queued_bytes: float
    ended_bytes: float
    """What an ended job holds until its result is forgotten."""
    aof_bytes: float
    network_bytes: float
    """Into and out of Redis."""


class Machine(Struct, frozen=True):
    """The resources of a shard. None of them is measured, so replace them by your own."""

    busy_share: float = 0.7
    """Of a core, of memory, of a network or a disk: the rest is for peaks, forks and failovers."""
    memory_bytes: float = 32 * GIB
    network_bytes_per_s: float = 10e9 / 8
    disk_bytes_per_s: float = 250e6
    cluster_nodes: int = 1_000
    """Of one Redis Cluster; its authors advise against more."""
    type_partitions: int = 256
    connections_per_worker: int = 5
    """To each shard that a worker takes jobs from: scripts, the blocking read, the registry, renewals, hints."""
    max_clients: int = 10_000


class Need(Struct, frozen=True):
    """The resources that a rate needs."""

    rate: int
    shards: int
    worker_cores: int
    ingest_cores: int
    single_cores: int
    """In place of the above, when every job comes alone."""
    ended_gib: float
    network_gbit: float
    clusters: int
    types: int
    """Smallest number of hot types: each has MAX_PARTITIONS partitions at most."""
    workers_per_shard: int
    """At most, by the connections that a Redis takes."""


def bounds_of(costs: Costs, machine: Machine, result_ttl_s: float) -> dict[str, float]:
    """Return for each resource the jobs/s at which a shard has used its share of it."""
    bounds = {
        "its core": 1e6 / costs.redis_us,
        "memory, by ended jobs": machine.memory_bytes / (costs.ended_bytes * result_ttl_s),
        "network": machine.network_bytes_per_s / costs.network_bytes,
        "disk, by the AOF": machine.disk_bytes_per_s / costs.aof_bytes,
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
