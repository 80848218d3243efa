"""The options of a submission."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict

from millstream.jobs.job_handle import JobHandle
from millstream.jobs.sync_job_handle import SyncJobHandle
from millstream.seconds import Seconds
from millstream.unique import Unique
from millstream_contracts import AfterFailure, Backoff, Callback, Job, JobId, PriorityName, did_you_mean

Parent = str | Job | JobHandle[Any] | SyncJobHandle[Any]
"""A job that another one waits for."""


class SubmitOptions(TypedDict, total=False):
    """Options of one job. Those left out, or None, follow the policy of the job's type."""

    delay: Seconds | None
    """Run it no sooner than after this time, in seconds or as a timedelta."""
    run_at: datetime | None
    """Run it no sooner than at this moment, which needs a time zone."""
    expires_in: Seconds | None
    """Let it expire if it has not started after this time."""
    expires_at: datetime | None
    """Let it expire if it has not started at this moment, which needs a time zone."""
    priority: PriorityName | None
    """Which jobs of the type start first; `normal` by default."""
    key: str | None
    """What it is grouped by, such as a customer: limits of the type may hold for each key, and keys take turns."""
    max_attempts: int | None
    """Runs that end in success or failure, in place of those of the type."""
    timeout: Seconds | None
    """Time after which an attempt is stopped and counts as failed, in place of that of the type."""
    backoff: Backoff | None
    """How the delays between attempts grow, in place of the backoff of the type."""
    tags: Mapping[str, str] | None
    """Up to 16 short strings, searchable."""
    callback: str | Callback | None
    """The URL that is called when the job settles; or a `Callback`, which names the events too."""
    after: "Parent | Sequence[Parent] | None"
    """The jobs that have to succeed before it starts: ids, jobs, or handles. A `delay` counts from then."""
    after_failure: AfterFailure | None
    """What becomes of it when one of them does not succeed: it waits for a decision about a dead one (`wait`, the
    default), is cancelled (`cancel`), or starts all the same (`run`)."""
    after_unknown: Literal["refuse", "ignore"] | None
    """Whether a job in `after` that is not known is refused, which is the default, or counts as done."""
    unique: Unique | str | None
    """The unique key of the job, or a `Unique`, which says more, in place of what the handler of its type declares."""
    template: str | None
    """The template that says what is left out here. Of payloads that are objects both, the members of this one win."""


def check_submit_options(options: SubmitOptions) -> None:
    """Raise TypeError, with a suggestion, for an option that there is not."""
    known = SubmitOptions.__annotations__
    for option in options:
        if option not in known:
            raise TypeError(f"unknown option `{option}`{did_you_mean(option, known)}")


def parent_ids(after: Any) -> list[JobId]:
    """Return the ids of the jobs to wait for: of one, or of several. Raises: TypeError."""
    several = [after] if isinstance(after, str | Job | JobHandle | SyncJobHandle) else after
    return [_id_of(one) for one in several]


def _id_of(parent: Any) -> JobId:
    if isinstance(parent, str):
        return JobId(parent)
    if isinstance(parent, Job | JobHandle | SyncJobHandle):
        return parent.id
    raise TypeError(f"`after` takes ids, jobs and handles, not {type(parent).__name__}")
