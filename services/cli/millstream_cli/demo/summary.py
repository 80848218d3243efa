"""The table at the end of the demo: what became of the jobs of each type, and how long it took."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import quantiles

from rich.console import Console
from rich.table import Table

from millstream_contracts import Job, JobState, JobType

# Two lines high, so that the table fits into 80 columns.
COLUMNS = (
    "job type",
    *("\njobs", "succ-\needed", "\nretried", "\ndead", "recov-\nered"),
    *("wait\np50", "ms\np99", "run\np50", "ms\np99", "\njobs/s"),
)


def print_summary(console: Console, jobs: Iterable[Job]) -> None:
    """Print a row per job type. Times are those of Redis, in ms, of the last delivery of each job."""
    by_type: dict[JobType, list[Job]] = defaultdict(list)
    for job in jobs:
        by_type[job.type].append(job)
    table = Table(
        title="\nWhat became of the jobs", title_justify="left", header_style="bold", box=None, padding=(0, 1, 0, 0)
    )
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == COLUMNS[0] else "right", no_wrap=True)
    for job_type, some in sorted(by_type.items()):
        table.add_row(job_type, *_cells(some))
    console.print(table)


def _cells(jobs: Sequence[Job]) -> list[str]:
    waits = [_ms(_ready_at(job), job.started_at) for job in jobs if job.started_at]
    runs = [_ms(job.started_at, job.finished_at) for job in jobs if job.started_at and job.finished_at]
    first = min(job.created_at for job in jobs)
    last = max((job.finished_at or job.created_at) for job in jobs)
    seconds = max(0.001, (last - first).total_seconds())
    counts = (
        len(jobs),
        sum(job.state is JobState.SUCCEEDED for job in jobs),
        sum(job.attempts > 1 for job in jobs),
        sum(job.state is JobState.DEAD for job in jobs),
        sum(job.crashes > 0 for job in jobs),
    )
    times = (*_percentiles(waits), *_percentiles(runs))
    return [*map(str, counts), *(f"{value:.0f}" for value in times), f"{len(jobs) / seconds:.0f}"]


def _ready_at(job: Job) -> datetime:
    return max(job.created_at, job.run_at or job.created_at)


def _ms(begin: datetime | None, end: datetime | None) -> float:
    return (end - begin).total_seconds() * 1000 if begin and end else 0.0


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    """Return p50 and p99."""
    if len(values) < 2:
        return (values[0], values[0]) if values else (0.0, 0.0)
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]
