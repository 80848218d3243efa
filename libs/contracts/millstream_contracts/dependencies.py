"""The jobs around one job: those for which it waits, and those that wait for it."""

from msgspec import Struct

from millstream_contracts.ids import JobId
from millstream_contracts.job import JobState


class RelatedJob(Struct, frozen=True):
    """A job by its id, and how it is now."""

    id: JobId
    state: JobState | None = None
    """None when it is not known any more."""
    blocks: bool = False
    """Whether the job that was asked about goes on waiting for this one."""


class JobDependencies(Struct, frozen=True):
    """What a job waits for, or has waited for, and what waits for it."""

    id: JobId
    after: list[RelatedJob]
    children: list[RelatedJob]
    """Jobs that wait for it, a hundred at most."""
    children_total: int
    """How many jobs wait for it."""
