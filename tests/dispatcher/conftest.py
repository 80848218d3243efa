"""Fixtures that the tests of the dispatcher's duties share with those of other duties."""

from duty_fixtures import metrics, queues

__all__ = ["metrics", "queues"]
