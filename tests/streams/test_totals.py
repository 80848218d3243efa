"""The counts of a type are the sums of those of its partitions."""

from millstream_contracts import JobType, QueueStatus
from millstream_streams import Depths, sum_depths


def test_every_partition_counts_and_the_oldest_age_is_that_of_all() -> None:
    """Counts are summed, the oldest age in seconds is that of all, and one paused partition pauses the type."""
    one = Depths((1, 20, 300), 1, 2, 3, paused=False, oldest_ready_age_ms=4_000, oldest_dead_age_ms=9_500, events=7)
    other = Depths((4, 50, 600), 10, 20, 30, paused=True, oldest_ready_age_ms=6_500, oldest_dead_age_ms=500, events=8)
    for depths in ([one, other], [other, one]):
        assert sum_depths(JobType("a"), depths) == QueueStatus(
            type=JobType("a"),
            partitions=2,
            queued={"high": 5, "normal": 70, "low": 900},
            running=11,
            scheduled=22,
            blocked=0,
            dead=33,
            paused=True,
            oldest_ready_age_s=6.5,
            oldest_dead_age_s=9.5,
        )


def test_a_type_without_partitions_holds_nothing() -> None:
    """A type without partitions has zero jobs and no oldest age."""
    status = sum_depths(JobType("a"), [])
    assert (status.partitions, status.running, status.oldest_ready_age_s) == (0, 0, 0)
