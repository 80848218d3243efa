"""The model of the state machine: a dictionary of jobs, and how each outcome changes one."""

from msgspec import Struct
from streams.seeds import ERROR, FAR_MS

from millstream_contracts import Cancelled, Dead, Outcome, RetryAt, Snoozed, Succeeded

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
    "": {"queued", "scheduled"},
    "queued": {"running", "cancelled", "expired", "queued"},
    "scheduled": {"queued", "cancelled", "expired"},
    "running": {"running", "queued", "scheduled", "succeeded", "dead", "cancelled"},
    "dead": {"queued", "cancelled"},
}


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
