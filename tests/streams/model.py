"""The model of the state machine: a dictionary of jobs, and how each outcome changes one."""

from msgspec import Struct
from streams.seeds import ERROR, FAR_MS

from millstream_contracts import AfterFailure, Cancelled, Dead, JobId, Outcome, RetryAt, Snoozed, Succeeded
from millstream_streams import ResolveCode

OUTCOMES: list[Outcome] = [
    Succeeded(),
    RetryAt(FAR_MS, ERROR),
    RetryAt(0, ERROR),
    Snoozed(FAR_MS),
    Snoozed(0),
    Dead("attempts", ERROR),
    Cancelled("handler"),
]


class Expected(Struct):
    """The state of a job that the model expects."""

    state: str
    open: set[JobId] = set()
    """The jobs by which it is blocked."""
    after_failure: AfterFailure = "wait"
    is_linked: bool = False
    """Whether these know of it."""
    is_late: bool = False
    """Whether the job has to expire instead of starting."""
    is_due: bool = False
    token: str = ""
    done_token: str = ""
    owner: str = ""
    reader: str = ""
    """The worker that has read its entry without claiming it."""
    cancel: bool = False
    apart: str = ""
    """The token under which the job was marked as waiting to run alone."""
    attempts: int = 0
    crashes: int = 0
    deliveries: int = 0
    handbacks: int = 0


# What may follow on what, in the order of a job's versions.
FOLLOWS = {
    "": {"queued", "scheduled", "blocked"},
    "blocked": {"queued", "scheduled", "cancelled", "expired", "dead"},
    "queued": {"running", "cancelled", "expired", "queued"},
    "scheduled": {"queued", "cancelled", "expired"},
    "running": {"running", "queued", "scheduled", "succeeded", "dead", "cancelled"},
    "dead": {"queued", "cancelled"},
}


def resolve(job: Expected, parent: JobId, state: str) -> ResolveCode:
    """Apply what a job is told of one that it waits for. Returns: what the script answers."""
    if job.state != "blocked" or parent not in job.open:
        return ResolveCode.NOTED
    if state not in SETTLED or (state == "dead" and job.after_failure == "wait"):
        return ResolveCode.KEPT
    if state == "succeeded" or job.after_failure == "run":
        job.open.remove(parent)
        if job.open:
            return ResolveCode.NOTED
        job.state = "queued"
        return ResolveCode.READY
    job.state, job.open = "cancelled", set()
    return ResolveCode.ENDED


def must_be_told(job: Expected, state: str) -> bool:
    """Return whether a blocked job goes on, or ends, by a parent in this state."""
    return job.state == "blocked" and (state in SETTLED - {"dead"} or (state == "dead" and job.after_failure != "wait"))


SETTLED = {"succeeded", "cancelled", "expired", "dead"}


def follow(job: Expected, outcome: Outcome) -> None:
    """Apply an outcome to the model."""
    match outcome:
        case Succeeded():
            job.state = "succeeded"
            job.attempts += 1
        case Dead() if not job.cancel:
            job.state = "dead"
            job.attempts += 1
        case RetryAt(delay_ms, _) if not job.cancel:
            job.state = "scheduled" if delay_ms else "queued"
            job.attempts += 1
        case Snoozed(delay_ms) if not job.cancel:
            job.state = "scheduled" if delay_ms else "queued"
        case _:
            job.state = "cancelled"
    job.is_due = False
