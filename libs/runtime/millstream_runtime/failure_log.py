"""Logs that a duty fails without saying the same thing at every pass.

A ForeseenError, such as that of a Redis that is away, is logged as one line with its `reason`. Any other error is a
defect, and is logged with its traceback.
"""

import time
from collections.abc import Callable

import structlog

from millstream_contracts import ForeseenError, one_line
from millstream_telemetry.error_text import type_name

REPEAT_AFTER_S = 60.0

MOST_TOLD = 10
"""Causes told in one minute, however many there are: one that changes with every pass must not fill the log."""


class FailureLog:
    """Writes when a duty starts to fail, fails otherwise, or works again, and once a minute in between.

    Two failures are of the same kind when the types of their exceptions are, and, of foreseen ones, reason and text.
    """

    def __init__(self, duty: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.failures = 0
        """Passes that failed in a row."""
        self.error: Exception | None = None
        """The last of them; None when the last pass went well."""
        self._log = structlog.get_logger().bind(duty=duty)
        self._clock = clock
        self._told: set[tuple[str, ...]] = set()
        """Kinds that were logged since the last repetition."""
        self._logged_at = 0.0

    @property
    def last_error(self) -> str:
        """The last failure in one line; empty when the last pass went well."""
        if self.error is None:
            return ""
        is_foreseen = isinstance(self.error, ForeseenError)
        return one_line(self.error if is_foreseen else f"{type_name(self.error)}: {self.error}")

    def failed(self, error: Exception) -> None:
        """Note a failed pass."""
        self.failures += 1
        self.error = error
        kind, now = _kind(error), self._clock()
        if self._told and now - self._logged_at >= REPEAT_AFTER_S:
            self._told = {kind}
            self._log.error("duty still fails", failures=self.failures, **_fields(error))
        elif kind not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(kind)
            traceback = {} if isinstance(error, ForeseenError) else {"exc_info": error}
            self._log.error("duty failed", **_fields(error), **traceback)
        else:
            return
        self._logged_at = now

    def succeeded(self) -> None:
        """Note a pass that went well."""
        if self.failures:
            self._log.info("duty works again", failures=self.failures)
            self.failures, self.error, self._told = 0, None, set()


def _kind(error: Exception) -> tuple[str, ...]:
    if isinstance(error, ForeseenError):
        return type_name(error), error.reason, str(error)
    return (type_name(error),)


def _fields(error: Exception) -> dict[str, str]:
    said = error.fields if isinstance(error, ForeseenError) else {"error": one_line(error)}
    return {"error_type": type_name(error), **said}
