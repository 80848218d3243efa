"""Finds the spans of the jobs that a job waits for, to which its own span links."""

from collections.abc import Iterable

from millstream_contracts import Job, JobId, JobState, Tenant, queue_of
from millstream_streams import JobViews, StoreError
from millstream_telemetry import MAX_LINKS, TraceContext, delivery_of


async def parent_spans(views: JobViews, tenant: Tenant, ids: Iterable[JobId]) -> list[TraceContext]:
    """Return the spans of the attempts of MAX_LINKS of these jobs, as far as Redis has them.

    Of a job that has not been run it is the one that comes next: its id follows from its number (ADR 30). While Redis
    is away there are none: a link is no reason to refuse a job.
    """
    known = [(queue, job_id) for job_id in ids if (queue := queue_of(tenant, job_id)) is not None][:MAX_LINKS]
    try:
        found = await views.jobs_anywhere(known) if known else []
    except StoreError:
        return []
    return [delivery_of(job.id, job.trace_id, _attempt_of(job)) for job in found if job is not None and job.trace_id]


def _attempt_of(job: Job) -> int:
    """Return the number of the delivery for which another job waits: the last one, or else the next."""
    has_begun = job.state is JobState.RUNNING or job.state.is_settled
    return max(1, job.deliveries if has_begun else job.deliveries + 1)
