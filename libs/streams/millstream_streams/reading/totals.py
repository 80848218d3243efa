"""Sums the counts of the partitions of a job type."""

from collections.abc import Sequence

from millstream_contracts import BreakerState, JobType, QueueStatus, moment
from millstream_streams.store.deliveries import Depths
from millstream_streams.store.keys import PRIORITIES


def sum_depths(job_type: JobType, partitions: Sequence[Depths]) -> QueueStatus:
    """Return a type's counts from those of its partitions; ages are those of the oldest."""
    held_until_ms = max((one.held_until_ms for one in partitions if one.held_until_ms), default=None)
    return QueueStatus(
        type=job_type,
        partitions=len(partitions),
        queued={priority.value: sum(depths.queued_of(priority) for depths in partitions) for priority in PRIORITIES},
        parked=sum(depths.parked for depths in partitions),
        running=sum(depths.running for depths in partitions),
        scheduled=sum(depths.scheduled for depths in partitions),
        blocked=sum(depths.blocked for depths in partitions),
        dead=sum(depths.dead for depths in partitions),
        paused=any(depths.paused for depths in partitions),
        breaker=max((one.breaker for one in partitions if one.breaker), key=list(BreakerState).index, default=None),
        held_until=None if held_until_ms is None else moment(held_until_ms),
        breaker_opened=sum(depths.breaker_opened for depths in partitions),
        oldest_ready_age_s=max((depths.oldest_ready_age_ms for depths in partitions), default=0) / 1000,
        oldest_dead_age_s=max((depths.oldest_dead_age_ms for depths in partitions), default=0) / 1000,
    )
