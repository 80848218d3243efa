"""Holds the metrics of one process; nothing is kept in the client library's global registry.

It makes each metric of `names.py` once, however many groups record into it, and keeps the label `type` to
job types that workers have registered, so that made-up types of submissions cannot fill it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, Protocol, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from millstream_telemetry.metrics.histogram import Histogram
from millstream_telemetry.names import OTHER_TYPE, MetricSpec

M = TypeVar("M", bound=Collector)
S_co = TypeVar("S_co", covariant=True)


class MetricRegistry(CollectorRegistry):
    """The metrics of one process, and the job types they may name."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[MetricSpec, Collector] = {}
        self._types: set[str] = set()
        self._openers: list[Callable[[str], None]] = []
        """Each is called with every type that is registered."""
        self._before_scrape: list[Callable[[], None]] = []

    @property
    def made(self) -> Mapping[MetricSpec, Collector]:
        """The metrics that were made so far."""
        return self._made

    def register_types(self, job_types: Iterable[str]) -> None:
        """Let these job types stand as labels from now on. Idempotent; a type is never taken back."""
        for job_type in set(job_types) - self._types:
            self._types.add(job_type)
            for open_series in self._openers:
                open_series(job_type)

    def on_type(self, open_series: Callable[[str], None]) -> None:
        """Have a function called with each job type that may stand as a label, `_other` among them, now and later."""
        self._openers.append(open_series)
        for job_type in (OTHER_TYPE, *self._types):
            open_series(job_type)

    def knows_type(self, job_type: str) -> bool:
        """Whether the job type may stand as a label."""
        return job_type in self._types

    def counter(self, spec: MetricSpec) -> Counter:
        """Return the counter of this name."""
        return self._once(spec, Counter(spec.name, spec.help, spec.labels, registry=None))

    def gauge(self, spec: MetricSpec) -> Gauge:
        """Return the gauge of this name."""
        return self._once(spec, Gauge(spec.name, spec.help, spec.labels, registry=None))

    def histogram(self, spec: MetricSpec) -> Histogram:
        """Return the histogram of this name."""
        return self._once(spec, Histogram(spec))

    def before_scrape(self, refresh: Callable[[], None]) -> None:
        """Have a function called before each scrape, in its thread: it sets gauges that are read at that moment."""
        self._before_scrape.append(refresh)

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics, without the `_created` series that double the number of time series."""
        for refresh in self._before_scrape:
            refresh()
        for metric in super().collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric

    def _once(self, spec: MetricSpec, fresh: M) -> M:
        """Return the metric that was made first with this specification."""
        if spec not in self._made:
            self.register(fresh)
            self._made[spec] = fresh
        return cast("M", self._made[spec])


class Labelled(Protocol[S_co]):
    """A metric with labels."""

    def labels(self, *values: str) -> S_co:
        """Return the series with these values."""
        ...


class ByType(Generic[S_co]):
    """The series of a metric whose first label is the job type.

    Looking a series up in the client library takes a lock and builds strings; here it is one look into a dict.
    """

    def __init__(self, metric: Labelled[S_co], registry: MetricRegistry, *, values: Iterable[str] = ()) -> None:
        """`values` are those of the second label whose series exist, at 0, as soon as a type is known.

        Prometheus sees no increase in a series that begins at 1: without its 0 the first event would be missed.
        """
        self._metric = metric
        self._registry = registry
        self._children: dict[tuple[str, ...], S_co] = {}
        self._others: dict[tuple[str, ...], S_co] = {}
        """Of types that no worker has registered, by the labels after the type."""
        if opened := tuple(values):
            registry.on_type(lambda job_type: self._open(job_type, opened))

    def of(self, *labels: str) -> S_co:
        """Return the series for a job type and the labels after it."""
        child = self._children.get(labels)
        return self._find(*labels) if child is None else child

    def _find(self, job_type: str, *rest: str) -> S_co:
        if not self._registry.knows_type(job_type):
            # Not kept by type: that may be registered later.
            if rest not in self._others:
                self._others[rest] = self._metric.labels(OTHER_TYPE, *rest)
            return self._others[rest]
        child = self._metric.labels(job_type, *rest)
        self._children[job_type, *rest] = child
        return child

    def _open(self, job_type: str, values: Iterable[str]) -> None:
        for value in values:
            self._metric.labels(job_type, value)
