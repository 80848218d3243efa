"""What every service measures: who it is, whether what it needs is there, its calls to Redis, its duties."""

import time
from collections.abc import Callable, Mapping

from millstream_telemetry import names
from millstream_telemetry.metrics.gauge_table import GaugeTable
from millstream_telemetry.metrics.histogram import Series
from millstream_telemetry.metrics.registry import MetricRegistry


class ServiceMetrics:
    """Which component of which release this process is, and how it is."""

    def __init__(self, registry: MetricRegistry, component: str, *, version: str) -> None:
        self._registry = registry
        self._component = component
        self._ready = GaugeTable(registry.gauge(names.READY))
        registry.gauge(names.BUILD_INFO).labels(component, version).set(1)

    def watch_checks(self, checks: Callable[[], Mapping[str, bool]]) -> None:
        """Show which readiness checks pass; `checks` is called at each scrape, by any thread."""

        def show() -> None:
            self._ready.replace({(self._component, name): float(ok) for name, ok in checks().items()})

        self._registry.before_scrape(show)


class RedisMetrics:
    """Calls to Redis, in every service."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._seconds = registry.histogram(names.REDIS)
        self._by_script: dict[str, Series] = {}
        self._reconnects = registry.counter(names.REDIS_RECONNECTS)

    def observe_call(self, script: str, seconds: float) -> None:
        """Observe one round trip of a script, or of a command in lower case."""
        child = self._by_script.get(script)
        if child is None:
            child = self._by_script[script] = self._seconds.labels(script)
        child.observe(seconds)

    def count_reconnect(self) -> None:
        """Count a connection that was made anew after an error."""
        self._reconnects.inc()


class CodecMetrics:
    """What the stored blobs of jobs take, and which cannot be read, in every service that stores some."""

    def __init__(self, registry: MetricRegistry, component: str) -> None:
        # From the start, so that the first failure is an increase.
        failed = registry.counter(names.DECRYPTIONS_FAILED)
        self._failed = {reason: failed.labels(component, reason) for reason in names.DECRYPTION_FAILURES}
        compressed = registry.counter(names.COMPRESSED_BYTES)
        self._before, self._after = compressed.labels("before"), compressed.labels("after")

    def observe_compression(self, before: int, after: int) -> None:
        """Count the bytes of a value that is stored compressed."""
        self._before.inc(before)
        self._after.inc(after)

    def count_failure(self, reason: str) -> None:
        """Count an encrypted value that could not be read."""
        self._failed[reason].inc()


class DutyMetrics:
    """Passes of duties."""

    def __init__(self, registry: MetricRegistry, component: str) -> None:
        self._component = component
        self._last_success = registry.gauge(names.DUTY_LAST_SUCCESS)
        self._seconds = registry.histogram(names.DUTY)

    def begin(self, duty: str) -> None:
        """Show a duty that has not ended well yet: one that never does must not be missing."""
        self._last_success.labels(self._component, duty).set(0)

    def observe_pass(self, duty: str, seconds: float, *, ok: bool) -> None:
        """Observe one pass, and that it ended now without an error if it did."""
        self._seconds.labels(duty).observe(seconds)
        if ok:
            self._last_success.labels(self._component, duty).set(time.time())
