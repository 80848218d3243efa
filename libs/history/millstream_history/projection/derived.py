"""Derives what the history adds to a job: outcome, fingerprint and text of its error, and how long it took."""

import re
from datetime import datetime, timedelta

from millstream_contracts import Job, JobError, JobState, made_at
from millstream_history.projection.columns import Derived

MAX_ERROR_TEXT = 2_000

_OUTCOMES = frozenset({JobState.DEAD.value, JobState.CANCELLED.value, JobState.EXPIRED.value})
_RAN_TO_ITS_END = frozenset({JobState.DEAD, JobState.SUCCEEDED})
_MILLISECOND = timedelta(milliseconds=1)
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\d+")
_MAX_REASON = 100


def derived_of(job: Job, waited_ms: int | None) -> Derived:
    """Return the derived columns of a job."""
    return Derived(
        made_at(job.id),
        outcome_of(job.state),
        fingerprint_of(job.state, job.error, job.reason),
        error_text_of(job.error),
        waited_ms=waited_ms,
        # Another job that has ended may have waited since it ran.
        ran_ms=_ms_between(job.started_at, job.finished_at) if job.state in _RAN_TO_ITS_END else None,
        flow_id=job.batch if job.workflow is None else job.workflow,
    )


def outcome_of(state: str) -> str | None:
    """Return how a job has ended without success; None for any other job."""
    return str(state) if state in _OUTCOMES else None


def fingerprint_of(state: str, error: JobError | None, reason: str | None) -> str | None:
    """Return what equal failures have in common; of a dead job whose error has no fingerprint, its kind of reason."""
    if error and error.fingerprint:
        return error.fingerprint
    return f"reason:{_reason_class(reason)}" if state == JobState.DEAD and reason else None


def error_text_of(error: JobError | None) -> str | None:
    """Return an error as text to search in."""
    return f"{error.type}: {error.message}"[:MAX_ERROR_TEXT] if error else None


def _reason_class(reason: str) -> str:
    """Return what a reason has in common with those of other jobs: its beginning, without numbers and quoted values."""
    return _VARYING.sub("#", reason.partition(":")[0])[:_MAX_REASON]


def _ms_between(begun: datetime | None, ended: datetime | None) -> int | None:
    return max(0, (ended - begun) // _MILLISECOND) if begun and ended else None
