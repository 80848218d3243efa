"""The model of the state machine: a dictionary of jobs, and how each outcome changes one."""

from msgspec import Struct
from streams.seeds import ERROR, FAR_MS

from millstream_contracts import (
    AfterFailure,
    Calling,
    Cancelled,
    Dead,
    JobId,
    Outcome,
    RetryAt,
    Snoozed,
    Succeeded,
    Waiting,
)
from millstream_streams import ResolveCode

OUTCOMES: list[Outcome] = [
    Succeeded(),
    RetryAt(FAR_MS, ERROR),
    RetryAt(0, ERROR),
    Snoozed(FAR_MS),
    Snoozed(0),
    Waiting("s1", FAR_MS),
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
    steps: dict[str, bytes] = {}
    """What its handler has stored."""
    signals: list[str] = []
    """Those that no wait has taken yet."""
    waiting_for: str = ""
    calls: bool = False
    """Whether its handler has called the jobs by which it is blocked."""


# What may follow on what, in the order of a job's versions.
FOLLOWS = {
    "": {"queued", "scheduled", "blocked"},
    "blocked": {"queued", "scheduled", "cancelled", "expired", "dead", "blocked"},
    "queued": {"running", "cancelled", "expired", "queued"},
    "scheduled": {"queued", "cancelled", "expired", "scheduled"},
    "running": {"running", "queued", "scheduled", "blocked", "succeeded", "dead", "cancelled"},
    "dead": {"queued", "cancelled"},
}


def resolve(job: Expected, parent: JobId, state: str) -> ResolveCode:
    """Apply what a job is told of one that it waits for. Returns: what the script answers."""
    if job.state != "blocked" or parent not in job.open:
        return ResolveCode.NOTED
    after_failure = "run" if job.calls else job.after_failure
    if state not in SETTLED or (state == "dead" and after_failure == "wait"):
        return ResolveCode.KEPT
    if state == "succeeded" or after_failure == "run":
        job.open.remove(parent)
        if job.open:
            return ResolveCode.NOTED
        job.state, job.calls = "queued", False
        return ResolveCode.READY
    job.state, job.open = "cancelled", set()
    return ResolveCode.CANCELLED


def must_be_told(job: Expected, state: str) -> bool:
    """Return whether a blocked job goes on, or ends, by a parent in this state."""
    waits = job.after_failure == "wait" and not job.calls
    return job.state == "blocked" and (state in SETTLED - {"dead"} or (state == "dead" and not waits))


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
        case Waiting(signal, _) if not job.cancel:
            has_come = signal in job.signals
            job.state, job.waiting_for = "queued" if has_come else "scheduled", "" if has_come else signal
        case Calling(jobs) if not job.cancel:
            job.state, job.calls, job.open, job.is_linked = "blocked", True, set(jobs), False
        case _:
            job.state = "cancelled"
    job.is_due = False
    if not isinstance(outcome, Waiting):
        job.waiting_for = ""
