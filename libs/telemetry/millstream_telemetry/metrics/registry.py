"""Holds the metrics of one process; nothing is kept in the client library's global registry.

It makes each metric of `names.py` once, however many groups record into it, and keeps the label `type` to
job types that workers have registered, so that nobody can fill it by submitting made-up ones.
"""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from millstream_telemetry.metrics.bulk_counter import CounterTally
from millstream_telemetry.metrics.bulk_histogram import BulkHistogram, Tally
from millstream_telemetry.names import OTHER_TYPE, MetricSpec

M = TypeVar("M", bound=MetricWrapperBase)


class MetricRegistry(CollectorRegistry):
    """The metrics of one process, and the job types they may name."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, MetricWrapperBase] = {}
        self._types: set[str] = set()
        self._tallies: list[Tally | CounterTally] = []

    def register_types(self, job_types: Iterable[str]) -> None:
        """Let these job types stand as labels from now on. Idempotent; a type is never taken back."""
        self._types.update(job_types)

    def knows_type(self, job_type: str) -> bool:
        """Whether the job type may stand as a label."""
        return job_type in self._types

    def counter(self, spec: MetricSpec) -> Counter:
        """Return the counter of this name."""
        return self._make(Counter, spec)

    def gauge(self, spec: MetricSpec) -> Gauge:
        """Return the gauge of this name."""
        return self._make(Gauge, spec)

    def histogram(self, spec: MetricSpec) -> BulkHistogram:
        """Return the histogram of this name."""
        if spec.name not in self._made:
            made = BulkHistogram(spec.name, spec.help, spec.labels, registry=self, buckets=spec.buckets)
            self._made[spec.name] = made
        return cast("BulkHistogram", self._made[spec.name])

    def tally(self, histogram_of: Callable[[str], BulkHistogram]) -> Tally:
        """Return a tally before a histogram; whoever collects finds all that was put into it."""
        tally = Tally(histogram_of)
        self._tallies.append(tally)
        return tally

    def counter_tally(self) -> CounterTally:
        """Return a tally before counters, as above."""
        tally = CounterTally()
        self._tallies.append(tally)
        return tally

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics, without the `_created` series that double the number of time series."""
        for tally in self._tallies:
            tally.flush()
        for metric in super().collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric

    def _make(self, kind: type[M], spec: MetricSpec) -> M:
        if spec.name not in self._made:
            self._made[spec.name] = kind(spec.name, spec.help, spec.labels, registry=self)
        return cast("M", self._made[spec.name])


class ByType(Generic[M]):
    """The children of a metric whose first label is the job type.

    Looking a child up in the client library takes a lock and builds strings; here it is one look into a dict.
    """

    def __init__(self, metric: M, registry: MetricRegistry) -> None:
        self._metric = metric
        self._registry = registry
        self._children: dict[tuple[str, ...], M] = {}
        self._others: dict[tuple[str, ...], M] = {}
        """Of types that nobody has registered, by the labels after the type."""

    def of(self, *labels: str) -> M:
        """Return the child for a job type and the labels after it."""
        child = self._children.get(labels)
        return self._find(*labels) if child is None else child

    def _find(self, job_type: str, *rest: str) -> M:
        if not self._registry.knows_type(job_type):
            # Not kept by type: that may be registered later.
            if rest not in self._others:
                self._others[rest] = self._metric.labels(OTHER_TYPE, *rest)
            return self._others[rest]
        child = self._metric.labels(job_type, *rest)
        self._children[job_type, *rest] = child
        return child
