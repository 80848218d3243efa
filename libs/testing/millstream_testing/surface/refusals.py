"""Refusals of requests, as the HTTP API words them."""

from collections.abc import Sequence

from millstream_contracts import FieldError, JobType, Problem
from millstream_streams import EnqueueCode, Enqueued
from millstream_submission import MalformedError, SubmissionError, TooLargeError, UniqueConflictError

_PROBLEMS = {400: "malformed-body", 413: "too-large", 422: "invalid-request"}


class RefusedError(Exception):
    """A request is refused."""

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str = "",
        errors: Sequence[FieldError] = (),
        *,
        retry_after_s: int | None = None,
    ) -> None:
        title = slug.replace("-", " ").capitalize()
        problem = Problem(type=f"/problems/{slug}", title=title, status=status, detail=detail, errors=list(errors))
        self.problem = problem
        self.retry_after_s = retry_after_s
        super().__init__(detail)


def refusal(error: SubmissionError) -> RefusedError:
    """Return the refusal of a submission."""
    if isinstance(error, UniqueConflictError):
        return RefusedError(409, "unique-conflict", error.detail, error.errors)
    status = 413 if isinstance(error, TooLargeError) else 400 if isinstance(error, MalformedError) else 422
    return RefusedError(status, _PROBLEMS[status], error.detail, error.errors)


FULL = {
    EnqueueCode.FULL: (503, "backlog-full", "has as many jobs as its cap allows"),
    EnqueueCode.KEY_FULL: (429, "key-backlog-full", "has as many jobs of this key as its cap allows"),
}
"""The refusals of jobs that are above a cap."""


def refused_as_full(job_type: JobType, enqueued: Enqueued) -> RefusedError:
    """Return the refusal of a submission for a type, or a key, that has as many jobs as it may."""
    status, slug, told = FULL[enqueued.code]
    after_s = max(1, round((enqueued.retry_after_ms or 0) / 1000))
    detail = f"`{job_type}` {told}; there may be room in {after_s} s"
    return RefusedError(status, slug, detail, retry_after_s=after_s)
