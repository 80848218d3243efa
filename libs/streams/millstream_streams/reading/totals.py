"""Sums the counts of the partitions of a job type."""

from collections.abc import Sequence

from millstream_contracts import JobType, QueueStatus
from millstream_streams.store.deliveries import Depths
from millstream_streams.store.keys import PRIORITIES


def sum_depths(job_type: JobType, partitions: Sequence[Depths]) -> QueueStatus:
    """Return a type's counts from those of its partitions; ages are those of the oldest."""
    return QueueStatus(
        type=job_type,
        partitions=len(partitions),
        queued={priority.value: sum(depths.queued_of(priority) for depths in partitions) for priority in PRIORITIES},
        running=sum(depths.running for depths in partitions),
        scheduled=sum(depths.scheduled for depths in partitions),
        blocked=sum(depths.blocked for depths in partitions),
        dead=sum(depths.dead for depths in partitions),
        paused=any(depths.paused for depths in partitions),
        oldest_ready_age_s=max((depths.oldest_ready_age_ms for depths in partitions), default=0) / 1000,
        oldest_dead_age_s=max((depths.oldest_dead_age_ms for depths in partitions), default=0) / 1000,
    )
