"""Fixtures that the tests of the reaper's duties share with those of other duties."""

import pytest
from duty_fixtures import queues

from millstream_telemetry import MetricRegistry

__all__ = ["queues"]


@pytest.fixture
def metrics() -> MetricRegistry:
    """Return an empty registry of metrics, whose types the duties add."""
    return MetricRegistry()
