"""Logs the failures of a duty without repeating the same line at every pass.

A ForeseenError, such as that of a Redis that is away, is logged as one line with its `reason`. Any other error is a
defect, and is logged with its traceback.
"""

import time
from collections.abc import Callable

import structlog

from millstream_contracts import ForeseenError, one_line
from millstream_telemetry.error_text import type_name

REPEAT_AFTER_S = 60.0

MAX_KINDS = 10
"""Kinds of failure that are logged in one minute. A cause that changes with every pass must not fill the log."""


class FailureLog:
    """Logs when a duty starts to fail, fails in another way, or works again, and once in REPEAT_AFTER_S in between.

    Two failures are of one kind when their exceptions have the same type and, if foreseen, the same reason and text.
    """

    def __init__(self, duty: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.failures = 0
        """Passes that failed in a row."""
        self.error: Exception | None = None
        """The last of them; None when the last pass went well."""
        self._log = structlog.get_logger().bind(duty=duty)
        self._clock = clock
        self._logged_kinds: set[tuple[str, ...]] = set()
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
        """Record a failed pass."""
        self.failures += 1
        self.error = error
        kind, now = _kind(error), self._clock()
        if self._logged_kinds and now - self._logged_at >= REPEAT_AFTER_S:
            self._logged_kinds = {kind}
            self._log.error("duty still fails", failures=self.failures, **_fields(error))
        elif kind not in self._logged_kinds and len(self._logged_kinds) < MAX_KINDS:
            self._logged_kinds.add(kind)
            traceback = {} if isinstance(error, ForeseenError) else {"exc_info": error}
            self._log.error("duty failed", **_fields(error), **traceback)
        else:
            return
        self._logged_at = now

    def succeeded(self) -> None:
        """Record a pass that went well."""
        if self.failures:
            self._log.info("duty works again", failures=self.failures)
            self.failures, self.error, self._logged_kinds = 0, None, set()


def _kind(error: Exception) -> tuple[str, ...]:
    if isinstance(error, ForeseenError):
        return type_name(error), error.reason, str(error)
    return (type_name(error),)


def _fields(error: Exception) -> dict[str, str]:
    said = error.fields if isinstance(error, ForeseenError) else {"error": one_line(error)}
    return {"error_type": type_name(error), **said}
