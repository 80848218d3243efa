"""A histogram that counts its observations a hundred at a time: one by one they cost a tenth of a no-op job.

It is a collector of the client library, which takes from it what a scrape shows.
"""

import math
import time
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable
from threading import Lock

from prometheus_client.core import Exemplar, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from millstream_telemetry.names import MetricSpec

Bucket = tuple[str, float] | tuple[str, float, Exemplar]
"""An upper bound, how many amounts were not above it, and one of them with its trace."""

FULL = 100
"""Observations of one series that are counted together."""


class Histogram(Collector):
    """The series of one metric, by their labels."""

    def __init__(self, spec: MetricSpec) -> None:
        self._spec = spec
        self._bounds = (*spec.buckets, math.inf)
        self._series: dict[tuple[str, ...], Series] = {}
        self._adding = Lock()
        if not spec.labels:
            # Shown from the start, with zeros.
            self.labels()

    def labels(self, *values: str) -> "Series":
        """Return the series with these values of the labels."""
        if len(values) != len(self._spec.labels):
            raise ValueError(f"{self._spec.name} has the labels {self._spec.labels}")
        with self._adding:
            if values not in self._series:
                self._series[values] = Series(self._bounds)
            return self._series[values]

    def observe(self, amount: float) -> None:
        """Observe an amount in a metric without labels."""
        self.labels().observe(amount)

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Yield the metric without a sample, for the registry."""
        yield self._family()

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Yield the metric with all that was observed so far. Any thread may call it."""
        family = self._family()
        with self._adding:
            series = list(self._series.items())
        for values, one in series:
            buckets, total = one.read()
            family.add_metric(values, buckets, total)
        yield family

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._spec.name, self._spec.help, labels=self._spec.labels)


class Series:
    """One time series of a histogram. Any thread may observe and read."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """`bounds` are the upper bounds of the buckets, the last of them infinite."""
        self._bounds = bounds
        self._counts = [0] * len(bounds)
        """For each bound, how many amounts were not above it."""
        self._total = 0.0
        self._exemplars: dict[int, Exemplar] = {}
        # Appending and popping are each one step among threads, so an observation takes no lock.
        self._waiting: deque[float] = deque()
        self._counting = Lock()

    def observe(self, amount: float, exemplar: str = "") -> None:
        """Observe an amount; `exemplar` is the id of its trace, when that is recorded."""
        waiting = self._waiting
        waiting.append(amount)
        if exemplar:
            shown = Exemplar({"trace_id": exemplar}, amount, time.time())
            self._exemplars[bisect_left(self._bounds, amount)] = shown
        if len(waiting) >= FULL:
            with self._counting:
                self._count()

    def read(self) -> tuple[list[Bucket], float]:
        """Return for each bound how many amounts were not above it, with the last exemplar; and the sum of all."""
        with self._counting:
            self._count()
            counts, total = self._counts[:], self._total
        found: list[Bucket] = []
        for place, (bound, count) in enumerate(zip(self._bounds, counts, strict=True)):
            exemplar = self._exemplars.get(place)
            name: str = floatToGoString(bound)  # type: ignore[no-untyped-call]
            found.append((name, count, exemplar) if exemplar else (name, count))
        return found, total

    def _count(self) -> None:
        """Count all that waits: sorted, so that one look for each bound finds how many are not above it."""
        take = self._waiting.popleft
        amounts = sorted([take() for _ in range(len(self._waiting))])
        self._total += sum(amounts)
        self._counts = [
            count + bisect_right(amounts, bound) for count, bound in zip(self._counts, self._bounds, strict=True)
        ]
