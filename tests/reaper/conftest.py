"""What the tests of the reaper's duties share with those of other duties."""

from duty_fixtures import metrics, queues

__all__ = ["metrics", "queues"]
