"""The decisions that can be taken about many jobs, and how they are said."""

from typing import Literal

from msgspec import Struct

from millstream import JobState

DecisionName = Literal["redrive", "discard", "cancel", "run-now", "priority", "patch", "export", "erase"]

TYPED_ABOVE = 100
"""A decision about more jobs than this asks for their number."""

_OPEN = (JobState.BLOCKED, JobState.SCHEDULED, JobState.QUEUED, JobState.RUNNING)


class Decision(Struct, frozen=True):
    """One decision, in words."""

    name: DecisionName
    verb: str
    """As on the button."""
    done: str
    """As in `3 jobs redriven`."""
    icon: str
    states: tuple[JobState, ...]
    """The states of the jobs that it can be about; others are left alone. Empty: any."""
    can_be_undone: bool
    consequence: str
    keep: str
    """What the way out says."""
    asks_above: int = TYPED_ABOVE
    """About more jobs than this, the number has to be typed."""
    is_always_operation: bool = False
    """Whether few jobs are an operation too."""
    needs_search: bool = False
    """Whether it is never about all jobs that there are."""

    @property
    def redrives(self) -> bool:
        """Whether jobs run again by it, so that a canary can be tried first."""
        return self.name in {"redrive", "patch"}


DECISIONS: dict[str, Decision] = {
    "redrive": Decision(
        name="redrive",
        verb="Redrive",
        done="redriven",
        icon="retry",
        states=(JobState.DEAD,),
        can_be_undone=True,
        consequence="Each starts again with fresh attempts, the same id and payload. "
        "Jobs that are not dead any more are left alone and reported.",
        keep="Not now",
    ),
    "patch": Decision(
        name="patch",
        verb="Patch and redrive",
        done="patched and redriven",
        icon="edit",
        states=(JobState.DEAD,),
        can_be_undone=False,
        consequence="The payload of each is changed as below, and it starts again with fresh attempts and the same id. "
        "A job whose changed payload is not allowed is left alone and reported.",
        keep="Not now",
        is_always_operation=True,
    ),
    "discard": Decision(
        name="discard",
        verb="Discard",
        done="discarded",
        icon="trash",
        states=(JobState.DEAD,),
        can_be_undone=False,
        consequence="They leave the dead letters and will not run again. Their history stays. "
        "Jobs that are not dead are left alone and reported.",
        keep="Keep them",
    ),
    "cancel": Decision(
        name="cancel",
        verb="Cancel",
        done="cancelled",
        icon="x",
        states=_OPEN,
        can_be_undone=False,
        consequence="Those that wait end at once; those that run are asked to stop. "
        "Jobs that have ended, or are dead, are left alone and reported.",
        keep="Keep them running",
    ),
    "run-now": Decision(
        name="run-now",
        verb="Run now",
        done="made ready",
        icon="play",
        states=(JobState.SCHEDULED, JobState.QUEUED),
        can_be_undone=True,
        consequence="Those that wait for their time, retries too, are ready at once. Limits and pauses hold for them "
        "all the same. Jobs that wait for others, are dead or have ended are left alone and reported.",
        keep="Let them wait",
    ),
    "priority": Decision(
        name="priority",
        verb="Change priority",
        done="given another priority",
        icon="flag",
        states=(JobState.BLOCKED, JobState.SCHEDULED, JobState.QUEUED),
        can_be_undone=True,
        consequence="Each stands behind those of its type that have this priority already. "
        "Jobs that run, are dead or have ended are left alone and reported.",
        keep="Leave it",
        is_always_operation=True,
    ),
    "export": Decision(
        name="export",
        verb="Export",
        done="written",
        icon="down",
        states=(),
        can_be_undone=True,
        consequence="A worker with the built-in handlers writes them to a file in its MILLSTREAM_EXPORTS_FOLDER. "
        "The file holds what the jobs hold, and an erasure does not reach it.",
        keep="Not now",
        asks_above=10**9,
        is_always_operation=True,
    ),
    "erase": Decision(
        name="erase",
        verb="Erase",
        done="erased",
        icon="erase",
        states=(),
        can_be_undone=False,
        consequence="Payload, result, errors and tags of each are removed from Redis and the history; its id, type, "
        "state and times stay. Jobs that wait are erased too, and never run. Jobs that run are refused and "
        "reported: erase them when they have ended. Copies in other jobs, files of exports and reports, backups, logs "
        "and traces are not reached.",
        keep="Keep them",
        asks_above=0,
        is_always_operation=True,
        needs_search=True,
    ),
}
