"""Errors of the SDK.

MillstreamError
├── HandlerError          a handler or a contract cannot be used as it is written
├── LifespanError         the lifespan of an app failed
├── NotBoundError         `.submit()` was called where it cannot work: without a client, or without an event loop
├── ApiError              the API refused a request; carries the problem document
│   ├── AccessError       401, 403: the key is missing or wrong, or may not do this
│   ├── JobNotFoundError  404
│   │   └── JobErasedError  410: an operation has erased the job
│   ├── InvalidError      400, 413, 415, 422: the request itself is wrong
│   ├── ConflictError     409, 412: the job is in the wrong state
│   └── UnavailableError  429, 502, 503, 504, or no response: try again later
├── JobFailedError        the job that was waited for is dead, cancelled or expired
├── WorkflowFailedError   the workflow that was waited for has failed, was cancelled or is stalled
├── ResultError           the result of a job is not what its reference says
├── StepError             a step of a durable handler cannot be stored, or read
├── SignalTimeoutError    a signal has not come in time
└── WaitTimeoutError      the job did not end in time; it goes on
"""

from millstream.own_frames import with_own_frames
from millstream_contracts import Job, Problem, WorkflowStatus


class MillstreamError(Exception):
    """Base of all errors of the SDK."""


class HandlerError(MillstreamError):
    """A handler or a contract cannot be used as it is written."""


class LifespanError(MillstreamError):
    """The lifespan of an app failed. Its cause is what the lifespan raised."""

    def __init__(self, app: str, place: str, doing: str, error: Exception) -> None:
        self.app = app
        """The name of the app."""
        said = f": {error}" if str(error) else ""
        text = f"the lifespan of app `{app}` ({place}) failed {doing}: {type(error).__name__}{said}"
        super().__init__(with_own_frames(text, error))


class NotBoundError(MillstreamError):
    """A submission has no way: no client is bound and no handler runs here, or no event loop that awaits it."""


class ApiError(MillstreamError):
    """The API refused a request."""

    def __init__(self, problem: Problem, retry_after_s: float | None = None) -> None:
        self.problem = problem
        self.retry_after_s = retry_after_s
        super().__init__(describe(problem))


class AccessError(ApiError):
    """The key of the client is missing or wrong, has expired or was revoked, or does not allow the call."""


class JobNotFoundError(ApiError):
    """The job does not exist, or no longer."""


class JobErasedError(JobNotFoundError):
    """The job has been erased; nothing of it can be read any more."""


class InvalidError(ApiError):
    """The request is wrong; a repetition would be refused again."""


class ConflictError(ApiError):
    """The state of the job forbids the action."""


class UnavailableError(ApiError):
    """The service cannot take the request now; the same request may succeed later."""


class JobFailedError(MillstreamError):
    """The job that was waited for ended without success."""

    def __init__(self, job: Job) -> None:
        self.job = job
        cause = f": {job.error.type}: {job.error.message}" if job.error else ""
        reason = f" ({job.reason})" if job.reason else ""
        super().__init__(f"job {job.id} is {job.state}{reason}{cause}")


class WorkflowFailedError(MillstreamError):
    """The workflow that was waited for ended without success, or is stalled by a dead node."""

    def __init__(self, workflow: WorkflowStatus) -> None:
        self.workflow = workflow
        counts = ", ".join(f"{count} {state}" for state, count in workflow.counts.items())
        reason = f" ({workflow.reason})" if workflow.reason else ""
        super().__init__(f"workflow {workflow.id} is {workflow.state}{reason}; nodes: {counts}")


class ResultError(MillstreamError):
    """The result of a job is not what its handler, its contract or `into` says."""


class StepError(MillstreamError):
    """What a step of a durable handler has given cannot be stored, or is not what its function says by now."""


class SignalTimeoutError(MillstreamError, TimeoutError):
    """The signal that a durable handler has waited for has not come in time."""


class WaitTimeoutError(MillstreamError, TimeoutError):
    """The job did not end within the timeout of the wait; it goes on."""


def describe(problem: Problem) -> str:
    """Return a problem as one line of text."""
    # The detail of a Millstream tells the first fields already.
    untold = (error for error in problem.errors if error.detail not in problem.detail)
    fields = "; ".join(f"{error.pointer} {error.detail}" for error in untold)
    said = ": ".join(part for part in (problem.title, problem.detail, fields) if part)
    # The text may come from another server than Millstream, and is shown on terminals.
    return "".join(character if character.isprintable() else "\ufffd" for character in said)
