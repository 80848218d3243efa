"""Hot job types over 1, 2 and 3 partitions, whose names place each partition on another node of three."""

from itertools import count

from redis.crc import key_slot

from millstream import App
from millstream_contracts import DEFAULT_TENANT, JobType, Queue

NODES = 3
SLOTS = 16_384


def hot_queues(partitions: int) -> list[Queue]:
    """Return the queues of the hot type over 1, 2 or 3 partitions."""
    for number in count():
        job_type = JobType(f"bench.hot-{partitions}-{number}")
        queues = [Queue(DEFAULT_TENANT, job_type, partition) for partition in range(partitions)]
        if len({key_slot(queue.tag.encode()) * NODES // SLOTS for queue in queues}) == partitions:
            return queues
    raise AssertionError


app = App("bench-hot")


async def noop() -> None:
    """Do nothing."""


for partitions in range(1, NODES + 1):
    app.job(hot_queues(partitions)[0].type, partitions=partitions)(noop)
