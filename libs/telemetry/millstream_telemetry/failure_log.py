"""Logs that a duty fails without saying the same thing at every pass."""

import time
from collections.abc import Callable

import structlog

from millstream_telemetry.error_text import type_name

REPEAT_AFTER_S = 60.0


class FailureLog:
    """Writes when a duty starts to fail, fails otherwise, or works again, and once a minute in between.

    Two failures are of the same kind when the types of their exceptions are.
    """

    def __init__(self, duty: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.failures = 0
        """Passes that failed in a row."""
        self.error: Exception | None = None
        """The last of them; None when the last pass went well."""
        self._log = structlog.get_logger().bind(duty=duty)
        self._clock = clock
        self._kind = ""
        self._logged_at = 0.0

    @property
    def last_error(self) -> str:
        """The last failure in one line; empty when the last pass went well."""
        return f"{type_name(self.error)}: {self.error}" if self.error else ""

    def failed(self, error: Exception) -> None:
        """Note a failed pass."""
        kind = type_name(error)
        self.failures += 1
        self.error = error
        now = self._clock()
        if kind != self._kind:
            self._log.error("duty failed", error_type=kind, exc_info=error)
        elif now - self._logged_at >= REPEAT_AFTER_S:
            self._log.error("duty still fails", error_type=kind, failures=self.failures)
        else:
            return
        self._kind, self._logged_at = kind, now

    def succeeded(self) -> None:
        """Note a pass that went well."""
        if self.failures:
            self._log.info("duty works again", failures=self.failures)
            self.failures, self.error, self._kind = 0, None, ""
