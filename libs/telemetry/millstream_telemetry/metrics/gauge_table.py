"""A gauge whose series are replaced as a whole."""

from collections.abc import Mapping
from threading import Lock

from prometheus_client import Gauge


class GaugeTable:
    """A gauge whose series are replaced as a whole, so that a queue which is gone does not linger."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._shown: set[tuple[str, ...]] = set()
        self._replacing = Lock()

    def replace(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Show these values, by their labels, and no others. Any thread may call it."""
        with self._replacing:
            for labels, value in values.items():
                self._gauge.labels(*labels).set(value)
            for labels in self._shown - values.keys():
                self._gauge.remove(*labels)
            self._shown = set(values)
