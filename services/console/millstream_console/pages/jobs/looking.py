"""What rows of jobs show of a job, in words."""

from datetime import UTC, datetime

from millstream import FacetValue, Job, JobState
from millstream_console.drawing.numbers import UNKNOWN
from millstream_contracts import JobCount

_ENDS = {"exact": "{:,}", "~": "~{:,}", "at_least": "{:,}+"}


def ran_s(job: Job, now: datetime | None = None) -> float | None:
    """Return how long the last attempt of a job ran, or has run until now; None for one that never ran."""
    if job.started_at is None:
        return None
    if job.state is JobState.RUNNING:
        return max(((now or datetime.now(UTC)) - job.started_at).total_seconds(), 0.0)
    return None if job.finished_at is None else max((job.finished_at - job.started_at).total_seconds(), 0.0)


def detail_of(job: Job) -> str:
    """Return what is most worth knowing of a job in its state, as one line of users' text."""
    if job.state is JobState.RUNNING and job.progress:
        return f"{job.progress.percent:g} % {job.progress.note}".rstrip()
    if job.error and job.state is not JobState.SUCCEEDED:
        return f"{short_type(job.error.type)}: {job.error.message}"
    return job.reason or ""


def short_type(name: str) -> str:
    """Return the name of an exception without its module."""
    return name.rpartition(".")[2]


def short_id(job_id: str) -> str:
    """Return the end of an id, which tells jobs apart."""
    return f"…{job_id[-10:]}"


def counted(count: JobCount | None) -> str:
    """Return a count in words that say how exact it is."""
    return UNKNOWN if count is None else _ENDS[count.relation].format(count.value)


def counted_value(value: FacetValue) -> str:
    """Return how many jobs have a value, in words that say how exact that is."""
    return counted(JobCount(value.count, value.relation))
