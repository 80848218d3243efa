"""Shards: the slots in which schedules, workflows and batches lie, each kind in its own: on a single Redis one."""

from collections.abc import Iterable

from redis.asyncio.cluster import RedisCluster

from millstream_contracts import JobType, Queue
from millstream_streams.connection.connections import Client

SHARDS_ON_A_CLUSTER = 16
"""Shards of a tenant on a Redis Cluster."""


def shard_count(client: Client) -> int:
    """Return how many shards of a kind a tenant has on this Redis."""
    return SHARDS_ON_A_CLUSTER if isinstance(client, RedisCluster) else 1


def read_shards(tags: Iterable[bytes], kind: JobType) -> list[Queue]:
    """Return the shards of a kind that these tags name, sorted; what another program wrote names none."""
    return sorted(shard for tag in tags if (shard := _read_tag(tag)) and shard.type == kind)


def _read_tag(tag: bytes) -> Queue | None:
    try:
        return Queue.from_tag(tag.decode())
    except ValueError:
        return None
